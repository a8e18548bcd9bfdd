//! Directories and batches for tests.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::cli::export::spool::{Batch, Content, Opened, Spool, Unreported};

/// A directory that is removed with its contents.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("proc-connector-spool-{}-{number}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn open(&self, capacity: u64) -> (Spool, Opened) {
        Spool::open(&self.0, capacity).expect("a spool")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) const NOTHING: Unreported = Unreported { records: 0, damages: 0 };

/// A batch of one event record for each number. Its body is unique.
pub(crate) fn batch(numbers: std::ops::Range<u32>, lost: u64) -> Batch {
    Batch {
        body: numbers.clone().flat_map(u32::to_le_bytes).collect(),
        content: Content {
            events: u64::from(numbers.end - numbers.start),
            lost,
            boot_id: [7; 16],
            positions: vec![(0, numbers.end), (3, 9)],
        },
    }
}
