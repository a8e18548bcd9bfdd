//! Paths that the BPF program collects by walking directory entries.

/// A path from the root of the mount tree, collected in the kernel.
///
/// ```
/// use proc_connector_core::KernelPath;
///
/// // The walk starts at the file.
/// let path = KernelPath::new(b"sh\0bin\0usr\0");
/// assert!(path.components().eq([&b"usr"[..], b"bin", b"sh"]));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelPath<'a> {
    bytes: &'a [u8],
}

impl<'a> KernelPath<'a> {
    /// The names of the path, the last one first, each with a NUL at its end.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// The names as the kernel program wrote them.
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The names, starting with that below the root. No names denote the root.
    pub fn components(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let names = self.bytes.strip_suffix(&[0]).unwrap_or(self.bytes);
        let is_root = names.is_empty();
        names.rsplit(|&byte| byte == 0).filter(move |_| !is_root)
    }
}
