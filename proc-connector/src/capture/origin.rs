//! Where a capture comes from, as its section header says.

use std::env::consts::{ARCH, OS};

use crate::platform::host_names;

/// Where a capture comes from, for people who find it later. Nothing depends on it.
///
/// ```
/// use proc_connector::capture::{Origin, Writer};
///
/// let mut origin = Origin::this_machine();
/// origin.host = None; // for a capture that is to be shown to others
/// let writer = Writer::with_origin(Vec::new(), &origin)?;
/// writer.finish()?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Origin {
    /// The program that recorded it (`shb_userappl`).
    pub application: Option<String>,
    /// The machine's name, in a comment.
    pub host: Option<String>,
    /// The operating system and its version (`shb_os`).
    pub os: Option<String>,
    /// The machine's architecture (`shb_hardware`).
    pub hardware: Option<String>,
    /// Which events were recorded, if not all (`if_filter`).
    pub filter: Option<String>,
}

impl Origin {
    /// What this machine says of itself, its name included.
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
