//! Receiving many datagrams with one system call (`recvmmsg`), and the memory that it fills.

use std::io;
use std::mem::offset_of;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr::NonNull;

use super::call::check;
use super::netlink::{NetlinkSocket, Sender, address, message_header};

/// The longest datagram that a slot holds, in bytes. Today's events have 76; the rest is for a
/// larger `event_data` union in later kernels.
pub(crate) const SLOT_LEN: usize = 128;

/// Memory for a number of datagrams, and the message headers that point to it.
///
/// The headers point to the slots, and each slot's `iovec` points into the slot. Both arrays are
/// leaked boxes, freed in `Drop` and accessed only through the pointers that leaking returned:
/// moving or reborrowing a box would invalidate the pointers between them.
pub(crate) struct RecvBatch {
    headers: NonNull<[libc::mmsghdr]>,
    slots: NonNull<[DatagramSlot]>,
    /// How many of the slots the last receive filled.
    filled: usize,
}

/// Memory for one datagram. Its parts are adjacent so that they share pages.
struct DatagramSlot {
    iov: libc::iovec,
    sender: libc::sockaddr_nl,
    bytes: [u8; SLOT_LEN],
}

// SAFETY: this value alone owns and frees the memory behind the pointers.
unsafe impl Send for RecvBatch {}
// SAFETY: as above; `&self` only reads it, and `receive`, which writes, takes `&mut self`.
unsafe impl Sync for RecvBatch {}

impl RecvBatch {
    /// Allocates memory for `capacity` datagrams.
    pub(crate) fn new(capacity: usize) -> Self {
        let iov = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: SLOT_LEN };
        let empty = || DatagramSlot { iov, sender: address(0), bytes: [0; SLOT_LEN] };
        let slots = leak((0..capacity).map(|_| empty()));
        let headers = leak((0..capacity).map(|index| {
            let SlotPointers { iov, sender, bytes } = slot_pointers(slots, index);
            // SAFETY: the slot is initialised, and no other code has a pointer to it yet.
            unsafe { (*iov).iov_base = bytes.cast() };
            libc::mmsghdr { msg_hdr: message_header(sender, iov), msg_len: 0 }
        }));
        Self { headers, slots, filled: 0 }
    }

    /// The most datagrams that one receive takes.
    fn capacity(&self) -> usize {
        self.slots.len()
    }

    /// How many datagrams the last receive took.
    pub(crate) fn len(&self) -> usize {
        self.filled
    }

    /// Takes up to `limit` datagrams off the queue without waiting, and returns how many.
    pub(crate) fn receive(&mut self, socket: &NetlinkSocket, limit: usize) -> io::Result<usize> {
        self.filled = 0;
        let limit = limit.min(self.capacity());
        #[expect(clippy::cast_possible_truncation, reason = "the capacity is a few hundred")]
        let count = limit as libc::c_uint;
        let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
        let headers = element(self.headers, 0);
        // SAFETY: at least `limit` headers exist, each with an address and SLOT_LEN bytes that live
        // as long as `self`; `&mut self` excludes other accesses.
        let filled = check(unsafe {
            libc::recvmmsg(
                socket.as_fd().as_raw_fd(),
                headers,
                count,
                flags as _,
                std::ptr::null_mut(),
            )
        })?;
        self.filled = usize::try_from(filled).unwrap_or_default();
        Ok(self.filled)
    }

    /// A datagram of the last receive: its sender, the bytes that fit the slot, and its full
    /// length.
    pub(crate) fn datagram(&self, index: usize) -> Option<(Sender, &[u8], usize)> {
        if index >= self.filled {
            return None;
        }
        // SAFETY: `index` is below `filled` and so within both arrays, which are initialised; only
        // `receive`, which takes `&mut self`, writes to them.
        let slot = unsafe { &*element(self.slots, index) };
        // SAFETY: as above.
        let header = unsafe { &*element(self.headers, index) };
        let len = header.msg_len as usize;
        Some((Sender::from_address(&slot.sender), &slot.bytes[..len.min(SLOT_LEN)], len))
    }
}

/// Leaks an array. `Box::from_raw` in `Drop` frees it.
fn leak<T>(items: impl Iterator<Item = T>) -> NonNull<[T]> {
    NonNull::from(Box::leak(items.collect()))
}

/// A pointer to an element, with the whole array's provenance.
fn element<T>(array: NonNull<[T]>, index: usize) -> *mut T {
    array.as_ptr().cast::<T>().wrapping_add(index)
}

/// Pointers to the fields of a slot, with the whole array's provenance.
struct SlotPointers {
    iov: *mut libc::iovec,
    sender: *mut libc::sockaddr_nl,
    bytes: *mut [u8; SLOT_LEN],
}

fn slot_pointers(slots: NonNull<[DatagramSlot]>, index: usize) -> SlotPointers {
    let slot = element(slots, index).cast::<u8>();
    SlotPointers {
        iov: slot.wrapping_add(offset_of!(DatagramSlot, iov)).cast(),
        sender: slot.wrapping_add(offset_of!(DatagramSlot, sender)).cast(),
        bytes: slot.wrapping_add(offset_of!(DatagramSlot, bytes)).cast(),
    }
}

impl Drop for RecvBatch {
    fn drop(&mut self) {
        // SAFETY: `new` leaked this box, and nothing uses it after this drop.
        drop(unsafe { Box::from_raw(self.headers.as_ptr()) });
        // SAFETY: as above.
        drop(unsafe { Box::from_raw(self.slots.as_ptr()) });
    }
}

impl std::fmt::Debug for RecvBatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecvBatch")
            .field("capacity", &self.capacity())
            .field("filled", &self.filled)
            .finish_non_exhaustive()
    }
}
