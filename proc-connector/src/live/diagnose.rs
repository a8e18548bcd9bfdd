//! Checks whether, and how well, this process can receive process events.

use std::fs;
use std::num::NonZeroU32;
use std::os::fd::AsFd;
use std::time::Duration;

use proc_connector_core::Filter;
use proc_connector_core::filter::{NamePattern, TreeRoot};

use crate::diagnosis::{Diagnosis, Finding, Verdict, finding};
use crate::error::{Chain, Error, Namespace};
use crate::live::builder::RECEIVE_BUFFER;
use crate::live::connector::ProcConnector;
use crate::live::host::capabilities;
use crate::live::host::kernel::{self, Version, forgets_listeners};
use crate::live::host::namespace;
use crate::live::host::proc_mount;
use crate::live::host::time_namespace::{self, Offsets};
use crate::live::transport::{
    Limits, Notice, QUEUED_EVENT, RingError, RingOptions, RingQueue, Selection, SenderCheck, Wants,
};
use crate::sys::NetlinkSocket;
use crate::transport_kind::{NoRing, Transport};

/// Checks whether, and how well, this process can receive process events.
///
/// It inspects the kernel, the namespaces and the privileges, then opens a connector. It never
/// fails: a check that fails is a [`Finding`] with a remedy.
pub fn diagnose() -> Diagnosis {
    let mut findings = vec![
        check_kernel(),
        check_connector(),
        check_namespace(Namespace::Pid),
        check_namespace(Namespace::User),
        check_time_namespace(),
        check_proc(),
        check_privileges(),
        check_listeners(),
        check_filter(),
    ];
    findings.extend(check_ring());
    findings.extend(check_subscription());
    Diagnosis { findings }
}

fn check_kernel() -> Finding {
    let Some(version) = Version::running() else {
        return finding(
            "kernel",
            Verdict::Limited,
            "the kernel release does not start with a version number",
        );
    };
    let Version(major, minor, patch) = version;
    let name = format!("Linux {major}.{minor}.{patch}");
    if version.forgets_listeners() {
        let fact = format!(
            "{name}, which stops sending events to all listeners once no socket queues one; \
             this library evaluates filters instead"
        );
        return finding("kernel", Verdict::Limited, fact)
            .remedy("update the kernel to 6.6.18, 6.7.6 or later");
    }
    if version < Version(4, 12, 0) {
        let fact = format!("{name}, which does not report how many events were lost");
        return finding("kernel", Verdict::Limited, fact)
            .remedy("update the kernel to 4.12 or later");
    }
    let required =
        if kernel::requires_net_admin() { ", where listening requires CAP_NET_ADMIN" } else { "" };
    finding("kernel", Verdict::Ok, format!("{name}{required}"))
}

/// The remedy for a kernel without the connector.
const OTHER_KERNEL: &str = "use a kernel with CONFIG_CONNECTOR=y and CONFIG_PROC_EVENTS=y";

fn check_connector() -> Finding {
    const CHECK: &str = "connector";
    match kernel::has_proc_events() {
        Some(true) => finding(CHECK, Verdict::Ok, "the kernel has the process events connector"),
        Some(false) => finding(CHECK, Verdict::Fails, "/proc/net/connector has no cn_proc line")
            .remedy(OTHER_KERNEL),
        // Without `/proc`, only the attempt to subscribe shows whether the connector exists.
        None if proc_mount::read_own(c"status").is_err() => {
            finding(CHECK, Verdict::Limited, "/proc/net/connector cannot be read")
                .remedy("mount /proc")
        }
        None => finding(CHECK, Verdict::Fails, "/proc/net/connector is missing").remedy(format!(
            "{}; if that does not help, {OTHER_KERNEL}",
            Namespace::Network.remedy(),
        )),
    }
}

fn check_namespace(kind: Namespace) -> Finding {
    let check = match kind {
        Namespace::Pid => "pid namespace",
        Namespace::User => "user namespace",
        Namespace::Network => "network namespace",
    };
    match namespace::is_initial(kind) {
        Some(true) => finding(check, Verdict::Ok, "the initial namespace"),
        Some(false) => {
            finding(check, Verdict::Fails, "not the initial namespace").remedy(kind.remedy())
        }
        None => finding(check, Verdict::Limited, "cannot be read from /proc/self/ns")
            .remedy("mount /proc"),
    }
}

