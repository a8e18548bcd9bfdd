//! Prints every event, and the number of events once a second, on tokio.
//!
//! `cargo run --example tokio --features tokio`

use std::time::Duration;

use proc_connector::{ProcConnector, ProcEvent, Received, Result};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut events = ProcConnector::builder().open()?.into_tokio()?;
    let mut second = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            // The timer cancels this future once a second, which loses no event.
            batch = events.recv_batch() => {
                for received in batch? {
                    match received {
                        Received::Event(event) => println!("{}", ProcEvent::from(event)),
                        Received::Lost(lost) => eprintln!("lost {lost}"),
                    }
                }
            }
            _ = second.tick() => {
                println!("{} events so far", events.get_ref().stats().received);
            }
        }
    }
}
