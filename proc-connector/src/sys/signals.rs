//! Signal dispositions and handlers.

use std::io;
use std::mem::MaybeUninit;
use std::ptr;

use libc::c_int;

use super::call::check;

/// Whether this process ignores a signal.
pub(super) fn is_ignored(signal: c_int) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: with a null new action the call only writes the present one, to live memory.
    let queried = check(unsafe { libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) });
    // SAFETY: the successful call above initialised it.
    queried.is_ok() && unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN
}

/// Ignores a signal, or restores its default action. Async-signal-safe, so it may be called between
/// fork and exec.
pub(super) fn set_ignored(signal: c_int, ignored: bool) -> io::Result<()> {
    let action = if ignored { libc::SIG_IGN } else { libc::SIG_DFL };
    // SAFETY: both actions are constants of the kernel, not functions.
    let before = unsafe { libc::signal(signal, action) };
    if before == libc::SIG_ERR { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Installs a handler of a signal. The handler does not have to preserve `errno`.
///
/// # Safety
///
/// The handler may interrupt any code: it must restrict itself to atomics and to the functions that
/// `signal-safety(7)` lists.
pub(super) unsafe fn handle(
    signal: c_int,
    handler: impl Fn() + Send + Sync + 'static,
) -> io::Result<()> {
    let handler = move || {
        // SAFETY: the call returns the address of this thread's errno.
        let errno = unsafe { libc::__errno_location() };
        // SAFETY: the address belongs to this thread and is live.
        let before = unsafe { errno.read() };
        handler();
        // SAFETY: as above. The interrupted code may be about to read errno.
        unsafe { errno.write(before) };
    };
    // SAFETY: the caller promises an async-signal-safe handler, and saving errno keeps it so.
    unsafe { signal_hook::low_level::register(signal, handler) }.map(|_| ())
}