/// Checks whether time stamps of events can be compared with the clocks of this process.
fn check_time_namespace() -> Finding {
    const CHECK: &str = "time namespace";
    match time_namespace::offsets() {
        Ok(_) if proc_mount::open().is_err() => finding(
            CHECK,
            Verdict::Limited,
            "cannot be read from /proc/self/ns; assuming the initial namespace",
        )
        .remedy("mount /proc"),
        Ok(offsets) if offsets == Offsets::default() => {
            finding(CHECK, Verdict::Ok, "its clocks match the kernel's time stamps")
        }
        Ok(offsets) => {
            let seconds = Duration::from_nanos(offsets.monotonic_ns.unsigned_abs()).as_secs_f64();
            let sign = if offsets.monotonic_ns < 0 { "behind" } else { "ahead of" };
            let fact = format!("its clock is {seconds} s {sign} the kernel's; times are corrected");
            finding(CHECK, Verdict::Ok, fact)
        }
        Err(error) => finding(CHECK, Verdict::Limited, error.to_string())
            .remedy("run in the host's time namespace"),
    }
}

/// Checks whether `/proc` shows the processes that events are about.
fn check_proc() -> Finding {
    const CHECK: &str = "/proc";
    match proc_mount::open() {
        Ok(root) if proc_mount::hides_processes(&root) => {
            finding(CHECK, Verdict::Limited, "other users' processes are hidden (hidepid)").remedy(
                "grant CAP_SYS_PTRACE, join the group of the mount option `gid`, or mount /proc \
                 without `hidepid` (systemd: `ProtectProc=default`)",
            )
        }
        Ok(_) => finding(CHECK, Verdict::Ok, "shows the processes of this pid namespace"),
        Err(unusable) => Finding {
            remedy: unusable.remedy().map(str::to_owned),
            ..finding(CHECK, Verdict::Limited, unusable.to_string())
        },
    }
}

fn check_privileges() -> Finding {
    const CHECK: &str = "privileges";
    match capabilities::has_net_admin() {
        None => finding(CHECK, Verdict::Limited, "cannot be read from /proc/self/status"),
        Some(true) => finding(CHECK, Verdict::Ok, "CAP_NET_ADMIN"),
        Some(false) if kernel::requires_net_admin() => {
            finding(CHECK, Verdict::Fails, "no CAP_NET_ADMIN, which listening requires")
                .remedy("run as root, or grant it with `setcap cap_net_admin+ep PROGRAM`")
        }
        Some(false) => {
            finding(CHECK, Verdict::Limited, "no CAP_NET_ADMIN: the receive buffer is limited")
                .remedy("raise net.core.rmem_max, or grant CAP_NET_ADMIN")
        }
    }
}

fn check_listeners() -> Finding {
    const CHECK: &str = "listeners";
    let Ok(sockets) = proc_mount::read_own_net(c"netlink") else {
        return finding(CHECK, Verdict::Limited, "cannot be read from /proc/net/netlink");
    };
    let ports: Vec<&str> = sockets.lines().filter_map(listening_port).collect();
    let fact = match ports.as_slice() {
        [] => "no other listener is running".to_owned(),
        [port] => format!("one other listener is running, with netlink port {port}"),
        ports => {
            format!(
                "{} other listeners are running, with netlink ports {}",
                ports.len(),
                ports.join(", ")
            )
        }
    };
    finding(CHECK, Verdict::Ok, fact)
}

/// The port of a listener to process events, from a line of `/proc/net/netlink`. `None` for other
/// sockets. The first columns are an address, the family (11 for connectors), the port, and the
/// groups in hexadecimal.
fn listening_port(line: &str) -> Option<&str> {
    let mut columns = line.split_whitespace().skip(1);
    let (family, port, groups) = (columns.next()?, columns.next()?, columns.next()?);
    let groups = u32::from_str_radix(groups, 16).ok()?;
    (family.parse() == Ok(libc::NETLINK_CONNECTOR) && groups & 1 != 0 && port != "0")
        .then_some(port)
}

fn check_filter() -> Finding {
    const CHECK: &str = "filter";
    let attempt = NetlinkSocket::new()
        .map_err(Error::from)
        .and_then(|socket| Selection::new(&Filter::default().processes_only(), &socket));
    match attempt {
        Ok(_) => finding(CHECK, Verdict::Ok, "the kernel accepts filters"),
        Err(error) => finding(CHECK, Verdict::Limited, Chain(&error).to_string())
            .remedy("open without a filter, or allow setsockopt(SO_ATTACH_FILTER)"),
    }
}

