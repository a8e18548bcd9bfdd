//! Forged messages of other processes never become events.

mod common;

use std::path::Path;
use std::process::ExitCode;

use common::raw::{GROUP, RawSocket, port};
use common::recorder::Recorder;
use common::watch::Seen;
use common::wire::{
    COMM, COREDUMP, EXEC, EXIT, FORK, GID, NEW_KIND, NLMSG_OVERRUN, NONE, PTRACE, SID, UID, event,
    message,
};
use common::{
    CAP_NET_ADMIN, CAP_PERFMON, Deadline, has_capability, load, named, open_live,
    require_capability, transport,
};
use proc_connector::{ProcConnector, ProcEvent, Received, Transport};

fn main() -> ExitCode {
    let tests = named![
        batches_reject_datagrams_of_processes,
        single_receives_reject_datagrams_of_processes,
        a_loss_cannot_be_forged,
    ];
    common::main(&[], &tests)
}

/// An id that the kernel never assigns: its ids are below 2^22.
const UNASSIGNED: u32 = 0x7fff_0001;

/// Sends forged messages to the connector, by multicast and directly if possible. Returns the
/// number of datagrams that must be rejected.
fn forge(connector: &ProcConnector) -> u64 {
    let forger = RawSocket::bound();
    let fake = event(EXEC, &[UNASSIGNED, UNASSIGNED]);
    forger.send(&fake, 0, GROUP);
    let (port, group) = address(connector);
    let malformed = [
        // Longer than any event, and not a message.
        [&fake[..], &[0; 5000]].concat(),
        vec![0xff; 10],
    ];
    for datagram in &malformed {
        forger.send(datagram, port, group);
    }
    let well_formed = well_formed();
    for datagram in &well_formed {
        forger.send(datagram, port, group);
    }
    let sees_sender = transport() == Transport::Socket || program_sees_sender();
    let refused = if sees_sender { well_formed.len() } else { 0 };
    1 + (malformed.len() + refused) as u64
}

/// Events of every kind that the kernel could have sent: about processes that do not exist, about
/// this process, and about another one, caused by it or by this process; kinds that no kernel sends;
/// and an acknowledgement.
fn well_formed() -> Vec<Vec<u8>> {
    let this = std::process::id();
    let mut all = vec![event(NONE, &[0]), event(NONE, &[22])];
    for process in [UNASSIGNED, this, 1] {
        let parent = std::os::unix::process::parent_id();
        all.extend([
            event(FORK, &[this, this, process, process]),
            event(FORK, &[parent, parent, process, process]),
            event(FORK, &[this, this, process, this]),
            event(PTRACE, &[process, process, this, this]),
            event(PTRACE, &[process, process, 0, 0]),
            event(EXIT, &[process, process, 0, 17, parent, parent]),
            event(EXIT, &[process, this, 256, u32::MAX, 0, 0]),
        ]);
        for what in [EXEC, UID, GID, SID, COMM, COREDUMP, NEW_KIND, 1 << 28] {
            all.push(event(what, &[process, process, 0, 0, 0, 0]));
        }
    }
    all
}

/// Whether the ring's program reads the process id of the sender: if it may read kernel memory and knows
/// the kernel's types.
fn program_sees_sender() -> bool {
    Path::new("/sys/kernel/btf/vmlinux").exists() && has_capability(CAP_PERFMON, "CAP_PERFMON")
}

/// The port and the group that reach a connector.
fn address(connector: &ProcConnector) -> (u32, u32) {
    match transport() {
        Transport::Ring => (0, GROUP),
        _ => (port(connector), 0),
    }
}

fn batches_reject_datagrams_of_processes() {
    require_capability(CAP_NET_ADMIN, "CAP_NET_ADMIN, to forge events");
    let mut connector = open_live();
    let mut threads = load::threads(2);
    let forged = forge(&connector);
    threads.extend(load::threads(2));
    let mut recorder = Recorder::default();
    let deadline = Deadline::new();
    while !recorder.has_exits_of(&threads) {
        let left = deadline.left().expect("the exit of a thread that has ended");
        for received in connector.recv_batch_timeout(left).expect("a batch") {
            if let Received::Event(event) = received {
                assert_ne!(Seen::from(event).process(), UNASSIGNED);
            }
            recorder.delivered.push(received.into());
        }
    }
    recorder.assert_has(&threads);
    assert_eq!(recorder.lost(), 0);
    assert_refused(&connector, forged);
}

fn single_receives_reject_datagrams_of_processes() {
    require_capability(CAP_NET_ADMIN, "CAP_NET_ADMIN, to forge events");
    let connector = open_live();
    let forged = forge(&connector);
    let thread = load::threads(1)[0];
    let mut buffer = [0; 128];
    let deadline = Deadline::new();
    loop {
        let left = deadline.left().expect("the exit of a thread that has ended");
        match connector.recv_timeout(&mut buffer, left).expect("no error") {
            Some(ProcEvent::Exec { pid, .. }) => assert_ne!(pid, UNASSIGNED),
            Some(ProcEvent::Exit { pid, .. }) if pid == thread => break,
            _ => {}
        }
    }
    assert_refused(&connector, forged);
}

fn a_loss_cannot_be_forged() {
    require_capability(CAP_NET_ADMIN, "CAP_NET_ADMIN, to forge events");
    let mut connector = open_live();
    let (port, group) = address(&connector);
    RawSocket::bound().send(&message(NLMSG_OVERRUN, &[]), port, group);
    let mut recorder = Recorder::default();
    recorder.mark(&mut connector);
    assert_eq!((recorder.lost(), connector.stats().lost), (0, 0));
    assert_refused(&connector, 1);
}

/// The counter may be larger: other processes may forge messages too.
fn assert_refused(connector: &ProcConnector, forged: u64) {
    let refused = connector.stats().refused;
    assert!(refused >= forged, "{refused} refused of {forged}");
}
