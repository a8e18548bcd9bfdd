//! Other processes, by their ids.

use std::io;

/// Whether a process with this id exists, as far as this process's pid namespace shows.
pub(crate) fn process_exists(id: u32) -> bool {
    let Ok(id) = libc::pid_t::try_from(id) else { return false };
    // SAFETY: the call takes numbers only, and signal 0 is never delivered.
    let sent = unsafe { libc::kill(id, 0) };
    sent == 0 || io::Error::last_os_error().raw_os_error() != Some(libc::ESRCH)
}
