//! If a kernel, a namespace or a missing privilege prevents listening, the error names the cause
//! and the remedy. Everything else works.
//!
//! `cargo xtask vm-test` runs this on kernels before and since Linux 6.6, and on kernels without
//! the connector.

mod common;

use std::fs;
use std::process::ExitCode;

use common::recorder::Recorder;
use common::{
    CAP_NET_ADMIN, CAP_PERFMON, CAP_SETGID, CAP_SETUID, CAP_SYS_ADMIN, Deadline, NOBODY,
    has_capability, helper_process, kernel_is_at_least, load, named,
};
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use proc_connector::{Error, ProcConnector, Stats, Transport, Verdict, diagnose};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, set_capabilities, set_keep_capabilities,
};

fn main() -> ExitCode {
    let roles = named![
        opens,
        opens_in_a_network_namespace,
        opens_in_a_pid_namespace,
        opens_in_a_user_namespace,
        opens_as_unprivileged_user_in_a_user_namespace,
        opens_in_a_rootless_container,
        opens_as_unprivileged_user,
        opens_as_root_without_privilege,
        opens_with_one_privilege,
        opens_by_each_transport,
        opens_by_each_transport_as_unprivileged_user,
    ];
    let tests = named![
        a_kernel_without_the_connector_is_reported,
        a_network_namespace_is_reported,
        a_pid_namespace_is_reported,
        a_user_namespace_is_reported,
        a_rootless_container_gets_an_error_about_its_first_namespace,
        an_unprivileged_user_can_listen_if_the_kernel_permits_it,
        root_without_capabilities_is_unprivileged,
        cap_net_admin_is_sufficient_and_grants_the_buffer,
        the_ring_is_used_where_it_works,
        the_ring_records_what_the_kernel_provides,
        without_bpf_the_socket_is_used_and_the_reason_is_reported,
    ];
    common::main_with(&roles, &tests, &[])
}

const NETWORK: &str = "NotInitialNamespace { kind: Network }";
const PID: &str = "NotInitialNamespace { kind: Pid }";
const USER: &str = "NotInitialNamespace { kind: User }";

fn a_kernel_without_the_connector_is_reported() {
    if !is_connector_disabled() {
        eprintln!(
            "skipped: this kernel has the connector, or the reason for its absence is unknown"
        );
        return;
    }
    for role in ["opens", "opens_as_unprivileged_user"] {
        if role == "opens" || may_change_ids() {
            Outcome::run(role).assert_fails(
                "ConnectorUnavailable",
                "this kernel has no process events connector",
                "CONFIG_PROC_EVENTS=y",
            );
        }
    }
}

fn a_network_namespace_is_reported() {
    if has_connector() && has_capability(CAP_SYS_ADMIN, "CAP_SYS_ADMIN") {
        Outcome::run("opens_in_a_network_namespace").assert_fails(
            NETWORK,
            "not sent to this network namespace",
            "--network=host",
        );
    }
}

fn a_pid_namespace_is_reported() {
    if has_connector() && has_capability(CAP_SYS_ADMIN, "CAP_SYS_ADMIN") {
        Outcome::run("opens_in_a_pid_namespace").assert_fails(
            PID,
            "not sent to this pid namespace",
            "--pid=host",
        );
    }
}

fn a_user_namespace_is_reported() {
    if !has_connector() {
        return;
    }
    for role in ["opens_in_a_user_namespace", "opens_as_unprivileged_user_in_a_user_namespace"] {
        let outcome = Outcome::run(role);
        if !outcome.is_forbidden() {
            outcome.assert_fails(USER, "not sent to this user namespace", "--userns=host");
        }
    }
}

fn a_rootless_container_gets_an_error_about_its_first_namespace() {
    if !has_connector() {
        return;
    }
    let outcome = Outcome::run("opens_in_a_rootless_container");
    if !outcome.is_forbidden() {
        outcome.assert_fails(NETWORK, "not sent to this network namespace", "--network=host");
    }
}

