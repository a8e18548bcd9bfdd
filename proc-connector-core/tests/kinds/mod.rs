//! `enum proc_cn_event` of `cn_proc.h`, written down a second time: the tests must not take the kinds
//! from the bindings that they test.

#![allow(dead_code, reason = "every test binary that includes this file uses a part of it")]

pub(crate) const NONE: u32 = 0;
pub(crate) const FORK: u32 = 0x0000_0001;
pub(crate) const EXEC: u32 = 0x0000_0002;
pub(crate) const UID: u32 = 0x0000_0004;
pub(crate) const GID: u32 = 0x0000_0040;
pub(crate) const SID: u32 = 0x0000_0080;
pub(crate) const PTRACE: u32 = 0x0000_0100;
pub(crate) const COMM: u32 = 0x0000_0200;
pub(crate) const NONZERO_EXIT: u32 = 0x2000_0000;
pub(crate) const COREDUMP: u32 = 0x4000_0000;
pub(crate) const EXIT: u32 = 0x8000_0000;
/// A bit that no kernel has used so far.
pub(crate) const NEW_KIND: u32 = 0x0000_0400;
