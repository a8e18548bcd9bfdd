//! System errors, with a remedy if a resource limit is the cause.

use std::fmt;
use std::io;

use nix::errno::Errno;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use proc_connector::program::Chain;
use proc_connector::{Error, NoRing};

/// A system error.
pub(super) struct Cause<'a>(pub(super) &'a io::Error);

impl fmt::Display for Cause<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.raw_os_error().map(Errno::from_raw) {
            Some(Errno::EMFILE) => write!(
                f,
                "too many open files: RLIMIT_NOFILE is {}; raise it with `ulimit -n`",
                limit(Resource::RLIMIT_NOFILE),
            ),
            Some(Errno::ENFILE) => f.write_str(
                "too many open files in the whole system; raise fs.file-max with `sysctl`",
            ),
            _ => self.0.fmt(f),
        }
    }
}

/// Why a command could not be started.
pub(super) struct NotStarted<'a>(pub(super) &'a io::Error);

impl fmt::Display for NotStarted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.raw_os_error().map(Errno::from_raw) {
            Some(Errno::EAGAIN) => write!(
                f,
                "too many processes: RLIMIT_NPROC is {}; raise it with `ulimit -u`, or raise the \
                 cgroup's pids.max",
                limit(Resource::RLIMIT_NPROC),
            ),
            _ => Cause(self.0).fmt(f),
        }
    }
}

/// Why an address cannot be used to serve clients.
#[cfg(feature = "prometheus")]
pub(super) struct NotServed<'a> {
    pub(super) address: &'a std::net::SocketAddr,
    pub(super) error: &'a io::Error,
}

#[cfg(feature = "prometheus")]
impl fmt::Display for NotServed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, error } = self;
        write!(f, "cannot listen on {address}: ")?;
        match error.kind() {
            io::ErrorKind::AddrInUse => {
                f.write_str("another program uses this address; choose another with --listen")
            }
            io::ErrorKind::AddrNotAvailable => f.write_str(
                "this machine does not have the address; `ip address` lists those it has",
            ),
            io::ErrorKind::PermissionDenied => {
                write!(f, "{error}; ports below 1024 require CAP_NET_BIND_SERVICE")
            }
            _ => Cause(error).fmt(f),
        }
    }
}

/// An error of the connector, with its sources.
pub(super) struct NotReceived<'a>(pub(super) &'a Error);

impl fmt::Display for NotReceived<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Error::Os(error) => write!(f, "system call error: {}", Cause(error)),
            // The log comes from the verifier, which is not the cause.
            Error::RingUnavailable { reason: NoRing::Os(errno), .. } => {
                let error = io::Error::from_raw_os_error(*errno);
                write!(f, "the ring cannot be used: {}", Cause(&error))
            }
            error => Chain(error).fmt(f),
        }
    }
}

fn limit(resource: Resource) -> String {
    match getrlimit(resource) {
        Ok((soft, _)) if soft == RLIM_INFINITY => "unlimited".to_owned(),
        Ok((soft, _)) => soft.to_string(),
        Err(_) => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Cause, Errno, Error, NoRing, NotReceived, NotStarted, io};

    #[test]
    fn a_limit_comes_with_its_name_and_what_raises_it() {
        let of = |errno: Errno| io::Error::from(errno);
        for (text, parts) in [
            (Cause(&of(Errno::EMFILE)).to_string(), ["RLIMIT_NOFILE is ", "ulimit -n"]),
            (Cause(&of(Errno::ENFILE)).to_string(), ["whole system", "fs.file-max"]),
            (NotStarted(&of(Errno::EAGAIN)).to_string(), ["RLIMIT_NPROC is ", "pids.max"]),
            (NotStarted(&of(Errno::EMFILE)).to_string(), ["RLIMIT_NOFILE is ", "ulimit -n"]),
            (NotReceived(&Error::Os(of(Errno::EMFILE))).to_string(), ["system call", "ulimit -n"]),
        ] {
            assert!(parts.iter().all(|part| text.contains(part)), "{text}");
        }
        let reason = NoRing::Os(Errno::EMFILE as i32);
        let error = Error::RingUnavailable { reason, log: "processed 226 insns".to_owned() };
        let text = NotReceived(&error).to_string();
        assert!(text.contains("ulimit -n") && !text.contains("226"), "{text}");
        assert_eq!(Cause(&of(Errno::EACCES)).to_string(), of(Errno::EACCES).to_string());
        let text = NotReceived(&Error::FilterRefused(of(Errno::ENOMEM))).to_string();
        assert_eq!(text, format!("the kernel refused the filter: {}", of(Errno::ENOMEM)));
    }
}
