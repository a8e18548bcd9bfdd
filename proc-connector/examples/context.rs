//! Prints each exec: process id, user id and arguments, as the kernel recorded them at the event.
//!
//! `cargo run --example context`; requires `CAP_BPF`, `CAP_NET_ADMIN` and `CAP_PERFMON`.

use proc_connector::{EventMask, Filter, ProcConnector, Received, Transport};

fn main() -> proc_connector::Result<()> {
    let mut events = ProcConnector::builder()
        .filter(Filter::new(EventMask::EXEC))
        .transport(Transport::Ring)
        .context(true)
        .open()?;
    loop {
        for received in events.recv_batch()? {
            let Received::Event(event) = received else { continue };
            let Some(context) = event.context() else { continue };
            // Escaped, because a terminal interprets control characters in arguments.
            let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
            println!(
                "{} {} {}",
                context.tgid().map_or("?".into(), |tgid| tgid.to_string()),
                context.uid().map_or("?".into(), |uid| uid.to_string()),
                context.args().map_or("?".into(), |args| {
                    args.iter().map(text).collect::<Vec<_>>().join(" ")
                }),
            );
        }
    }
}
