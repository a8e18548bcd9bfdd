//! 32-bit words that this process and a BPF program both read and write: a mapped BPF array.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::AtomicU32;

use super::bpf::{MapKind, create_map};
use super::mapping::{Mapping, page_size};

/// A BPF array with one element of `WORDS` 32-bit words.
#[derive(Debug)]
pub(crate) struct SharedWords<const WORDS: usize> {
    // The mapping is unmapped before the map is closed.
    words: Mapping,
    fd: OwnedFd,
}

impl<const WORDS: usize> SharedWords<WORDS> {
    pub(crate) fn new(name: &CStr) -> io::Result<Self> {
        const { assert!(WORDS * 4 <= 4096, "more than the smallest page") };
        let bytes = u32::try_from(WORDS * 4).map_err(|_| io::ErrorKind::InvalidInput)?;
        Self::from_fd(create_map(MapKind::SharedWords(bytes), name)?)
    }

    /// Maps the words from a descriptor whose first page starts with them.
    pub(super) fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        let words = Mapping::new(fd.as_fd(), 0, page_size(), true)?;
        Ok(Self { words, fd })
    }

    /// The words, initially zero.
    pub(crate) fn words(&self) -> &[AtomicU32; WORDS] {
        // SAFETY: the mapping lives as long as `self`, and is a page that starts with these words.
        // BPF programs change them with aligned stores and atomic additions only.
        unsafe { self.words.ptr_at(0).cast::<[AtomicU32; WORDS]>().as_ref() }
    }
}

impl<const WORDS: usize> AsFd for SharedWords<WORDS> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
