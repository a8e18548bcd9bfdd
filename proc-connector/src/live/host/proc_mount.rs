//! What is mounted at `/proc`, and whether it says anything about the processes of the events.

use std::ffi::CStr;
use std::fmt;
use std::io;
use std::os::fd::AsFd;

use crate::sys::{FileSystem, ProcDir, exists};

/// More than any file of `/proc/self` that is read here has.
const MUCH: u64 = 4 << 20;

/// Why `/proc` cannot be used.
#[derive(Debug)]
pub(crate) enum Unusable {
    /// It cannot be opened.
    Unreadable(io::Error),
    /// Something else is mounted there, or nothing.
    OtherFileSystem,
    /// It has the processes of another pid namespace, whose ids are other processes' here.
    OtherNamespace,
}

impl Unusable {
    /// What to do about it, where there is something to do.
    pub(crate) fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::Unreadable(error) if error.kind() != io::ErrorKind::NotFound => None,
            _ => Some("run `mount -t proc proc /proc` in this pid namespace"),
        }
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => write!(f, "cannot read /proc: {error}"),
            Self::OtherFileSystem => f.write_str("no proc file system is mounted at /proc"),
            Self::OtherNamespace => {
                f.write_str("/proc belongs to another pid namespace, whose ids differ")
            }
        }
    }
}

impl std::error::Error for Unusable {}

/// Errors of the system as they are, so that they can be told apart by their number.
#[cfg(feature = "process")]
impl From<Unusable> for io::Error {
    fn from(unusable: Unusable) -> Self {
        let kind = match &unusable {
            Unusable::Unreadable(error) => error.kind(),
            _ => io::ErrorKind::Unsupported,
        };
        match (unusable.remedy(), unusable) {
            (Some(remedy), unusable) => Self::new(kind, format!("{unusable}: {remedy}")),
            (None, Unusable::Unreadable(error)) => error,
            (None, unusable) => Self::new(kind, unusable),
        }
    }
}

/// Opens `/proc`, if that has the processes of this pid namespace under their ids.
pub(crate) fn open() -> Result<ProcDir, Unusable> {
    let root = ProcDir::root().map_err(Unusable::Unreadable)?;
    let kind = FileSystem::containing(root.as_fd()).map_err(Unusable::Unreadable)?;
    if kind != FileSystem::PROC {
        return Err(Unusable::OtherFileSystem);
    }
    let own = match root.directory(c"self") {
        Ok(own) => own,
        // This process has no id there.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Unusable::OtherNamespace);
        }
        Err(error) => return Err(Unusable::Unreadable(error)),
    };
    let mut buffer = [0; 16];
    let link = root.read_link(c"self", &mut buffer).map_err(Unusable::Unreadable)?;
    let status = own.read_all(c"status", MUCH).map_err(Unusable::Unreadable)?;
    if is_own(link, &status, std::process::id()) { Ok(root) } else { Err(Unusable::OtherNamespace) }
}

/// Whether the link `self` and the file `status` behind it are those of a `/proc` where this process
/// has the id it has in its own namespace. In an outer namespace it may by chance have the same id,
/// so the kernel's list of ids has to be looked at too: one from each namespace, from that of `/proc`
/// inwards (since Linux 4.1).
fn is_own(link: &[u8], status: &[u8], id: u32) -> bool {
    let id = id.to_string();
    let mut lines = status.split(|&byte| byte == b'\n');
    let ids = lines.find_map(|line| line.strip_prefix(b"NSpid:"));
    let ids = ids.map(|ids| String::from_utf8_lossy(ids).into_owned());
    link == id.as_bytes() && ids.is_none_or(|ids| ids.split_whitespace().eq([&id]))
}

/// Reads a file of `/proc/self`. Names in it may be any bytes.
pub(crate) fn read_own(name: &CStr) -> io::Result<String> {
    let text = ProcDir::root()?.directory(c"self")?.read_all(name, MUCH)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Reads a file of `/proc/net`, which is a link to a directory of the process that asks: a `/proc` with
/// nothing but processes (`subset=pid`) lacks the link.
pub(crate) fn read_own_net(name: &CStr) -> io::Result<String> {
    let net = ProcDir::root()?.directory(c"self")?.directory(c"net")?;
    let text = net.read_all(name, MUCH)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Whether a usable `/proc` leaves out other users' processes (`hidepid`), as far as the first process
/// shows.
pub(crate) fn hides_processes(root: &ProcDir) -> bool {
    let first = root.directory(c"1").and_then(|first| first.read_all(c"stat", MUCH));
    first.is_err() && exists(1)
}

#[cfg(test)]
mod tests {
    use super::is_own;

    #[test]
    fn a_proc_is_this_namespaces_if_it_has_one_id_and_the_right_one() {
        for (link, status, own) in [
            ("42", "Name:\tx\nNSpid:\t42\nVmPeak:\t1 kB\n", true),
            // An outer namespace's, where the id is the same by chance.
            ("42", "Name:\tx\nNSpid:\t42\t42\n", false),
            ("1042", "Name:\tx\nNSpid:\t1042\t42\n", false),
            ("41", "Name:\tx\nNSpid:\t41\n", false),
            // Before Linux 4.1.
            ("42", "Name:\tx\n", true),
            ("41", "", false),
            ("", "", false),
        ] {
            assert_eq!(is_own(link.as_bytes(), status.as_bytes(), 42), own, "{link} {status:?}");
        }
    }
}
