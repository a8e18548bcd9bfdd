//! Prints the forks, execs and exits of processes, and the losses.
//!
//! `cargo run --example watch`

use proc_connector::{EventMask, Filter, Payload, ProcConnector, Received, Result};

fn main() -> Result<()> {
    let wanted = EventMask::FORK | EventMask::EXEC | EventMask::EXIT;
    let mut events =
        ProcConnector::builder().filter(Filter::new(wanted).processes_only()).open()?;
    loop {
        for received in events.recv_batch()? {
            let event = match received {
                Received::Event(event) => event,
                Received::Lost(lost) => {
                    eprintln!("lost {lost}");
                    continue;
                }
            };
            match event.payload() {
                Payload::Fork(e) => println!("{} created {}", e.parent_tgid(), e.child_tgid()),
                Payload::Exec(e) => println!("{} runs a new program", e.process_tgid()),
                Payload::Exit(e) => println!("{} ended: {}", e.process_tgid(), e.status()),
                _ => {}
            }
        }
    }
}
