//! Why a ring could not be made.

use std::io;

use super::asm::Unwritable;
use crate::error::Error;
use crate::transport_kind::NoRing;

/// Why a ring could not be made, with what the kernel said.
#[derive(Debug)]
pub(crate) struct RingError {
    pub(crate) reason: NoRing,
    /// The verifier's words.
    pub(crate) log: String,
}

impl RingError {
    pub(crate) fn new(reason: NoRing) -> Self {
        Self { reason, log: String::new() }
    }

    /// A map that the kernel did not make, or a program that it did not attach.
    pub(super) fn from_map_error(error: &io::Error) -> Self {
        Self::new(match error.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => NoRing::Forbidden,
            Some(libc::EINVAL | libc::ENOSYS) | None => NoRing::Unsupported,
            Some(libc::E2BIG | libc::ENOMEM) => NoRing::TooLarge,
            Some(errno) => NoRing::Os(errno),
        })
    }

    /// A program that the kernel did not load.
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

    /// A program that could not be written.
    pub(super) fn from_assembly_error(error: Unwritable) -> Self {
        Self { reason: NoRing::Refused, log: format!("{error:?}") }
    }
}

impl From<RingError> for Error {
    fn from(error: RingError) -> Self {
        Self::RingUnavailable { reason: error.reason, log: error.log }
    }
}
