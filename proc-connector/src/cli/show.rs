//! What the forms of output have in common.

use std::io;

use proc_connector::{Received, WallClock};

/// Something that shows what is received.
pub(super) trait Show {
    fn show(&mut self, received: &Received<'_>, clock: &WallClock) -> io::Result<()>;
    fn flush(&mut self) -> io::Result<()>;
}
