//! State that this process inherited and that Rust's runtime changes before `main`: the runtime
//! ignores SIGPIPE, and opens `/dev/null` in place of a closed standard stream.

use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::call::check;
use super::signals::is_ignored;

/// Whether SIGPIPE was ignored.
static SIGPIPE_IGNORED: AtomicBool = AtomicBool::new(false);

/// Which of the descriptors 0, 1 and 2 were closed.
static CLOSED: [AtomicBool; 3] = [const { AtomicBool::new(false) }; 3];

// The C runtime calls the functions in this section before `main`, in which Rust's runtime makes
// its changes.
// SAFETY: the section holds pointers to functions that return nothing and may ignore their
// arguments, which `record_state` is.
#[used]
#[unsafe(link_section = ".init_array")]
static RECORD_STATE: extern "C" fn() = record_state;

/// Runs before Rust's runtime is initialised, so it only makes system calls and stores numbers.
extern "C" fn record_state() {
    SIGPIPE_IGNORED.store(is_ignored(libc::SIGPIPE), Relaxed);
    for (fd, closed) in (0..).zip(&CLOSED) {
        // SAFETY: the call takes numbers only.
        let flags = check(unsafe { libc::fcntl(fd, libc::F_GETFD) });
        closed.store(flags.is_err(), Relaxed);
    }
}

/// Whether SIGPIPE was ignored when this process started.
pub(super) fn ignored_sigpipe() -> bool {
    SIGPIPE_IGNORED.load(Relaxed)
}

/// Whether a standard stream, descriptor 0, 1 or 2, was closed when this process started.
pub fn was_closed(fd: RawFd) -> bool {
    let closed = usize::try_from(fd).ok().and_then(|fd| CLOSED.get(fd));
    closed.is_some_and(|closed| closed.load(Relaxed))
}
