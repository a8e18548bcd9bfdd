//! Ends one thread of a process.

/// Ends the calling thread only, unlike the C library, whose first thread ends the process. The last
/// thread's code becomes that of the process.
#[allow(unsafe_code, reason = "no safe library has this system call")]
pub(crate) fn exit_thread(code: i32) -> ! {
    // SAFETY: the call takes a number only. The thread releases nothing that others use.
    unsafe { nix::libc::syscall(nix::libc::SYS_exit, code) };
    unreachable!("the thread has ended")
}
