//! The file of an executed program.

use super::layout::ExecHdr;

/// The executable of an exec: its identity in the file system.
///
/// Device and inode identify a file while it exists. The change time distinguishes files that had
/// the same inode number at different times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_structs, reason = "tests and tables build it; fields are the kernel's")]
pub struct ProgramFile {
    /// Major number of the device (`s_dev`). On btrfs, `stat(2)` reports another device.
    pub dev_major: u32,
    /// Minor number of the device.
    pub dev_minor: u32,
    /// Inode number.
    pub ino: u64,
    /// Seconds of the change time.
    pub ctime_sec: i64,
    /// Nanoseconds of the change time.
    pub ctime_nsec: u32,
    /// Number of links (names) of the file.
    pub nlink: u32,
    /// Whether the name by which the program was opened no longer exists.
    pub is_deleted: bool,
    /// Whether the file never had a name in a directory, as one made by `memfd_create(2)`.
    pub is_memfd: bool,
}

impl ProgramFile {
    pub(super) fn new(header: &ExecHdr) -> Self {
        let dev = header.dev.get();
        let flags = header.flags.get();
        let is_memfd = flags & ExecHdr::ROOT != 0 && header.nlink.get() == 0;
        #[expect(clippy::cast_possible_wrap, reason = "the kernel's `time64_t` is signed")]
        Self {
            dev_major: dev >> 20,
            dev_minor: dev & 0xf_ffff,
            ino: header.ino.get(),
            ctime_sec: header.ctime_sec.get() as i64,
            ctime_nsec: header.ctime_nsec.get(),
            nlink: header.nlink.get(),
            is_deleted: !is_memfd && flags & ExecHdr::UNHASHED != 0,
            is_memfd,
        }
    }
}
