//! A few words that this process and a BPF program both read and write.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::AtomicU32;

use super::bpf::{Map, MapKind};
use super::mapping::{Mapping, page_size};

/// A BPF array of one element, which consists of `WORDS` words of 32 bits.
#[derive(Debug)]
pub(crate) struct SharedWords<const WORDS: usize> {
    // Unmapped before the map is closed.
    words: Mapping,
    fd: OwnedFd,
}

impl<const WORDS: usize> SharedWords<WORDS> {
    pub(crate) fn new(name: &CStr) -> io::Result<Self> {
        const { assert!(WORDS * 4 <= 4096, "more than the smallest page") };
        let bytes = u32::try_from(WORDS * 4).map_err(|_| io::ErrorKind::InvalidInput)?;
        Self::over(Map::new(MapKind::SharedWords(bytes), name)?.into())
    }

    /// The board on a descriptor that can be mapped as its map can: a page, which starts with it.
    pub(super) fn over(fd: OwnedFd) -> io::Result<Self> {
        let words = Mapping::new(fd.as_fd(), 0, page_size(), true)?;
        Ok(Self { words, fd })
    }

    /// The words, all zero at first.
    pub(crate) fn words(&self) -> &[AtomicU32; WORDS] {
        // SAFETY: the mapping lives as long as `self`, is a page, which these words fit, and is
        // aligned as one; programs change them with aligned stores and atomic additions only.
        unsafe { self.words.at(0).cast::<[AtomicU32; WORDS]>().as_ref() }
    }
}

impl<const WORDS: usize> AsFd for SharedWords<WORDS> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
