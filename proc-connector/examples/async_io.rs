//! Prints every event, received as a stream on async-io.
//!
//! `cargo run --example async_io --features async-io`

use futures_lite::{StreamExt, future};
use proc_connector::{OwnedReceived, ProcConnector, ProcEvent, Result};

fn main() -> Result<()> {
    future::block_on(async {
        let mut events = ProcConnector::builder().open()?.into_async_io()?;
        while let Some(received) = events.next().await {
            match received? {
                OwnedReceived::Event(event) => println!("{}", ProcEvent::from(event)),
                OwnedReceived::Lost(lost) => eprintln!("lost {lost}"),
            }
        }
        Ok(())
    })
}
