//! Where a capture comes from, as its section header says.

use std::env::consts::{ARCH, OS};

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
        let (host, release) = names();
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

/// The names of the machine and of its kernel's release, where they are known.
#[cfg(target_os = "linux")]
fn names() -> (Option<String>, Option<String>) {
    let Ok(names) = crate::sys::uname() else { return (None, None) };
    let known = |name: String| Some(name).filter(|name| !name.is_empty());
    (known(names.node), known(names.release))
}

#[cfg(not(target_os = "linux"))]
fn names() -> (Option<String>, Option<String>) {
    (None, None)
}
