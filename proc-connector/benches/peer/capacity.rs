//! How many events a buffer of 8 MiB holds while nothing is read, counted up to the first loss.
//!
//! `cargo bench --bench capacity` in this directory; needs the connector, `CAP_NET_ADMIN` for the
//! buffer, and `CAP_BPF`.

mod support;

use std::time::Duration;

use proc_connector::{ProcConnector, Received, Transport};
use support::{Forkers, Table, fork_if_requested};

const BYTES: usize = 8 << 20;

fn main() {
    if fork_if_requested() {
        return;
    }
    let mut table = Table::new(["8 MiB hold", "events", "bytes an event", "reported by stats"]);
    for (name, transport, context) in [
        ("ring", Transport::Ring, false),
        ("ring with context", Transport::Ring, true),
        ("socket", Transport::Socket, false),
    ] {
        let builder = ProcConnector::builder().transport(transport).context(context);
        let connector = builder.receive_buffer(BYTES).open().expect("a listener");
        let stats = connector.stats();
        let events = held(connector);
        #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
        let bytes = stats.receive_buffer as f64 / events as f64;
        table.row([
            name.to_owned(),
            events.to_string(),
            format!("{bytes:.0}"),
            stats.receive_buffer_events.to_string(),
        ]);
    }
    table.print();
}

/// Makes more events than fit, and counts those before the first loss.
fn held(mut connector: ProcConnector) -> u64 {
    let capacity = connector.stats().receive_buffer_events as u64;
    Forkers::for_forks(capacity).run();
    let mut events = 0;
    loop {
        let before = events;
        for received in connector.recv_batch_timeout(Duration::ZERO).expect("a batch") {
            match received {
                Received::Event(_) => events += 1,
                Received::Lost(_) => return events,
            }
        }
        assert_ne!(events, before, "twice the capacity was made, and nothing lost");
    }
}
