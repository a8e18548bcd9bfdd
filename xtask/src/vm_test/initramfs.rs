//! Writes the initramfs archive: cpio in the "newc" format of the kernel's
//! `Documentation/driver-api/early-userspace/buffer-format.rst`.

use std::io::{self, Write};

const DIRECTORY: u32 = 0o04_0000;
const FILE: u32 = 0o10_0000;

/// An archive that is being written to `out`.
#[derive(Debug)]
pub(super) struct Archive<W> {
    out: W,
    entries: u32,
}

impl<W: Write> Archive<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out, entries: 0 }
    }

    /// Adds a directory. Its parents must be added first.
    pub(super) fn directory(&mut self, path: &str) -> io::Result<()> {
        self.entry(path, DIRECTORY | 0o755, &[])
    }

    /// Adds a file that is readable by all, and executable by all if `executable`.
    pub(super) fn file(&mut self, path: &str, executable: bool, content: &[u8]) -> io::Result<()> {
        self.entry(path, FILE | if executable { 0o755 } else { 0o644 }, content)
    }

    /// Completes the archive.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.entry("TRAILER!!!", 0, &[])?;
        self.out.flush()
    }

    fn entry(&mut self, path: &str, mode: u32, content: &[u8]) -> io::Result<()> {
        self.entries += 1;
        let length = |bytes: usize| u32::try_from(bytes).map_err(io::Error::other);
        let (name_length, file_length) = (length(path.len() + 1)?, length(content.len())?);
        // ino, mode, uid, gid, nlink, mtime, filesize, major, minor, rmajor, rminor, namesize, and
        // a checksum, which is 0 in this format.
        let fields = [self.entries, mode, 0, 0, 1, 0, file_length, 0, 0, 0, 0, name_length, 0];
        let fields = fields.map(|field| format!("{field:08x}")).concat();
        self.padded(format!("070701{fields}{path}\0").as_bytes())?;
        self.padded(content)
    }

    /// Writes `bytes`, padded with zeros to a multiple of four.
    fn padded(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.out.write_all(&[0; 3][..bytes.len().next_multiple_of(4) - bytes.len()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_laid_out_as_the_kernel_reads_it() {
        let mut bytes = Vec::new();
        let mut archive = Archive::new(&mut bytes);
        archive.directory("bin").expect("memory");
        archive.file("bin/tool", true, b"hello").expect("memory");
        archive.finish().expect("memory");

        // A header has 110 bytes; name and contents are each padded to a multiple of 4.
        let directory = concat!(
            "070701",
            "00000001",
            "000041ed",
            "00000000",
            "00000000",
            "00000001",
            "00000000",
            "00000000",
            "00000000",
            "00000000",
            "00000000",
            "00000000",
            "00000004",
            "00000000",
            "bin\0\0\0"
        );
        let tool = concat!(
            "070701",
            "00000002",
            "000081ed",
            "00000000",
            "00000000",
            "00000001",
            "00000000",
            "00000005",
            "00000000",
            "00000000",
            "00000000",
            "00000000",
            "00000009",
            "00000000",
            "bin/tool\0\0",
            "hello\0\0\0"
        );
        let trailer = concat!(
            "070701",
            "00000003",
            "00000000",
            "00000000",
            "00000000",
            "00000001",
            "00000000",
            "00000000",
            "00000000",
            "00000000",
            "00000000",
            "00000000",
            "0000000b",
            "00000000",
            "TRAILER!!!\0\0\0\0"
        );
        assert_eq!(String::from_utf8_lossy(&bytes), [directory, tool, trailer].concat());
        assert_eq!(bytes.len() % 4, 0);
    }
}
