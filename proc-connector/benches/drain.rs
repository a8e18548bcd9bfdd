//! Draining a backlog of 20,000 real events: `recv_batch` beside a bare `recvmmsg` loop that looks
//! at nothing, and beside the released 0.3.0, all of the same events.
//!
//! `cargo bench --bench drain`; needs the connector, and `CAP_NET_ADMIN` for the buffers.

mod support;

use std::io::IoSliceMut;
use std::time::Duration;

use nix::sys::socket::{MsgFlags, MultiHeaders, NetlinkAddr, recvmmsg, setsockopt, sockopt};
use proc_connector::{Payload, ProcConnector, Received};
use support::{Forkers, fork_if_asked, median, spread, thread_time};

const FORKS: u64 = 10_000;
const ROUNDS: usize = 15;
const BUFFER: usize = 64 << 20;

fn main() {
    if fork_if_asked() {
        return;
    }
    let mut figures: [Vec<f64>; 3] = Default::default();
    for round in 0..ROUNDS {
        let mut ours = open();
        let bare = open();
        let peer = proc_connector_peer::ProcConnector::new().expect("0.3.0 opens");
        setsockopt(&peer, sockopt::RcvBufForce, &(BUFFER / 2)).expect("CAP_NET_ADMIN");
        Forkers::for_forks(FORKS).run();
        // Each takes each place equally often: caches favour who comes later.
        for place in 0..3 {
            let who = (place + round) % 3;
            let start = thread_time();
            let events = match who {
                0 => drain_bare(&bare),
                1 => drain_batches(&mut ours),
                _ => drain_peer(&peer),
            };
            let time = thread_time().saturating_sub(start).as_secs_f64() * 1e9;
            assert!(events >= 2 * FORKS, "{events} events");
            #[expect(clippy::cast_precision_loss, reason = "some 20,000")]
            figures[who].push(time / events as f64);
        }
    }
    let names = ["bare recvmmsg, nothing read", "recv_batch, every field", "0.3.0 recv"];
    let bare = median(&figures[0]);
    println!("{:<30} {:>12} {:>14} {:>10}", "drain, 20,000 events", "ns/event", "spread", "ratio");
    for (name, figures) in names.iter().zip(&figures) {
        let middle = median(figures);
        println!("{name:<30} {middle:>12.0} {:>14} {:>10.2}", spread(figures), middle / bare);
    }
}

fn open() -> ProcConnector {
    let builder = ProcConnector::builder().receive_buffer(BUFFER).coalesce(Duration::ZERO);
    builder.open().expect("a live connector")
}

fn drain_batches(connector: &mut ProcConnector) -> u64 {
    let (mut events, mut sum) = (0, 0u64);
    loop {
        let batch = connector.recv_batch_timeout(Duration::ZERO).expect("a batch");
        let mut any = false;
        for received in batch {
            let Received::Event(event) = received else { panic!("{received:?}") };
            any = true;
            events += 1;
            sum += event.timestamp_ns() + u64::from(event.cpu()) + u64::from(event.seq());
            sum += u64::from(match event.payload() {
                Payload::Fork(e) => {
                    e.parent_pid() ^ e.parent_tgid() ^ e.child_pid() ^ e.child_tgid()
                }
                Payload::Exit(e) => {
                    e.process_pid() ^ e.process_tgid() ^ e.exit_code() ^ e.exit_signal()
                }
                _ => 0,
            });
        }
        if !any {
            std::hint::black_box(sum);
            return events;
        }
    }
}

fn drain_bare(connector: &ProcConnector) -> u64 {
    let mut buffers = vec![[0u8; 128]; 256];
    let mut headers = MultiHeaders::<NetlinkAddr>::preallocate(256, None);
    let mut events = 0;
    loop {
        let mut parts: Vec<[IoSliceMut<'_>; 1]> =
            buffers.iter_mut().map(|buffer| [IoSliceMut::new(buffer)]).collect();
        let flags = MsgFlags::MSG_DONTWAIT;
        match recvmmsg(connector.as_raw_fd(), &mut headers, parts.iter_mut(), flags, None) {
            Ok(received) => events += received.count() as u64,
            Err(nix::errno::Errno::EAGAIN) => return events,
            Err(error) => panic!("{error}"),
        }
    }
}

fn drain_peer(connector: &proc_connector_peer::ProcConnector) -> u64 {
    connector.set_nonblocking().expect("a socket");
    let (mut events, mut buffer) = (0, [0; 4096]);
    while connector.recv(&mut buffer).is_ok() {
        events += 1;
    }
    events
}
