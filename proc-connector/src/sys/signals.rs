//! What becomes of signals: dispositions, and handlers.

use std::io;
use std::mem::MaybeUninit;
use std::ptr;

use libc::c_int;

use super::check;

/// Whether this process ignores a signal.
pub(super) fn is_ignored(signal: c_int) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: without a new action the call only writes the present one to memory that is there.
    let asked = check(unsafe { libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) });
    // SAFETY: the call above has written it.
    asked.is_ok() && unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN
}

/// Sets a signal to its default action, or to be ignored. May be called between fork and exec.
pub(super) fn set_ignored(signal: c_int, ignored: bool) -> io::Result<()> {
    let action = if ignored { libc::SIG_IGN } else { libc::SIG_DFL };
    // SAFETY: neither action is a function of this process.
    let before = unsafe { libc::signal(signal, action) };
    if before == libc::SIG_ERR { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Has `handler` called at a signal.
///
/// # Safety
///
/// The handler runs in the middle of anything: it may only make system calls that `signal-safety(7)`
/// lists, and use atomics.
pub(super) unsafe fn handle(
    signal: c_int,
    handler: impl Fn() + Send + Sync + 'static,
) -> io::Result<()> {
    let handler = move || {
        // SAFETY: gives the place of this thread's errno.
        let errno = unsafe { libc::__errno_location() };
        // SAFETY: the place is this thread's and live.
        let before = unsafe { errno.read() };
        handler();
        // SAFETY: as above. What was interrupted may be about to read it.
        unsafe { errno.write(before) };
    };
    // SAFETY: the caller promises what this asks for, and what is around it does not change that.
    unsafe { signal_hook::low_level::register(signal, handler) }.map(|_| ())
}
