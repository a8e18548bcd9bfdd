//! Why the ring transport is unavailable.

use std::io;

use super::asm::AssemblyError;
use crate::error::Error;
use crate::transport_kind::NoRing;

/// Why the ring transport is unavailable.
#[derive(Debug)]
pub(crate) struct RingError {
    pub(crate) reason: NoRing,
    /// The log of the kernel's verifier. Empty if the program was not the cause.
    pub(crate) log: String,
}

impl RingError {
    pub(crate) fn new(reason: NoRing) -> Self {
        Self { reason, log: String::new() }
    }

    /// For a failure to create a map or attach the program.
    pub(super) fn from_map_error(error: &io::Error) -> Self {
        Self::new(match error.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => NoRing::Forbidden,
            Some(libc::EINVAL | libc::ENOSYS) | None => NoRing::Unsupported,
            Some(libc::E2BIG | libc::ENOMEM) => NoRing::TooLarge,
            Some(errno) => NoRing::Os(errno),
        })
    }

    /// For a failure to load the program.
    pub(super) fn from_load_error(error: &io::Error, log: &[u8]) -> Self {
        let text = log.split(|&byte| byte == 0).next().unwrap_or_default();
        let log = String::from_utf8_lossy(text).trim().to_owned();
        let reason = match error.raw_os_error() {
            Some(libc::EPERM) => NoRing::Forbidden,
            Some(libc::EINVAL | libc::EACCES | libc::E2BIG) => NoRing::Refused,
            Some(libc::ENOSYS) | None => NoRing::Unsupported,
            Some(errno) => NoRing::Os(errno),
        };
        Self { reason, log }
    }

    /// For a failure to assemble the program.
    pub(super) fn from_assembly_error(error: AssemblyError) -> Self {
        Self { reason: NoRing::Refused, log: format!("{error:?}") }
    }
}

impl From<RingError> for Error {
    fn from(error: RingError) -> Self {
        Self::RingUnavailable { reason: error.reason, log: error.log }
    }
}
