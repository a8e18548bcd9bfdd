//! Many datagrams with one system call: `recvmmsg`, and the memory that it fills.

use std::io;
use std::mem::offset_of;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr::NonNull;

use super::netlink::{address, message_header};
use super::{NetlinkSocket, Sender, check};

/// Bytes a datagram may have: an event of today has 76, which leaves room for the union to grow.
pub(crate) const SLOT_LEN: usize = 128;

/// Memory for a number of datagrams, and the headers that tell the kernel where it is.
///
/// The headers point to the slots, and these into themselves. All are reached through the pointers
/// that were made when they were leaked, and freed in `Drop`, so that those pointers stay valid.
pub(crate) struct RecvBatch {
    headers: NonNull<[libc::mmsghdr]>,
    slots: NonNull<[DatagramSlot]>,
    /// How many of the slots the last receive filled.
    filled: usize,
}

/// Where a datagram goes: all of it in one place, so that it is on few pages.
struct DatagramSlot {
    part: libc::iovec,
    sender: libc::sockaddr_nl,
    bytes: [u8; SLOT_LEN],
}

// SAFETY: the pointers are to memory that this value alone owns and frees, and which is shared
// only through `&self`, which reads.
unsafe impl Send for RecvBatch {}
// SAFETY: as above; `&self` gives out shared slices only, and `receive` takes `&mut self`.
unsafe impl Sync for RecvBatch {}

impl RecvBatch {
    /// Memory for `capacity` datagrams.
    pub(crate) fn new(capacity: usize) -> Self {
        let part = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: SLOT_LEN };
        let empty = || DatagramSlot { part, sender: address(0), bytes: [0; SLOT_LEN] };
        let slots = leak((0..capacity).map(|_| empty()));
        let headers = leak((0..capacity).map(|index| {
            let Place { part, sender, bytes } = place(slots, index);
            // SAFETY: the slot is initialised, and nobody else knows it yet.
            unsafe { (*part).iov_base = bytes.cast() };
            libc::mmsghdr { msg_hdr: message_header(sender, part), msg_len: 0 }
        }));
        Self { headers, slots, filled: 0 }
    }

    /// How many datagrams one receive can bring.
    fn capacity(&self) -> usize {
        self.slots.len()
    }

    /// How many datagrams the last receive brought.
    pub(crate) fn len(&self) -> usize {
        self.filled
    }

    /// Takes up to `limit` datagrams off the queue without waiting.
    pub(crate) fn receive(&mut self, socket: &NetlinkSocket, limit: usize) -> io::Result<usize> {
        self.filled = 0;
        let limit = limit.min(self.capacity());
        #[expect(clippy::cast_possible_truncation, reason = "the capacity is a few hundred")]
        let count = limit as libc::c_uint;
        let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
        let headers = element(self.headers, 0);
        // SAFETY: there are at least `limit` headers, each with a sender and SLOT_LEN bytes that
        // live as long as `self`; `&mut self` keeps everyone else away from them.
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

    /// A datagram of the last receive: who sent it, its bytes, and how many it had on the wire.
    pub(crate) fn datagram(&self, index: usize) -> Option<(Sender, &[u8], usize)> {
        if index >= self.filled {
            return None;
        }
        // SAFETY: `index` is below `filled`, hence within all arrays, which are initialised; only
        // `receive`, with `&mut self`, lets anyone write to them.
        let slot = unsafe { &*element(self.slots, index) };
        // SAFETY: as above.
        let header = unsafe { &*element(self.headers, index) };
        let len = header.msg_len as usize;
        Some((Sender::from_address(&slot.sender), &slot.bytes[..len.min(SLOT_LEN)], len))
    }
}

/// An array that lives until it is made a box again.
fn leak<T>(items: impl Iterator<Item = T>) -> NonNull<[T]> {
    NonNull::from(Box::leak(items.collect()))
}

/// A pointer to an element, with the whole array's provenance.
fn element<T>(array: NonNull<[T]>, index: usize) -> *mut T {
    array.as_ptr().cast::<T>().wrapping_add(index)
}

/// Pointers to the fields of a slot, with the whole array's provenance.
struct Place {
    part: *mut libc::iovec,
    sender: *mut libc::sockaddr_nl,
    bytes: *mut [u8; SLOT_LEN],
}

fn place(slots: NonNull<[DatagramSlot]>, index: usize) -> Place {
    let slot = element(slots, index).cast::<u8>();
    Place {
        part: slot.wrapping_add(offset_of!(DatagramSlot, part)).cast(),
        sender: slot.wrapping_add(offset_of!(DatagramSlot, sender)).cast(),
        bytes: slot.wrapping_add(offset_of!(DatagramSlot, bytes)).cast(),
    }
}

impl Drop for RecvBatch {
    fn drop(&mut self) {
        // SAFETY: `new` leaked this box, and nothing is used after this drop.
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
