//! `fork(2)`, for tests.

use std::io;

use super::call::check;

/// Runs `action` in a forked child, and waits for the child to exit.
pub(crate) fn run_in_child(action: impl FnOnce()) -> io::Result<()> {
    // SAFETY: the child has one thread, which runs only `action`. The C library keeps its allocator
    // usable in a forked child.
    let child = unsafe { libc::fork() };
    if child == 0 {
        action();
        // SAFETY: the call takes a number only, and does not return.
        unsafe { libc::_exit(0) };
    }
    let child = check(child)?;
    // SAFETY: a null pointer discards the wait status.
    check(unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) })?;
    Ok(())
}
