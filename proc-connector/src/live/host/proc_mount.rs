//! The file system at `/proc`, and whether it shows the processes that events are about.

use std::ffi::CStr;
use std::fmt;
use std::io;
use std::os::fd::AsFd;

use crate::sys::{FileSystem, ProcDir, exists};

/// The upper limit of a file's length, in bytes. The files read here are much shorter.
const MAX_FILE_LEN: u64 = 4 << 20;

/// Why `/proc` cannot be used.
#[derive(Debug)]
pub(crate) enum Unusable {
    /// It cannot be opened.
    Unreadable(io::Error),
    /// No proc file system is mounted there.
    OtherFileSystem,
    /// It belongs to another pid namespace, in which the same ids are other processes.
    OtherNamespace,
}

impl Unusable {
    /// How to make `/proc` usable, if that is known.
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

/// An error of the system without a remedy is passed on unchanged, so that callers can check its
/// errno.
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

/// Opens `/proc`, and checks that it shows the processes of this pid namespace under their ids.
pub(crate) fn open() -> Result<ProcDir, Unusable> {
    let root = ProcDir::root().map_err(Unusable::Unreadable)?;
    let kind = FileSystem::containing(root.as_fd()).map_err(Unusable::Unreadable)?;
    if kind != FileSystem::PROC {
        return Err(Unusable::OtherFileSystem);
    }
    let own = match root.directory(c"self") {
        Ok(own) => own,
        // This process has no id in the namespace of that `/proc`.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Unusable::OtherNamespace);
        }
        Err(error) => return Err(Unusable::Unreadable(error)),
    };
    let mut buffer = [0; 16];
    let link = root.read_link(c"self", &mut buffer).map_err(Unusable::Unreadable)?;
    let status = own.read_all(c"status", MAX_FILE_LEN).map_err(Unusable::Unreadable)?;
    if is_own(link, &status, std::process::id()) { Ok(root) } else { Err(Unusable::OtherNamespace) }
}

/// Whether `/proc` belongs to this process's pid namespace, by the target of its link `self` and
/// the contents of `self/status`.
///
/// The link must be this process's id. In an outer namespace the process may have the same id by
/// chance, so `NSpid` must list only this id. It lists one id for each namespace from that of
/// `/proc` inwards (since Linux 4.1).
fn is_own(link: &[u8], status: &[u8], id: u32) -> bool {
    let id = id.to_string();
    let mut lines = status.split(|&byte| byte == b'\n');
    let ids = lines.find_map(|line| line.strip_prefix(b"NSpid:"));
    let ids = ids.map(|ids| String::from_utf8_lossy(ids).into_owned());
    link == id.as_bytes() && ids.is_none_or(|ids| ids.split_whitespace().eq([&id]))
}

/// Reads a file of `/proc/self`. Bytes that are not UTF-8, as in process names, are replaced.
pub(crate) fn read_own(name: &CStr) -> io::Result<String> {
    let text = ProcDir::root()?.directory(c"self")?.read_all(name, MAX_FILE_LEN)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Reads a file of `/proc/self/net`. The usual path is `/proc/net`, a link that a `/proc` mounted
/// with `subset=pid` lacks.
pub(crate) fn read_own_net(name: &CStr) -> io::Result<String> {
    let net = ProcDir::root()?.directory(c"self")?.directory(c"net")?;
    let text = net.read_all(name, MAX_FILE_LEN)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Whether a usable `/proc` hides other users' processes (`hidepid`): process 1 exists, but `/proc`
/// does not show it.
pub(crate) fn hides_processes(root: &ProcDir) -> bool {
    let first = root.directory(c"1").and_then(|first| first.read_all(c"stat", MAX_FILE_LEN));
    first.is_err() && exists(1)
}

#[cfg(test)]
mod tests {
    use super::is_own;

    #[test]
    fn a_proc_is_of_this_namespace_if_it_has_this_id_and_no_other() {
        for (link, status, own) in [
            ("42", "Name:\tx\nNSpid:\t42\nVmPeak:\t1 kB\n", true),
            // An outer namespace, in which the id is the same by chance.
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
