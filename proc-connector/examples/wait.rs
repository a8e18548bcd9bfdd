//! Waits for processes, and prints how each ended. They need not be children.
//!
//! `cargo run --example wait --features process -- PID...`

use proc_connector::process::{ChangeKinds, ExitWaiter, ProcessStream};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Without a connector, the wait uses the descriptors of the processes alone.
    let stream = ProcessStream::open().inspect_err(|error| eprintln!("{error}"));
    // The program reads no changes, so the stream need not queue any.
    let mut stream = stream.ok().map(|stream| stream.only(ChangeKinds::empty()));
    let mut waiter = ExitWaiter::new();
    for pid in std::env::args().skip(1) {
        waiter.add(pid.parse()?)?;
    }
    while !waiter.is_empty() {
        let exit = match &mut stream {
            Some(stream) => stream.next_exit(&mut waiter, None)?,
            None => waiter.wait(None)?,
        };
        let Some(exit) = exit else { continue };
        match exit.status() {
            Some(status) => println!("{}: {status}", exit.tgid()),
            None => println!("{}: ended, status unknown", exit.tgid()),
        }
    }
    Ok(())
}