fn an_unprivileged_user_can_listen_if_the_kernel_permits_it() {
    if has_connector() && may_change_ids() {
        assert_unprivileged(&Outcome::run("opens_as_unprivileged_user"));
    }
}

fn root_without_capabilities_is_unprivileged() {
    if has_connector() && has_capability(CAP_NET_ADMIN, "CAP_NET_ADMIN, to go without it") {
        assert_unprivileged(&Outcome::run("opens_as_root_without_privilege"));
    }
}

/// Asserts the kernel's behaviour towards processes without `CAP_NET_ADMIN`.
fn assert_unprivileged(outcome: &Outcome) {
    if can_unprivileged_listen() {
        outcome.assert_works(wanted_buffer().min(2 * rmem_max()));
    } else {
        outcome.assert_fails(
            "PermissionDenied",
            "requires CAP_NET_ADMIN",
            "setcap cap_net_admin+ep",
        );
    }
}

fn cap_net_admin_is_sufficient_and_grants_the_buffer() {
    if has_connector()
        && has_capability(CAP_NET_ADMIN, "CAP_NET_ADMIN, to keep nothing else")
        && may_change_ids()
    {
        Outcome::run("opens_with_one_privilege").assert_works(wanted_buffer());
    }
}

const CAP_BPF: u32 = 39;

fn the_ring_is_used_where_it_works() {
    let privileged = || {
        has_capability(CAP_NET_ADMIN, "CAP_NET_ADMIN, for the ring")
            && has_capability(CAP_BPF, "CAP_BPF")
    };
    if has_connector() && privileged() {
        let outcome = Outcome::run("opens_by_each_transport");
        assert_eq!(outcome.0, ["Ring None", "Ring None", "Socket Some(NotWanted)"]);
    }
}

/// The properties that a ring's records lack, by the first kernel of each range.
const NOT_RECORDED: [((u32, u32), &[&str]); 2] = [((6, 12), &[]), ((6, 1), &[])];

fn the_ring_records_what_the_kernel_provides() {
    let may_read = || {
        has_capability(CAP_NET_ADMIN, "CAP_NET_ADMIN, for the ring")
            && has_capability(CAP_BPF, "CAP_BPF")
            && has_capability(CAP_PERFMON, "CAP_PERFMON")
    };
    if !has_connector() || !may_read() {
        return;
    }
    let Some((_, missing)) =
        NOT_RECORDED.iter().find(|((major, minor), _)| kernel_is_at_least(*major, *minor))
    else {
        eprintln!("skipped: what this kernel provides is not known");
        return;
    };
    let diagnosis = diagnose();
    let fact = |check| {
        let finding = diagnosis.findings.iter().find(|finding| finding.check == check);
        finding.expect("a finding").fact.clone()
    };
    let recorded = fact("context");
    eprintln!("{recorded}");
    let list = recorded.split_once("not available: ").map_or("", |(_, list)| list);
    let lacks: Vec<&str> = list.split(", ").filter(|part| !part.is_empty()).collect();
    assert_eq!(lacks, *missing);
    assert_eq!(fact("task filter"), "the kernel evaluates conditions on the acting task");
    let forgeries = fact("forgeries");
    assert!(forgeries.contains("refuses all forged events"), "{forgeries}");
}

fn without_bpf_the_socket_is_used_and_the_reason_is_reported() {
    if !has_connector() || !may_change_ids() {
        return;
    }
    let outcome = Outcome::run("opens_by_each_transport_as_unprivileged_user");
    let [auto, ring, socket] = outcome.0.as_slice() else { panic!("{outcome:?}") };
    for part in ["the ring cannot be used", "requires CAP_BPF", "setcap cap_bpf"] {
        assert!(ring.contains(part), "{ring}");
    }
    if can_unprivileged_listen() {
        assert_eq!(auto, "Socket Some(Forbidden)");
        assert_eq!(socket, "Socket Some(NotWanted)");
    } else {
        assert!(auto.contains("no permission to listen") && socket == auto, "{outcome:?}");
    }
}

