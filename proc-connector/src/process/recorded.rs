//! Applies what a recorder read from `/proc` to a table of recorded processes.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proc_connector_core::ExitStatus;

use super::change::Changes;
use super::identity::BootId;
use super::snapshot::{Arguments, Cgroup, Fields, Ids, Image, ReadError, Snapshot, SnapshotSource};
use super::table::ProcessTable;
use super::time::TICK_NS;
use crate::capture::{Kind, Listed, Note, Scan};

/// The `/proc` of the recording machine at one moment.
#[derive(Debug)]
struct RecordedProc {
    at_ns: u64,
    boottime_offset_ns: u64,
    boot_id: Option<BootId>,
    /// In the order of the list.
    tgids: Vec<u32>,
    processes: HashMap<u32, Snapshot>,
    /// Whether a process that is missing from the list has ended.
    is_complete: bool,
}

impl RecordedProc {
    fn new(scan: &Scan) -> Self {
        let boot_id = scan.boot_id.as_deref().and_then(|text| std::str::from_utf8(text).ok());
        Self {
            at_ns: scan.at_ns,
            boottime_offset_ns: scan.boottime_offset_ns,
            boot_id: boot_id.and_then(|text| text.parse().ok()),
            tgids: Vec::new(),
            processes: HashMap::new(),
            is_complete: false,
        }
    }

    fn add(&mut self, listed: &Listed) {
        self.tgids.push(listed.tgid);
        self.processes.insert(listed.tgid, snapshot(listed, self.boottime_offset_ns));
    }
}

impl SnapshotSource for RecordedProc {
    fn list(&self) -> io::Result<Vec<u32>> {
        Ok(self.tgids.clone())
    }

    fn read(&self, tgid: u32, _: Fields) -> Result<Snapshot, ReadError> {
        let missing = if self.is_complete { ReadError::Gone } else { ReadError::Unreadable };
        self.processes.get(&tgid).cloned().ok_or(missing)
    }

    fn cgroup_id(&self, _: &Path) -> Option<u64> {
        None
    }

    fn boot_id(&self) -> Option<BootId> {
        self.boot_id
    }

    fn ticks(&self, start_boottime_ns: u64) -> u64 {
        start_boottime_ns / TICK_NS
    }

    fn boottime_offset_ns(&self) -> u64 {
        self.boottime_offset_ns
    }

    fn now_ns(&self) -> u64 {
        self.at_ns
    }

    fn is_live(&self) -> bool {
        false
    }
}

impl ProcessTable {
    /// Applies what a recorder noted before an [item of a capture](crate::capture::Recorded::notes), and
    /// returns the resulting changes.
    ///
    /// The table must be made [without `/proc`](Self::without_proc). Apply the notes before the item:
    ///
    /// ```
    /// use proc_connector::capture::Reader;
    /// use proc_connector::process::ProcessTable;
    ///
    /// # let file = &include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/demo/build.pcapng"))[..];
    /// let mut table = ProcessTable::without_proc();
    /// let mut reader = Reader::new(file)?;
    /// while let Some(recorded) = reader.next()? {
    ///     table.apply_notes(recorded.notes);
    ///     for change in table.apply(&recorded.received) {
    ///         println!("{:?} {:?}", change.kind, change.process.comm());
    ///     }
    /// }
    /// # Ok::<(), proc_connector::capture::Error>(())
    /// ```
    pub fn apply_notes(&mut self, notes: &[Note]) -> Changes<'_> {
        self.clear_changes();
        let mut list = None;
        let mut missing = 0;
        for note in notes {
            match &note.0 {
                Kind::Scan(scan) => {
                    self.apply_list(list.take(), missing);
                    list = Some(RecordedProc::new(scan));
                    missing = scan.count;
                }
                Kind::Process(listed) => {
                    // The list is damaged if its start is missing.
                    if let Some(list) = &mut list {
                        list.add(listed);
                        missing = missing.saturating_sub(1);
                    }
                }
                Kind::Cgroup { id, path } => self.cgroups.insert(*id, Arc::from(path_buf(path))),
                Kind::User { .. } | Kind::Host(_) => {}
            }
        }
        self.apply_list(list, missing);
        self.changes()
    }

    fn apply_list(&mut self, list: Option<RecordedProc>, missing: u32) {
        let Some(mut list) = list else { return };
        if self.source.as_ref().is_some_and(|source| source.is_live()) {
            return;
        }
        list.is_complete = missing == 0;
        self.boot_id = list.boot_id.or(self.boot_id);
        let later = RecordedProc {
            tgids: Vec::new(),
            processes: HashMap::new(),
            is_complete: false,
            ..list
        };
        self.source = Some(Box::new(list));
        // It cannot fail.
        let _ = self.scan();
        self.source = Some(Box::new(later));
    }
}

