//! Prints every event, received in an event loop of the program itself, with mio.
//!
//! `cargo run --example mio`

use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use proc_connector::{ProcConnector, ProcEvent, Received, Result};

fn main() -> Result<()> {
    let mut connector = ProcConnector::builder().open()?;
    let mut poll = Poll::new()?;
    let fd = connector.as_raw_fd();
    poll.registry().register(&mut SourceFd(&fd), Token(0), Interest::READABLE)?;

    let mut ready = Events::with_capacity(8);
    loop {
        if let Err(error) = poll.poll(&mut ready, None) {
            if error.kind() != std::io::ErrorKind::Interrupted {
                return Err(error.into());
            }
        }
        // mio reports only changes, so the loop must receive until nothing is left.
        while drain(&mut connector)? > 0 {}
    }
}

/// Prints what has arrived without waiting, and returns how much it was.
fn drain(connector: &mut ProcConnector) -> Result<usize> {
    let batch = connector.recv_batch_timeout(Duration::ZERO)?;
    Ok(batch
        .map(|received| match received {
            Received::Event(event) => println!("{}", ProcEvent::from(event)),
            Received::Lost(lost) => eprintln!("lost {lost}"),
        })
        .count())
}
