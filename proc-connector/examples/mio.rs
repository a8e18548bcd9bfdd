//! Prints every event, received in the program's own event loop with mio.
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
        // mio reports only changes of readiness, so receive until nothing is queued.
        while drain(&mut connector)? > 0 {}
    }
}

/// Prints the queued items without waiting, and returns their number.
fn drain(connector: &mut ProcConnector) -> Result<usize> {
    let batch = connector.recv_batch_timeout(Duration::ZERO)?;
    Ok(batch
        .map(|received| match received {
            Received::Event(event) => println!("{}", ProcEvent::from(event)),
            Received::Lost(lost) => eprintln!("lost {lost}"),
        })
        .count())
}
