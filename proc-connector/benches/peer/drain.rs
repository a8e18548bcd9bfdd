//! Drains a backlog of 20,000 real events: over the ring, over the socket, with a plain `recvfrom`
//! loop that ignores the contents, and with the released 0.3.0. All drain the same events.
//!
//! `cargo bench --bench drain` in this directory; needs the connector, `CAP_NET_ADMIN` for the
//! buffers, and `CAP_BPF`.

mod support;

use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{NetlinkAddr, recvfrom, setsockopt, sockopt};
use support::listener::{Listener, Open, RING, RING_WITH_CONTEXT, SOCKET};
use support::{Forkers, Table, fork_if_requested, median, spread, thread_time};

const FORKS: u64 = 10_000;
/// In a cycle of rounds, each listener precedes and follows each other listener equally often. The
/// order matters: all sockets share memory, which the last socket frees, and caches favour the
/// sockets in between.
const CYCLES: usize = 3;
const ROUNDS: usize = LISTENERS.len() * (LISTENERS.len() - 1);
const BUFFER: usize = 80_000;
/// How often a round is repeated if other processes cause so many events that a buffer overflows.
const RETRIES: usize = 10;

/// The listeners; their number must be prime. The first ignores the contents.
const LISTENERS: [Listener; 5] = [SOCKET, SOCKET, RING, RING_WITH_CONTEXT, Listener::Peer];
const PEER: usize = LISTENERS.len() - 1;

fn main() {
    if fork_if_requested() {
        return;
    }
    let mut figures: [Vec<f64>; LISTENERS.len()] = Default::default();
    for number in 0..CYCLES * ROUNDS {
        let times = std::iter::repeat_with(|| round(number)).take(RETRIES).flatten().next();
        let times = times.expect("the other processes of this machine cause few events");
        for (figures, time) in figures.iter_mut().zip(times) {
            figures.push(time);
        }
    }
    let figures: [Vec<f64>; LISTENERS.len()] =
        figures.map(|figures| figures.chunks(ROUNDS).map(mean).collect());
    let times = |one: &[f64], other: &[f64]| {
        let ratios: Vec<f64> = one.iter().zip(other).map(|(one, other)| one / other).collect();
        format!("{:.2} times", median(&ratios))
    };
    let mut table =
        Table::new(["drain, 20,000 events", "ns/event", "least to most", "of bare", "0.3.0 costs"]);
    let (bare, peer) = (&figures[0], &figures[PEER]);
    for (index, (listener, figures)) in LISTENERS.iter().zip(&figures).enumerate() {
        let name = if index == 0 { "bare recvfrom, nothing read" } else { listener.name() };
        table.row([
            name.to_owned(),
            format!("{:.1}", median(figures)),
            spread(figures),
            times(figures, bare),
            times(peer, figures),
        ]);
    }
    table.print();
}

/// The time for each event, in ns, of each listener. `None` if a buffer overflowed.
fn round(number: usize) -> Option<[f64; LISTENERS.len()]> {
    let mut open = LISTENERS.map(|listener| listener.open(Some(BUFFER)).expect("a listener"));
    if let Open::Peer(peer, _) = &open[PEER] {
        setsockopt(peer, sockopt::RcvBufForce, &(BUFFER * 832 / 2)).expect("CAP_NET_ADMIN");
    }
    Forkers::for_forks(FORKS).run();
    // The kernel sends a thread's exit after the thread can be joined.
    std::thread::sleep(Duration::from_millis(5));
    let mut times = [0.0; LISTENERS.len()];
    for place in 0..LISTENERS.len() {
        let step = number / LISTENERS.len() % (LISTENERS.len() - 1) + 1;
        let index = (place * step + number) % LISTENERS.len();
        let start = thread_time();
        let events = if index == 0 { drain_bare(&open[0])? } else { drain(&mut open[index])? };
        let time = thread_time().saturating_sub(start).as_secs_f64() * 1e9;
        assert!(events >= 2 * FORKS, "{events} events");
        #[expect(clippy::cast_precision_loss, reason = "some 20,000")]
        let events = events as f64;
        times[index] = time / events;
    }
    Some(times)
}

#[expect(clippy::cast_precision_loss, reason = "a handful")]
fn mean(figures: &[f64]) -> f64 {
    figures.iter().sum::<f64>() / figures.len() as f64
}

/// Reads all events and returns their number, or `None` if some were lost.
fn drain(listener: &mut Open) -> Option<u64> {
    if let Open::Peer(peer, buffer) = listener {
        peer.set_nonblocking().expect("a socket");
        let mut events = 0;
        while peer.recv(&mut buffer[..]).is_ok() {
            events += 1;
        }
        return Some(events);
    }
    let (mut events, mut sum) = (0, 0);
    loop {
        let taken = listener.receive(Some(Duration::ZERO), |_| {});
        if taken.lost > 0 {
            return None;
        }
        events += taken.events;
        sum += taken.sum;
        if taken.events == 0 {
            std::hint::black_box(sum);
            return Some(events);
        }
    }
}

fn drain_bare(listener: &Open) -> Option<u64> {
    let Open::Batches(connector) = listener else { panic!("a socket of this crate") };
    connector.set_nonblocking().expect("a socket");
    let socket = connector.as_raw_fd();
    let mut buffers = vec![[0u8; 80]; 256];
    let mut events = 0;
    loop {
        for buffer in &mut buffers {
            match recvfrom::<NetlinkAddr>(socket, buffer) {
                Ok((_, sender)) => assert_eq!(sender.map(|address| address.pid()), Some(0)),
                Err(Errno::EAGAIN) => return Some(events),
                Err(Errno::ENOBUFS) => return None,
                Err(error) => panic!("{error}"),
            }
            events += 1;
        }
    }
}