/// Whether this kernel has the connector; if not, the part of the test is skipped.
fn has_connector() -> bool {
    let connectors = fs::read_to_string("/proc/net/connector").unwrap_or_default();
    let listed = connectors.lines().any(|line| line.starts_with("cn_proc"));
    // The inode numbers in `include/linux/proc_ns.h`.
    let initial = [("pid", 0xefff_fffc_u32), ("user", 0xefff_fffd)].iter().all(|(kind, number)| {
        fs::read_link(format!("/proc/self/ns/{kind}"))
            .is_ok_and(|link| link.as_os_str() == format!("{kind}:[{number}]").as_str())
    });
    if listed && initial {
        return true;
    }
    let required = std::env::var_os("PROC_CONNECTOR_REQUIRE_LIVE").is_some_and(|set| set == "1");
    let reason = "no cn_proc in /proc/net/connector, or not in the initial namespaces";
    assert!(!required || is_connector_disabled(), "{reason}");
    eprintln!("skipped: {reason}");
    false
}

/// Whether the connector was disabled on the kernel's command line.
fn is_connector_disabled() -> bool {
    let parameters = fs::read_to_string("/proc/cmdline").expect("/proc is mounted");
    parameters.split_whitespace().any(|parameter| parameter.starts_with("initcall_blacklist=cn_"))
}

/// Since Linux 6.6, which sets `NL_CFG_F_NONROOT_RECV` in `drivers/connector/connector.c`.
fn can_unprivileged_listen() -> bool {
    kernel_is_at_least(6, 6)
}

fn may_change_ids() -> bool {
    !Uid::effective().is_root()
        || has_capability(CAP_SETUID, "CAP_SETUID") && has_capability(CAP_SETGID, "CAP_SETGID")
}

/// The limit of receive buffers. On Linux 6.1, other network namespaces lack this file.
fn rmem_max() -> usize {
    let limit = fs::read_to_string("/proc/sys/net/core/rmem_max");
    limit.map_or(0, |limit| limit.trim().parse().expect("a number"))
}

/// A larger buffer than an unprivileged process can have.
fn wanted_buffer() -> usize {
    (4 * rmem_max()).min(1 << 30)
}

/// The output of a process that tried to open a connector.
#[derive(Debug)]
struct Outcome(Vec<String>);

/// The output of a process that may not create the namespace.
const FORBIDDEN: &str = "forbidden";

impl Outcome {
    fn run(role: &str) -> Self {
        let output = helper_process::command(role).output().expect("this binary can be started");
        let printed = String::from_utf8(output.stdout).expect("text");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{role}: {}, {printed}{errors}", output.status);
        Self(printed.lines().map(str::to_owned).collect())
    }

    fn is_forbidden(&self) -> bool {
        let forbidden = self.0 == [FORBIDDEN];
        if forbidden {
            eprintln!("skipped: this system does not permit user namespaces");
        }
        forbidden
    }

    /// Asserts that opening failed with an error that contains a cause and a remedy.
    #[track_caller]
    fn assert_fails(&self, error: &str, cause: &str, remedy: &str) {
        let [kind, text, verdict] = self.0.as_slice() else { panic!("{self:?}") };
        assert_eq!(kind, error);
        assert!(text.contains(cause), "{text}");
        assert!(text.contains(remedy), "{text}");
        assert_eq!(verdict, "fails", "the verdict of `diagnose`");
    }

    /// Asserts that opening succeeded, with a receive buffer of this size.
    #[track_caller]
    fn assert_works(&self, granted: usize) {
        let [size, verdict] = self.0.as_slice() else { panic!("{self:?}") };
        assert_eq!(*size, granted.to_string());
        assert_ne!(verdict, "fails", "the verdict of `diagnose`");
    }
}

