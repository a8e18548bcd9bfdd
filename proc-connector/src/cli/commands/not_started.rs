//! Why a command cannot be run. The exit status depends on whether its file exists.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The search path of the C library if PATH is unset.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// Corrects the error of a command that cannot be run: the kind is "not found" only if the file of the
/// command does not exist.
///
/// execvp(3) also reports "not found" for a script whose interpreter is missing. If a directory of
/// PATH cannot be searched, it reports "permission denied" for a command that no directory has.
pub(super) fn reason(name: &OsStr, error: io::Error) -> io::Error {
    let path = std::env::var_os("PATH").unwrap_or_else(|| OsString::from(DEFAULT_PATH));
    match (error.kind(), exists(name, &path)) {
        (io::ErrorKind::NotFound, true) => {
            io::Error::other("the file exists, but its interpreter or loader does not")
        }
        (io::ErrorKind::PermissionDenied, false) if !has_slash(name) => {
            io::ErrorKind::NotFound.into()
        }
        _ => error,
    }
}

fn has_slash(name: &OsStr) -> bool {
    name.as_bytes().contains(&b'/')
}

/// Whether the file of a command exists.
fn exists(name: &OsStr, path: &OsStr) -> bool {
    if has_slash(name) {
        return Path::new(name).exists();
    }
    !name.is_empty() && std::env::split_paths(path).any(|place| place.join(name).is_file())
}

#[cfg(test)]
mod tests {
    use std::io::{Error, ErrorKind};

    use super::reason;

    #[test]
    fn only_what_is_nowhere_is_not_found() {
        let (not_found, denied) = (ErrorKind::NotFound, ErrorKind::PermissionDenied);
        for (name, error, expected) in [
            ("no-such-program", not_found, not_found),
            ("no-such-program", denied, not_found),
            ("/no/such/program", not_found, not_found),
            ("/proc/self/exe", not_found, ErrorKind::Other),
            ("/proc/self/exe", denied, denied),
            ("/no/such/program", denied, denied),
            ("", denied, not_found),
        ] {
            assert_eq!(
                reason(name.as_ref(), Error::from(error)).kind(),
                expected,
                "{name} {error}"
            );
        }
    }
}
