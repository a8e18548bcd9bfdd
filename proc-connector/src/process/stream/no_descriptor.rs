//! Replaces `descriptor` on systems where nothing is received.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::platform::ProcConnector;

#[derive(Debug)]
pub(super) struct Descriptor(());

impl Descriptor {
    pub(super) fn new(_: &ProcConnector) -> Result<Self> {
        Err(Error::NotLinux)
    }

    pub(super) fn update(&self, _: bool, _: Option<Duration>) {
        let () = self.0;
    }
}
