//! Prints every event, received as a stream on async-io.
//!
//! `cargo run --example async_io --features async-io`

use futures_lite::{StreamExt, future};
use proc_connector::{Error, ProcConnector, Result};

fn main() -> Result<()> {
    future::block_on(async {
        let mut events = ProcConnector::new()?.into_async_io()?;
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => println!("{event}"),
                Err(Error::Lost(lost)) => eprintln!("lost {lost}"),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    })
}
