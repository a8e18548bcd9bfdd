//! Prints how long each process lived and how it ended, with its arguments and its container.
//!
//! `cargo run --example processes --features process`

use proc_connector::ProcConnector;
use proc_connector::process::{ChangeKind, Process, ProcessTable};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut events = ProcConnector::builder().context(true).open()?;
    // Created after the connector, so that no process starts or ends unnoticed in between.
    let mut table = ProcessTable::new()?;
    println!("{} processes", table.len());
    loop {
        let batch = match table.rescan_in() {
            None => events.recv_batch()?,
            Some(time) => events.recv_batch_timeout(time)?,
        };
        for received in batch {
            for change in table.apply(&received) {
                match change.kind {
                    ChangeKind::Ended => println!("{}", end_of(change.process)),
                    ChangeKind::Vanished => println!("{} is gone", change.process.tgid()),
                    _ => {}
                }
            }
        }
        table.rescan_if_due()?;
    }
}

fn end_of(process: &Process) -> String {
    let words = process.args().map(|args| args.iter().collect::<Vec<_>>());
    // Escaped, because a terminal interprets control characters in arguments.
    let command = words.map(|words| words.join(&b' ').escape_ascii().to_string());
    let lived = process.lifetime_ns().map(std::time::Duration::from_nanos);
    format!(
        "{} {}: {:?} after {lived:?}, container {:?}",
        process.tgid(),
        command.unwrap_or_default(),
        process.exit_status(),
        process.container(),
    )
}