fn snapshot(listed: &Listed, boottime_offset_ns: u64) -> Snapshot {
    let ids = |ids: (u32, u32)| Ids { real: ids.0, effective: ids.1 };
    let args = listed.args.as_ref();
    let args = args.map(|bytes| Arguments { bytes: bytes[..].into(), is_cut: listed.args_cut });
    let exe = listed.exe.as_deref().map(path_buf);
    let has_image = exe.is_some() || args.is_some();
    Snapshot {
        seen_ns: listed.seen_ns,
        boottime_offset_ns,
        start_ticks: listed.start_ticks,
        parent: listed.parent,
        session: listed.session,
        is_kernel_thread: listed.is_kernel_thread,
        comm: listed.comm.clone().unwrap_or_default(),
        first: if listed.first_ended { Err(ExitStatus::from_raw(0)) } else { Ok(()) },
        is_alive: true,
        others: listed.others.clone(),
        image: has_image.then(|| Image { args, exe, ..Image::default() }),
        uid: listed.uid.map(ids),
        gid: listed.gid.map(ids),
        cgroup: listed.cgroup.as_deref().map(|path| Cgroup {
            path: path_buf(path),
            id_determines_path: listed.id_determines_cgroup,
        }),
        activity: None,
    }
}

#[cfg(unix)]
fn path_buf(bytes: &[u8]) -> PathBuf {
    let path: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(bytes);
    path.into()
}

#[cfg(not(unix))]
fn path_buf(bytes: &[u8]) -> PathBuf {
    String::from_utf8_lossy(bytes).into_owned().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::ChangeKind;

    fn scan(count: u32, at_ns: u64) -> Note {
        let boot_id = Some(b"0a1b2c3d-4e5f-4071-8293-a4b5c6d7e8f9".to_vec());
        Note(Kind::Scan(Scan { count, at_ns, boottime_offset_ns: 0, boot_id }))
    }

    fn process(tgid: u32, comm: &str) -> Note {
        Note(Kind::Process(Box::new(Listed {
            tgid,
            seen_ns: 1_000_000_000,
            start_ticks: 5,
            parent: Some(1),
            session: 6,
            comm: Some(comm.into()).filter(|comm: &Vec<u8>| !comm.is_empty()),
            uid: Some((1000, 0)),
            exe: Some(b"/bin/sh".to_vec()),
            args: Some(b"sh\0-i\0".to_vec()),
            others: Some(vec![9]),
            ..Listed::default()
        })))
    }

    fn changes(table: &mut ProcessTable, notes: &[Note]) -> Vec<(ChangeKind, u32)> {
        table.apply_notes(notes).map(|change| (change.kind, change.process.tgid())).collect()
    }

    #[test]
    fn listed_processes_are_known() {
        let mut table = ProcessTable::without_proc();
        let found =
            changes(&mut table, &[scan(2, 1_000_000_000), process(7, "sh"), process(8, "")]);
        assert_eq!(found, [(ChangeKind::Appeared, 7), (ChangeKind::Appeared, 8)]);
        let known = table.get(7).expect("it is listed");
        assert_eq!((known.comm(), known.parent(), known.threads()), (Some(&b"sh"[..]), Some(1), 2));
        assert_eq!(known.args().map(|args| args.bytes()), Some(&b"sh\0-i\0"[..]));
        assert_eq!(known.exe(), Some(Path::new("/bin/sh")));
        assert_eq!(known.start_ns(), Some(50_000_000));
        // An anonymous recording has no names.
        assert_eq!(table.get(8).expect("it is listed").comm(), None);
    }

    #[test]
    fn a_process_that_a_later_list_lacks_has_vanished() {
        let mut table = ProcessTable::without_proc();
        changes(&mut table, &[scan(2, 1_000_000_000), process(7, "a"), process(8, "b")]);
        // A note is missing: nothing is known about process 8.
        assert_eq!(changes(&mut table, &[scan(2, 2_000_000_000), process(7, "a")]), []);
        let found = changes(&mut table, &[scan(1, 3_000_000_000), process(7, "a")]);
        assert_eq!(found, [(ChangeKind::Vanished, 8)]);
        // Processes without the start of their list are ignored.
        assert_eq!(changes(&mut table, &[process(9, "c")]), []);
    }
}