/// Creates a small ring, and checks what its records contain and which forged events it refuses.
fn check_ring() -> Vec<Finding> {
    const CHECK: &str = "ring";
    const SOCKET: &str = "the socket refuses all forged events, by their sender";
    const USER_SPACE: &str = "conditions on the acting task are evaluated in user space";
    let attempt = if forgets_listeners() {
        Err(RingError::new(NoRing::GoesDeaf).into())
    } else {
        small_ring(&Filter::default(), Limits::default())
    };
    let error = match attempt {
        Ok(ring) => {
            let (context, check) = (ring.context(), ring.sender_check());
            let usable = finding(CHECK, Verdict::Ok, "usable");
            let recorded = by_memory("context", context.has_ends(), context.to_string());
            let forgeries = match check {
                SenderCheck::Sender(_) => check.to_string(),
                _ => format!("{check}; {SOCKET}"),
            };
            let is_complete = matches!(check, SenderCheck::Sender(_));
            let forgeries = by_memory("forgeries", is_complete, forgeries);
            let conditions = every_condition().is_some_and(|filter| {
                let limits = Limits { share: NonZeroU32::new(1), ..Limits::default() };
                small_ring(&filter, limits).is_ok()
            });
            let fact = if conditions {
                "the kernel evaluates conditions on the acting task"
            } else {
                USER_SPACE
            };
            let conditions = by_memory("task filter", conditions, fact.to_owned());
            return vec![usable, recorded, conditions, forgeries];
        }
        Err(Error::RingUnavailable { reason, .. }) => Finding {
            remedy: reason.remedy().map(str::to_owned),
            ..finding(CHECK, Verdict::Limited, format!("not usable: {}", reason.cause()))
        },
        Err(error) => finding(CHECK, Verdict::Limited, format!("not usable: {}", Chain(&error))),
    };
    let conditions = finding("task filter", Verdict::Ok, USER_SPACE);
    vec![error, conditions, finding("forgeries", Verdict::Ok, SOCKET)]
}

/// A filter with every condition on the acting task.
fn every_condition() -> Option<Filter> {
    let name = NamePattern::exact(b"name");
    let filter = Filter::default().descendants_of(&[TreeRoot::new(1)]).ok()?;
    let filter = filter.descendants_of_programs(&[name]).ok()?.of_users(&[0]).ok()?;
    filter.in_cgroups(&[1]).ok()?.named(&[name]).ok()
}

fn small_ring(filter: &Filter, limits: Limits) -> Result<RingQueue, Error> {
    let socket = NetlinkSocket::new()?;
    let notice = Notice::new()?;
    let wants = Wants { args_len: 1, cwd: true, variables: vec![b"PATH".to_vec()] };
    let options = RingOptions { filter, wants: Some(&wants), limits };
    Ok(RingQueue::open(socket.as_fd(), &options, |_| 0, &notice)?)
}

/// The finding of a check that depends on reading kernel memory.
fn by_memory(check: &'static str, is_complete: bool, fact: String) -> Finding {
    if is_complete {
        return finding(check, Verdict::Ok, fact);
    }
    finding(check, Verdict::Limited, fact).remedy(
        "grant CAP_PERFMON, and use a kernel with CONFIG_DEBUG_INFO_BTF=y \
         (/sys/kernel/btf/vmlinux)",
    )
}

/// Opens a connector over the socket, and checks the size of its buffer.
fn check_subscription() -> Vec<Finding> {
    const CHECK: &str = "subscription";
    let connector = match ProcConnector::builder().transport(Transport::Socket).open() {
        Ok(connector) => connector,
        Err(error) => return vec![finding(CHECK, Verdict::Fails, Chain(&error).to_string())],
    };
    let granted = connector.stats().receive_buffer;
    let limit = fs::read_to_string("/proc/sys/net/core/rmem_max");
    let limit = limit.as_deref().map_or("unknown", str::trim);
    let buffer = format!(
        "{granted} bytes, which hold {} events (net.core.rmem_max is {limit})",
        granted / QUEUED_EVENT
    );
    let buffer = if granted < RECEIVE_BUFFER {
        finding("receive buffer", Verdict::Limited, buffer)
            .remedy("raise net.core.rmem_max, or grant CAP_NET_ADMIN")
    } else {
        finding("receive buffer", Verdict::Ok, buffer)
    };
    vec![finding(CHECK, Verdict::Ok, "the kernel acknowledged the request to listen"), buffer]
}

impl Error {
    /// Runs [`diagnose`](crate::diagnose) if this error is a failure to open a connector: the
    /// checks that passed, those that failed, and the remedies. `None` for errors of a receive.
    pub fn diagnosis(&self) -> Option<Diagnosis> {
        match self {
            Self::PermissionDenied
            | Self::NotInitialNamespace { .. }
            | Self::ConnectorUnavailable
            | Self::FilterRefused(_)
            | Self::RingUnavailable { .. }
            | Self::NotAcknowledged
            | Self::NotLinux => Some(diagnose()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::listening_port;

    #[test]
    fn only_sockets_bound_to_the_connector_group_count_as_listeners() {
        let header = "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode";
        let listener = "000000007d5b5d0e 11  4711       00000001 0        0        0     2        0        8713";
        let kernel = "000000001b9c1ba1 11  0          00000000 0        0        0     2        0        1035";
        let route = "00000000bb1bb6c0 0   4712       00000001 0        0        0     2        0        8714";
        assert_eq!(listening_port(header), None);
        assert_eq!(listening_port(listener), Some("4711"));
        assert_eq!(listening_port(kernel), None);
        assert_eq!(listening_port(route), None);
    }
}
