//! Datagrams laid out by hand at the offsets of the kernel's headers, in the host's byte order.

#![allow(dead_code, reason = "every test binary that includes this file uses a part of it")]

// `enum proc_cn_event` of cn_proc.h.
pub(crate) const NONE: u32 = 0;
pub(crate) const FORK: u32 = 0x0000_0001;
pub(crate) const EXEC: u32 = 0x0000_0002;
pub(crate) const UID: u32 = 0x0000_0004;
pub(crate) const GID: u32 = 0x0000_0040;
pub(crate) const SID: u32 = 0x0000_0080;
pub(crate) const PTRACE: u32 = 0x0000_0100;
pub(crate) const COMM: u32 = 0x0000_0200;
pub(crate) const COREDUMP: u32 = 0x4000_0000;
pub(crate) const EXIT: u32 = 0x8000_0000;
/// A bit that no kernel has used so far.
pub(crate) const NEW_KIND: u32 = 0x0000_0400;

// `nlmsg_type`, of netlink.h.
pub(crate) const NLMSG_NOOP: u16 = 1;
pub(crate) const NLMSG_ERROR: u16 = 2;
pub(crate) const NLMSG_DONE: u16 = 3;
pub(crate) const NLMSG_OVERRUN: u16 = 4;

/// Bytes of the datagram of an event.
pub(crate) const EVENT_LEN: usize = 76;

/// What the tests' events have for a time.
pub(crate) const TIMESTAMP_NS: u64 = 0x0102_0304_0506_0708;

/// An event as the kernel sends it: the union zero-filled beyond the words given.
pub(crate) fn event(what: u32, words: &[u32]) -> Vec<u8> {
    let mut union: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    union.resize(24, 0);
    message(NLMSG_DONE, &cn_msg(1, 1, &proc_event(what, &union)))
}

/// A `struct nlmsghdr` and what follows it.
pub(crate) fn message(nlmsg_type: u16, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(16 + payload.len()).expect("a short message");
    [&len.to_ne_bytes()[..], &nlmsg_type.to_ne_bytes(), &[0; 10], payload].concat()
}

/// A `struct cn_msg` and what follows it.
pub(crate) fn cn_msg(idx: u32, val: u32, payload: &[u8]) -> Vec<u8> {
    let [idx, val] = [idx, val].map(u32::to_ne_bytes);
    let len = u16::try_from(payload.len()).expect("a short message").to_ne_bytes();
    [&idx[..], &val, &[0; 8], &len, &[0; 2], payload].concat()
}

/// A `struct proc_event`.
pub(crate) fn proc_event(what: u32, union: &[u8]) -> Vec<u8> {
    [&what.to_ne_bytes()[..], &[0; 4], &TIMESTAMP_NS.to_ne_bytes(), union].concat()
}
