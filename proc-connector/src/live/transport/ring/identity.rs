//! The name and licence that the BPF program is loaded with.

use std::ffi::CStr;

/// The name that tools such as `bpftool` show.
pub(super) const NAME: &CStr = c"proc_connector";

/// This crate's licence, spelled as the kernel compares it: only a program under a GPL-compatible
/// licence may call GPL-only helpers (`license_is_gpl_compatible` in `include/linux/license.h`).
pub(super) const LICENCE: &CStr = c"Dual MIT/GPL";
