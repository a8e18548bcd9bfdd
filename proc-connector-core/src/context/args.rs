//! Lists of strings that end with NUL: arguments and environment variables.

/// The arguments of a process, starting with the name of its program.
///
/// ```
/// use proc_connector_core::Args;
///
/// let args = Args::new(b"ls\0-l\0/tm", true);
/// assert!(args.iter().eq([&b"ls"[..], b"-l", b"/tm"]));
/// assert!(args.is_cut(), "the last argument is incomplete");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Args<'a> {
    bytes: &'a [u8],
    is_cut: bool,
}

impl<'a> Args<'a> {
    /// Arguments as the kernel stores them, and whether they are truncated.
    pub const fn new(bytes: &'a [u8], is_cut: bool) -> Self {
        Self { bytes, is_cut }
    }

    /// The arguments as the kernel stores them. Each ends with a NUL, except the last of truncated
    /// arguments.
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Whether the arguments are truncated.
    pub const fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// The arguments one by one. The last of truncated arguments may be incomplete.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let all = self.bytes.strip_suffix(&[0]).unwrap_or(self.bytes);
        let none = self.bytes.is_empty();
        all.split(|&byte| byte == 0).filter(move |_| !none)
    }
}
