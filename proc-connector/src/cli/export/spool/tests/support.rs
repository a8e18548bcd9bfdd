//! Directories, batches, and a receiver, for tests.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::cli::export::spool::{Batch, Content, Error, Opened, Spool, Unreported};

/// A directory that is removed with its contents.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("proc-connector-spool-{}-{number}", std::process::id());
        // Thousands of small files are slow on a disk.
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        Self(parent.join(name))
    }

    /// A copy of the files of another directory.
    pub(crate) fn copy_of(path: &Path) -> Self {
        let copy = Self::new();
        fs::create_dir(copy.path()).expect("a directory");
        for name in names(path) {
            fs::copy(path.join(&name), copy.path().join(&name)).expect("a copy");
        }
        copy
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
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The names of the files of a directory, sorted.
pub(crate) fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a directory");
    let mut names: Vec<_> = entries
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("text"))
        .collect();
    names.sort();
    names
}

/// The bytes of the segments of a directory.
pub(crate) fn segment_bytes(directory: &Path) -> u64 {
    let names = names(directory).into_iter().filter(|name| name.ends_with(".segment"));
    names.map(|name| fs::metadata(directory.join(name)).expect("a file").len()).sum()
}

pub(crate) const NOTHING: Unreported = Unreported { records: 0, damages: 0 };

impl Spool {
    /// Appends a batch that reports no discards.
    pub(crate) fn append(&mut self, batch: &Batch) -> Result<(), Error> {
        self.append_reporting(batch, NOTHING)
    }
}

/// A batch of the events with these numbers. The last position is the number of events before its end.
pub(crate) fn batch(numbers: Range<u32>, lost: u64) -> Batch {
    let mut body = lost.to_le_bytes().to_vec();
    body.extend(numbers.clone().flat_map(u32::to_le_bytes));
    Batch {
        body,
        content: Content {
            events: u64::from(numbers.end - numbers.start),
            lost,
            boot_id: [7; 16],
            positions: vec![(0, numbers.end), (3, 9)],
            ahead: u64::from(numbers.end) + 7,
        },
    }
}

/// The number of events before the end of the last batch.
pub(crate) fn position(opened: &Opened) -> u32 {
    opened.last.as_ref().map_or(0, |last| last.positions[0].1)
}

/// The losses and the events of a body, which must be one that [`batch`] makes.
pub(crate) fn parse(body: &[u8]) -> (u64, Range<u32>) {
    let (lost, numbers) = body.split_first_chunk().expect("losses");
    let numbers: Vec<u32> = numbers
        .chunks(4)
        .map(|number| u32::from_le_bytes(number.try_into().expect("a whole number")))
        .collect();
    let range = numbers[0]..numbers[numbers.len() - 1] + 1;
    assert!(range.clone().eq(numbers.iter().copied()), "{numbers:?}");
    (u64::from_le_bytes(*lost), range)
}

/// The number of records of a body that a picky receiver refuses.
pub(crate) fn refused(body: &[u8]) -> u64 {
    let (lost, numbers) = parse(body);
    match numbers.start % 8 {
        3 => u64::from(numbers.end - numbers.start) + lost,
        5 => 1,
        _ => 0,
    }
}

/// Everything that a receiver has accepted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Received {
    /// The events, the reported losses and the refused records of each batch, by its first event.
    batches: BTreeMap<u32, (u32, u64, u64)>,
    /// Whether the receiver refuses some records.
    is_picky: bool,
}

impl Received {
    pub(crate) fn picky() -> Self {
        Self { is_picky: true, ..Self::default() }
    }

    /// Takes a body, possibly again. Returns the number of refused records.
    pub(crate) fn take(&mut self, body: &[u8]) -> u64 {
        let (lost, numbers) = parse(body);
        let len = numbers.end - numbers.start;
        let refused = if self.is_picky { refused(body) } else { 0 };
        let before = self.batches.insert(numbers.start, (len, lost, refused));
        assert!(before.is_none_or(|before| before == (len, lost, refused)), "{before:?}");
        refused
    }

    /// The unique events and the reported losses.
    pub(crate) fn records(&self) -> u64 {
        let records = |(len, lost, refused): &(u32, u64, u64)| u64::from(*len) + lost - refused;
        self.batches.values().map(records).sum()
    }

    /// Accepts everything that waits.
    pub(crate) fn drain(&mut self, spool: &mut Spool) {
        while let Some(handed) = spool.next().expect("a readable spool") {
            let refused = self.take(&handed.body);
            spool.accepted(refused).expect("a writable spool");
        }
        assert_eq!(spool.waiting(), 0);
    }
}
