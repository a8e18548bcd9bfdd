//! Shared by the tests: the main function, helper processes, the program, and observed events.

#![allow(dead_code, reason = "every test binary includes this directory and uses a part of it")]

#[cfg(all(feature = "process", feature = "testing"))]
pub(crate) mod ending;
#[cfg(feature = "cli")]
pub(crate) mod failure;
#[cfg(feature = "testing")]
pub(crate) mod flood;
pub(crate) mod helper_process;
pub(crate) mod hostile;
pub(crate) mod listening;
#[cfg(feature = "cli")]
pub(crate) mod live_output;
pub(crate) mod load;
pub(crate) mod namespaces;
#[cfg(feature = "otlp")]
pub(crate) mod otlp;
#[cfg(feature = "cli")]
pub(crate) mod program;
#[cfg(feature = "prometheus")]
pub(crate) mod prometheus;
pub(crate) mod raw;
pub(crate) mod recorder;
pub(crate) mod roles;
#[cfg(feature = "prometheus")]
pub(crate) mod scrape;
pub(crate) mod scratch;
#[cfg(feature = "otlp")]
pub(crate) mod spans;
pub(crate) mod terminal;
#[cfg(feature = "cli")]
pub(crate) mod tracing;
pub(crate) mod watch;
pub(crate) mod wire;

use std::cell::Cell;
use std::panic::{catch_unwind, resume_unwind};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Completion, Trial};
use proc_connector::{Builder, Error, Filter, NoRing, ProcConnector, Transport};

