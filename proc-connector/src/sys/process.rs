//! Other processes, by their ids.

use std::io;

/// Whether a process with this id exists, as far as this process's pid namespace shows.
pub(crate) fn process_exists(id: u32) -> bool {
    let Ok(id) = libc::pid_t::try_from(id) else { return false };
    // SAFETY: the call takes numbers only, and signal 0 is never delivered.
    let sent = unsafe { libc::kill(id, 0) };
    sent == 0 || io::Error::last_os_error().raw_os_error() != Some(libc::ESRCH)
}

/// Runs `action` in a child of this process, which ends without anything else, and waits for that.
#[cfg(test)]
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
