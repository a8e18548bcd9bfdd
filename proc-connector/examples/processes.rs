//! Prints how long each process lived and how it ended, with its arguments and its container.
//!
//! `cargo run --example processes --features process`

use proc_connector::Result;
use proc_connector::process::{ChangeKinds, Process, ProcessItem, ProcessStream};

fn main() -> Result<()> {
    let stream = ProcessStream::open()?;
    println!("{} processes", stream.table().len());
    for item in stream.only(ChangeKinds::ENDED | ChangeKinds::VANISHED) {
        match item? {
            ProcessItem::Change(change) => println!("{}", end_of(&change.process)),
            ProcessItem::Lost(lost) => eprintln!("lost {lost}"),
        }
    }
    Ok(())
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
