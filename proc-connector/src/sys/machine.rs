//! What the kernel says of the machine: `uname` and `personality`.

use std::ffi::CStr;
use std::mem::MaybeUninit;

/// Parts of a personality (`personality.h`).
const PER_MASK: libc::c_int = 0xff;
const PER_LINUX32: libc::c_int = 0x08;

/// The kernel's name of the machine's architecture; `None` where it may not be the true one.
pub(crate) fn machine() -> Option<String> {
    // SAFETY: the call takes a number only; this one asks and changes nothing.
    let personality = unsafe { libc::personality(0xffff_ffff) };
    if personality & PER_MASK == PER_LINUX32 {
        return None;
    }
    // SAFETY: a utsname consists of arrays of characters, which may all be zero.
    let mut names: libc::utsname = unsafe { MaybeUninit::zeroed().assume_init() };
    // SAFETY: the pointer is to a live utsname.
    if unsafe { libc::uname(&raw mut names) } != 0 {
        return None;
    }
    // SAFETY: the kernel ends the names with a zero, as the struct did before.
    let machine = unsafe { CStr::from_ptr(names.machine.as_ptr()) };
    Some(machine.to_string_lossy().into_owned())
}