/// A role: opens a connector, and prints the result.
fn opens() {
    let socket = ProcConnector::builder().transport(Transport::Socket);
    let diagnosis = match socket.receive_buffer(wanted_buffer()).open() {
        Ok(mut connector) => {
            let threads = load::threads(3);
            let (mut recorder, deadline) = (Recorder::default(), Deadline::new());
            // Joining a thread does not wait for the event of its exit.
            while !threads.iter().all(|&thread| recorder.has_exit_of(thread)) {
                recorder.record(&mut connector, deadline.left().expect("reported exits"));
            }
            recorder.assert_has(&threads);
            println!("{}", connector.stats().receive_buffer);
            diagnose()
        }
        Err(error) => {
            print_error(&error);
            error.diagnosis().expect("a diagnosis")
        }
    };
    let verdict: Verdict = diagnosis.verdict();
    println!("{verdict}");
}

fn print_error(error: &Error) {
    println!("{error:?}\n{error}");
}

/// Enters new namespaces, unless this is forbidden, as in some containers and for some users.
fn enter(namespaces: CloneFlags) -> bool {
    match unshare(namespaces) {
        Ok(()) => true,
        Err(Errno::EPERM) => {
            println!("{FORBIDDEN}");
            false
        }
        Err(error) => panic!("no new namespace: {error}"),
    }
}

/// Runs a child that opens a connector, in namespaces created for children only. It has no
/// capabilities if its user is not mapped.
fn let_a_child_open() {
    let status = helper_process::command("opens").status().expect("this binary can be started");
    assert!(status.success());
}

fn opens_in_a_network_namespace() {
    if enter(CloneFlags::CLONE_NEWNET) {
        opens();
    }
}

fn opens_in_a_pid_namespace() {
    if enter(CloneFlags::CLONE_NEWPID) {
        let_a_child_open();
    }
}

/// A role: has all capabilities in the user namespace.
fn opens_in_a_user_namespace() {
    if enter(CloneFlags::CLONE_NEWUSER) {
        opens();
    }
}

fn opens_as_unprivileged_user_in_a_user_namespace() {
    if enter(CloneFlags::CLONE_NEWUSER) {
        let_a_child_open();
    }
}

fn opens_in_a_rootless_container() {
    let all = CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWNET;
    let user = Uid::current();
    if enter(all) {
        fs::write("/proc/self/uid_map", format!("0 {user} 1")).expect("root of its own");
        let_a_child_open();
    }
}

/// Gives up the ids of root, and all capabilities unless they are kept.
fn become_unprivileged_user() {
    if Uid::effective().is_root() {
        let (user, group) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
        setgroups(&[]).expect("CAP_SETGID");
        setresgid(group, group, group).expect("CAP_SETGID");
        setresuid(user, user, user).expect("CAP_SETUID");
    }
}

fn keep(capabilities: CapabilitySet) {
    let sets = CapabilitySets {
        effective: capabilities,
        permitted: capabilities,
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, sets).expect("capabilities can be dropped");
}

fn opens_as_unprivileged_user() {
    become_unprivileged_user();
    keep(CapabilitySet::empty());
    opens();
}

fn opens_as_root_without_privilege() {
    let all = capabilities(None).expect("capabilities").permitted;
    keep(all.difference(CapabilitySet::NET_ADMIN));
    opens();
}

/// A role: has the privileges that `setcap cap_net_admin+ep` grants.
fn opens_with_one_privilege() {
    set_keep_capabilities(true).expect("a flag of this process");
    become_unprivileged_user();
    keep(CapabilitySet::NET_ADMIN);
    opens();
}

fn opens_by_each_transport() {
    for transport in [Transport::Auto, Transport::Ring, Transport::Socket] {
        match ProcConnector::builder().transport(transport).open() {
            Ok(connector) => {
                let Stats { transport, no_ring, .. } = connector.stats();
                println!("{transport:?} {no_ring:?}");
            }
            Err(error) => println!("{error}"),
        }
    }
}

fn opens_by_each_transport_as_unprivileged_user() {
    become_unprivileged_user();
    keep(CapabilitySet::empty());
    opens_by_each_transport();
}
