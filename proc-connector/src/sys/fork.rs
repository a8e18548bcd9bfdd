//! A child of this process, for tests.

use std::io;

/// Runs `action` in a child of this process, which ends without anything else, and waits for that.
pub(crate) fn run_in_child(action: impl FnOnce()) -> io::Result<()> {
    // SAFETY: the child has one thread and runs `action` alone. The allocator, which that may use,
    // is in order after a fork.
    let child = unsafe { libc::fork() };
    if child == 0 {
        action();
        // SAFETY: the call takes a number only, and nothing follows it.
        unsafe { libc::_exit(0) };
    }
    let child = super::check(child)?;
    // SAFETY: the kernel writes nothing through a null pointer.
    super::check(unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) })?;
    Ok(())
}
