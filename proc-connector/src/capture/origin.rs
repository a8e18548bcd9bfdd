//! The origin of a capture, stored in its section header.

use std::env::consts::{ARCH, OS};

use crate::platform::host_names;

/// The start of the comment with the host name.
pub(super) const RECORDED_ON: &str = "recorded on ";

/// The host name in a comment of a section.
pub(super) fn host(comment: &[u8]) -> Option<&[u8]> {
    comment.strip_prefix(RECORDED_ON.as_bytes()).filter(|name| !name.is_empty())
}

/// Describes the origin of a capture for human readers. Reading does not depend on it.
///
/// ```
/// use proc_connector::capture::{Origin, Writer};
///
/// let mut origin = Origin::this_machine();
/// origin.host = None; // the capture will be published
/// let writer = Writer::with_origin(Vec::new(), &origin)?;
/// writer.finish()?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Origin {
    /// The program that recorded the capture (`shb_userappl`).
    pub application: Option<String>,
    /// The host name, stored in a comment.
    pub host: Option<String>,
    /// The operating system and its version (`shb_os`).
    pub os: Option<String>,
    /// The machine's architecture (`shb_hardware`).
    pub hardware: Option<String>,
    /// The filter that selected the recorded events, if any (`if_filter`).
    pub filter: Option<String>,
}

impl Origin {
    /// The description of this machine, including its host name.
    pub fn this_machine() -> Self {
        let (host, release) = host_names();
        let release = release.map(|release| format!("Linux {release}"));
        Self {
            application: Some(concat!("proc-connector ", env!("CARGO_PKG_VERSION")).to_owned()),
            host,
            os: release.or_else(|| Some(OS.to_owned())),
            hardware: Some(ARCH.to_owned()),
            filter: None,
        }
    }
}
