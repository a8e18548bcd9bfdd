//! Hash tables that a BPF program and its reader share.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use proc_connector_sys as uapi;

use super::bpf::{ElementRequest, MapKind, bpf_command, create_map};

/// A BPF hash table with 64-bit keys, and values of `N` 64-bit words.
#[derive(Debug)]
pub(crate) struct HashTable<const N: usize> {
    fd: OwnedFd,
}

/// What a full table does with a new key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WhenFull {
    /// Refuses it.
    Refuse,
    /// Removes a key that was not used for a long time.
    Evict,
}

impl<const N: usize> HashTable<N> {
    /// Creates an empty table for this number of keys.
    pub(crate) fn new(keys: u32, when_full: WhenFull, name: &CStr) -> io::Result<Self> {
        let value_bytes = u32::try_from(8 * N).map_err(|_| io::ErrorKind::InvalidInput)?;
        let kind = MapKind::HashTable { keys, value_bytes, evicts: when_full == WhenFull::Evict };
        Ok(Self { fd: create_map(kind, name)? })
    }

    /// Sets the value of a key.
    pub(crate) fn insert(&self, key: u64, value: [u64; N]) -> io::Result<()> {
        let request = ElementRequest::new(self.as_fd(), &raw const key, value.as_ptr(), 0)?;
        // SAFETY: the command takes this request. Its pointers refer to a live key and value of the
        // table's sizes.
        unsafe { bpf_command(uapi::BPF_MAP_UPDATE_ELEM, &request) }?;
        Ok(())
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: u64) -> io::Result<Option<[u64; N]>> {
        let mut value = [0; N];
        let request = ElementRequest::new(self.as_fd(), &raw const key, value.as_mut_ptr(), 0)?;
        // SAFETY: the command takes this request. Its pointers refer to a live key, and to memory of
        // the size of a value, to which the kernel writes.
        found(unsafe { bpf_command(uapi::BPF_MAP_LOOKUP_ELEM, &request) }.map(|_| value))
    }

    /// Removes a key. Returns whether it existed.
    pub(crate) fn remove(&self, key: u64) -> io::Result<bool> {
        let request =
            ElementRequest::new(self.as_fd(), &raw const key, std::ptr::null::<u64>(), 0)?;
        // SAFETY: the command takes this request. Its pointer refers to a live key.
        let removed = unsafe { bpf_command(uapi::BPF_MAP_DELETE_ELEM, &request) };
        Ok(found(removed.map(drop))?.is_some())
    }

    /// All keys at this moment. A key that is inserted or removed meanwhile may be missing or repeated.
    pub(crate) fn keys(&self) -> io::Result<Vec<u64>> {
        let mut keys = Vec::new();
        while let Some(next) = self.key_after(keys.last())? {
            keys.push(next);
        }
        Ok(keys)
    }

    fn key_after(&self, key: Option<&u64>) -> io::Result<Option<u64>> {
        let mut next = 0_u64;
        let key = key.map_or(std::ptr::null(), std::ptr::from_ref);
        let request = ElementRequest::new(self.as_fd(), key, &raw mut next, 0)?;
        // SAFETY: the command takes this request. Its pointers refer to a live key, or are null, and
        // to memory of the size of a key, to which the kernel writes.
        found(unsafe { bpf_command(uapi::BPF_MAP_GET_NEXT_KEY, &request) }.map(|_| next))
    }
}

fn found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

impl<const N: usize> AsFd for HashTable<N> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::{HashTable, WhenFull};

    #[test]
    fn a_table_has_the_last_value_of_each_key_and_refuses_too_many_keys() {
        let table = match HashTable::<2>::new(3, WhenFull::Refuse, c"test") {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return,
            table => table.expect("a table"),
        };
        assert!(table.keys().expect("no key").is_empty());
        for key in [5, u64::MAX, 7] {
            table.insert(key, [0, 2]).expect("capacity");
            table.insert(key, [key, 1]).expect("a known key");
        }
        assert!(table.insert(8, [0, 0]).is_err());
        assert_eq!(table.get(5).expect("a value"), Some([5, 1]));
        assert_eq!(table.get(6).expect("no value"), None);
        let mut keys = table.keys().expect("keys");
        keys.sort_unstable();
        assert_eq!(keys, [5, 7, u64::MAX]);
        assert!(table.remove(5).expect("a key") && !table.remove(5).expect("no key"));
        assert_eq!(table.get(5).expect("no value"), None);
    }
}