/// A function with its name in the source.
pub(crate) type Named = (&'static str, fn());

/// Functions with their names: `named![a, b]`.
macro_rules! named {
    ($($function:ident),* $(,)?) => { [$((stringify!($function), $function as fn())),*] };
}
pub(crate) use named;

/// The main function of a binary of live tests: plays one of `roles` if a
/// [`helper_process::HelperProcess`] started this process, otherwise runs `tests`.
pub(crate) fn main(roles: &[Named], tests: &[Named]) -> ExitCode {
    main_with(roles, &[], tests)
}

/// The same with the tests `everywhere`, which run once on any machine. Each live test runs over
/// every transport.
///
/// If the connector is unavailable, live tests are ignored and the reason is printed. With
/// `PROC_CONNECTOR_REQUIRE_LIVE=1` they fail instead, unless only the privilege for the ring is
/// missing.
pub(crate) fn main_with(roles: &[Named], everywhere: &[Named], live: &[Named]) -> ExitCode {
    if let Some(code) = helper_process::play(roles) {
        return code;
    }
    let mut arguments = Arguments::from_args();
    // Parallel tests would slow down each other's loads, and fill each other's buffers.
    arguments.test_threads.get_or_insert(1);
    let required = std::env::var_os("PROC_CONNECTOR_REQUIRE_LIVE").is_some_and(|set| set == "1");
    let mut trials: Vec<Trial> =
        everywhere.iter().map(|named| trial(named, "", Transport::Auto)).collect();
    for (name, transport) in [("socket::", Transport::Socket), ("ring::", Transport::Ring)] {
        let opened = ProcConnector::builder().transport(transport).open();
        let needed = match &opened {
            Err(Error::RingUnavailable { reason: NoRing::Forbidden, .. }) => false,
            _ => required,
        };
        let ignored = opened.is_err() && !needed;
        if let Err(reason) = opened {
            eprintln!("skipped: {reason}");
        }
        trials.extend(
            live.iter().map(|named| trial(named, name, transport).with_ignored_flag(ignored)),
        );
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Wraps a test for the harness, with [`transport`] set for its duration.
fn trial(&(name, test): &Named, prefix: &str, transport: Transport) -> Trial {
    Trial::ignorable_test(format!("{prefix}{name}"), move || {
        TRANSPORT.set(transport);
        match catch_unwind(test) {
            Ok(()) => Ok(Completion::Completed),
            Err(payload) => match payload.downcast::<Skipped>() {
                Ok(skipped) => Ok(Completion::ignored_with(skipped.0)),
                Err(payload) => resume_unwind(payload),
            },
        }
    })
}

thread_local! {
    static TRANSPORT: Cell<Transport> = const { Cell::new(Transport::Auto) };
}

/// The transport of this test. Only the thread of the test knows it.
pub(crate) fn transport() -> Transport {
    TRANSPORT.get()
}

/// The value of the program's option `--transport` for this test.
pub(crate) fn transport_name() -> &'static str {
    match transport() {
        Transport::Ring => "ring",
        Transport::Socket => "socket",
        _ => "auto",
    }
}

/// A builder with this test's transport.
pub(crate) fn builder() -> Builder {
    ProcConnector::builder().transport(transport())
}

/// Ends a test that cannot run, and counts it as ignored.
pub(crate) fn skip(reason: &str) -> ! {
    resume_unwind(Box::new(Skipped(reason.to_owned())))
}

struct Skipped(String);

/// A builder with a buffer large enough for a busy machine during a test.
pub(crate) fn large_buffer() -> Builder {
    builder().receive_buffer_events(160_000)
}

/// Whether the running kernel has this version or a later one.
pub(crate) fn kernel_is_at_least(major: u32, minor: u32) -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("/proc is mounted");
    let mut numbers = release.split(['.', '-']).map(|number| number.parse().unwrap_or(0_u32));
    (numbers.next(), numbers.next()) >= (Some(major), Some(minor))
}

/// Whether the CPU time at the exit event is that of `wait4`, within 1 % and 1 ms. Older kernels run in an
/// emulator, which can need any time between the event and the end of the thread.
pub(crate) fn is_cpu_time(reported: u64, actual: u64) -> bool {
    let limit = actual / 100 + 1_000_000;
    let is_emulated = !kernel_is_at_least(6, 18);
    reported <= actual + limit && (is_emulated || reported + limit >= actual)
}

/// A connector with a buffer large enough for a busy machine during a test.
pub(crate) fn open_live() -> ProcConnector {
    large_buffer().open().expect("a live connector")
}

/// The same with a filter.
pub(crate) fn open_filtered(filter: &Filter) -> ProcConnector {
    large_buffer().filter(filter.clone()).open().expect("a live connector")
}

/// Ids that no process has: above the kernel's `PID_MAX_LIMIT`.
pub(crate) fn strangers(count: u32) -> impl Iterator<Item = u32> {
    (1..=count).map(|n| (1 << 22) + n)
}

/// Whether the process has a capability of `linux/capability.h`. If not, prints that a part of the
/// test is skipped.
pub(crate) fn has_capability(capability: u32, name: &str) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc is mounted");
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = u64::from_str_radix(effective.expect("a CapEff line").trim(), 16);
    let has_capability = effective.expect("a number") & (1 << capability) != 0;
    if !has_capability {
        eprintln!("skipped: this part needs {name}");
    }
    has_capability
}

/// Skips the test if the process lacks a capability.
pub(crate) fn require_capability(capability: u32, name: &str) {
    if !has_capability(capability, name) {
        skip(&format!("needs {name}"));
    }
}

/// The id of the user and of the group `nobody`, which every system has.
pub(crate) const NOBODY: u32 = 65_534;

pub(crate) const CAP_SETGID: u32 = 6;
pub(crate) const CAP_SETUID: u32 = 7;
pub(crate) const CAP_NET_ADMIN: u32 = 12;
pub(crate) const CAP_SYS_ADMIN: u32 = 21;
pub(crate) const CAP_PERFMON: u32 = 38;

/// The limit of a wait for an expected event. The slowest emulated machines need a sixth of it: two
/// scans of `/proc`, each after a pause of 5 s.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Limits a wait to [`PATIENCE`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    pub(crate) fn new() -> Self {
        Self(Instant::now() + PATIENCE)
    }

    /// The remaining time; `None` after the deadline.
    pub(crate) fn left(self) -> Option<Duration> {
        self.0.checked_duration_since(Instant::now())
    }
}
