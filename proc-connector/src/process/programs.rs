//! Paths of executables whose files the kernel recorded, on kernels where it cannot record the path.
//! `/proc` is read only once for each.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use proc_connector_core::ProgramFile;

use super::snapshot::{FileId, Image};

/// Exceeds the number of programs that a machine uses.
const MAX_PATHS: usize = 10_000;

/// Paths by file and by the name of the exec. A file with several names has a path for each. The
/// names are chosen by any user, so the hash has a secret key.
#[derive(Debug, Default)]
pub(super) struct ProgramPaths(HashMap<(ProgramFile, Box<[u8]>), PathBuf>);

impl ProgramPaths {
    pub(super) fn path(&self, program: ProgramFile, filename: &[u8]) -> Option<&Path> {
        if self.0.is_empty() {
            return None;
        }
        self.0.get(&(program, filename.into())).map(PathBuf::as_path)
    }

    /// The path in `read` if it is that of the recorded program: the process may have executed
    /// another one since. An absolute name is remembered.
    pub(super) fn learn(&mut self, recorded: &Image, read: &Image) -> Option<PathBuf> {
        let (program, path) = (recorded.program?, read.exe.clone()?);
        if !is_same_file(program, read.file?) {
            return None;
        }
        let filename = recorded.filename.as_deref();
        if program.nlink > 1 {
            // The process may have executed the same file by another of its names.
            let name = filename?.rsplit(|&byte| byte == b'/').next()?;
            if path.file_name()?.as_encoded_bytes() != name {
                return None;
            }
        }
        if let Some(filename) = filename.filter(|name| name.starts_with(b"/")) {
            if self.0.len() >= MAX_PATHS {
                self.0.clear();
            }
            self.0.insert((program, filename.into()), path.clone());
        }
        Some(path)
    }
}

/// Whether a file that `stat(2)` reports is the recorded one. For a file system that spans several
/// devices, `stat(2)` reports one without a driver, and the change time decides.
fn is_same_file(program: ProgramFile, file: FileId) -> bool {
    let is_same_device = (program.dev_major, program.dev_minor) == (file.dev_major, file.dev_minor);
    (is_same_device || file.dev_major == 0)
        && (program.ino, program.ctime_sec, program.ctime_nsec)
            == (file.ino, file.ctime_sec, file.ctime_nsec)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::snapshot::tests::PROGRAM;

    const FILE: FileId =
        FileId { dev_major: 8, dev_minor: 1, ino: 77, ctime_sec: 5, ctime_nsec: 6 };

    fn learn(program: ProgramFile, filename: &str, file: FileId) -> (Option<PathBuf>, bool) {
        let recorded = Image {
            program: Some(program),
            filename: Some(filename.as_bytes().into()),
            ..Image::default()
        };
        let read =
            Image { exe: Some("/usr/bin/dash".into()), file: Some(file), ..Image::default() };
        let mut paths = ProgramPaths::default();
        let path = paths.learn(&recorded, &read);
        (path, paths.path(program, filename.as_bytes()).is_some())
    }

    #[test]
    fn only_the_path_of_the_recorded_file_is_used() {
        let path = Some(PathBuf::from("/usr/bin/dash"));
        assert_eq!(learn(PROGRAM, "/bin/sh", FILE), (path.clone(), true));
        // A relative name denotes another file in another directory.
        assert_eq!(learn(PROGRAM, "./sh", FILE), (path.clone(), false));
        for other in [
            FileId { ino: 78, ..FILE },
            FileId { ctime_nsec: 7, ..FILE },
            FileId { dev_minor: 2, ..FILE },
        ] {
            assert_eq!(learn(PROGRAM, "/bin/sh", other), (None, false), "{other:?}");
        }
        // btrfs.
        assert_eq!(learn(PROGRAM, "/bin/sh", FileId { dev_major: 0, ..FILE }).0, path);
    }

    #[test]
    fn a_file_with_several_names_has_the_path_of_the_executed_one() {
        let program = ProgramFile { nlink: 2, ..PROGRAM };
        assert_eq!(learn(program, "/bin/sh", FILE), (None, false));
        assert_eq!(learn(program, "/bin/dash", FILE), (Some("/usr/bin/dash".into()), true));
    }
}
