//! The process table: construction, queries, and the methods that keep it up to date.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proc_connector_core::Event;

use super::cgroups::CgroupPaths;
use super::change::{ChangeKind, Changes};
use super::evidence::RecentlyOver;
use super::hasher::ById;
use super::identity::BootId;
use super::inference::ThreadStatuses;
use super::population::{Key, Population};
use super::proc_fs;
use super::process::Process;
use super::programs::ProgramPaths;
use super::readings::Readings;
use super::redact::{Redact, Redacted};
use super::rescan::{Rescan, Unreported};
use super::snapshot::SnapshotSource;
use crate::stream::Received;

/// The processes of a machine, kept up to date by its events.
///
/// The [module documentation](super) shows how to use it.
///
/// ```
/// use proc_connector::process::ProcessTable;
///
/// # use proc_connector::Received;
/// # use proc_connector::parser::{EventData, EventRecord, Notification, Notifications};
/// # let data = EventData::Fork { parent_pid: 1, parent_tgid: 1, child_pid: 7, child_tgid: 7 };
/// # let mut datagram = [0; EventRecord::MAX_KERNEL_LEN];
/// # EventRecord { seq: 41, cpu: 1, timestamp_ns: 1_000, data }.encode_native(&mut datagram)?;
/// # let Some(Ok(Notification::Event(event))) = Notifications::new(&datagram).next() else {
/// #     panic!("the datagram has an event")
/// # };
/// # let received = Received::Event(event);
/// // With `new`, the table starts with the processes in `/proc`.
/// let mut table = ProcessTable::without_proc();
/// // Process 1 has created process 7.
/// table.apply(&received);
/// let child = table.get(7).expect("it is running");
/// assert_eq!(child.parent(), Some(1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ProcessTable {
    pub(super) population: Population,
    /// Reads what events do not contain; `None`: the table never reads `/proc`.
    pub(super) source: Option<Box<dyn SnapshotSource>>,
    pub(super) rescan: Rescan,
    pub(super) unreported: Unreported,
    /// `CLOCK_MONOTONIC` at the last scan of `/proc`. A process that the scan did not find had
    /// ended by then.
    pub(super) scanned_ns: u64,
    /// The time stamp of the last event.
    pub(super) last_event_ns: u64,
    /// By process id, the number of processes whose id was reused before their exit was reported.
    /// The next exits with that id belong to them.
    pub(super) pending_exits: ById<u32, u32>,
    pub(super) thread_statuses: ThreadStatuses,
    pub(super) cgroups: CgroupPaths,
    pub(super) programs: ProgramPaths,
    pub(super) readings: Readings,
    /// Processes whose parent has ended, and whose new parent could not be read.
    pub(super) unplaced: Vec<u32>,
    pub(super) boot_id: Option<BootId>,
    /// The identities of processes that ended recently, whose last threads may still report exits.
    pub(super) over: RecentlyOver,
    pub(super) changes: Vec<(ChangeKind, Key)>,
}

/// How many ended processes are kept by default, and for how long.
const KEEP: (usize, Duration) = (4096, Duration::from_secs(60));

/// Construction.
impl ProcessTable {
    /// Creates a table of this machine's processes, read from `/proc`.
    ///
    /// Open the connector *first*. Otherwise a process that starts or ends between the two calls is
    /// missed.
    ///
    /// # Errors
    ///
    /// Errors of reading `/proc`, for example because too many files are open.
    /// [`io::ErrorKind::Unsupported`] if `/proc` cannot be used; the message gives the reason:
    /// `/proc` is not mounted, another file system is mounted there, it belongs to another pid
    /// namespace (where the same ids denote other processes), or the offsets of the time namespace
    /// cannot be read. Also on systems other than Linux.
    pub fn new() -> io::Result<Self> {
        Self::with_source(proc_fs::open()?)
    }

    /// The same as [`new`](Self::new), without the values that `redact` leaves out.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new).
    pub fn redacted(redact: Arc<dyn Redact>) -> io::Result<Self> {
        Self::with_source(Box::new(Redacted { source: proc_fs::open()?, redact }))
    }

    /// Creates an empty table that never reads `/proc`: for recordings, or events of another
    /// machine.
    ///
    /// The table contains only what events report. A process that existed before appears with its
    /// first event.
    pub fn without_proc() -> Self {
        Self {
            population: Population::new(KEEP.0, KEEP.1),
            source: None,
            rescan: Rescan::default(),
            unreported: Unreported::default(),
            scanned_ns: 0,
            last_event_ns: 0,
            pending_exits: ById::default(),
            thread_statuses: ThreadStatuses::default(),
            cgroups: CgroupPaths::default(),
            programs: ProgramPaths::default(),
            readings: Readings::default(),
            unplaced: Vec::new(),
            boot_id: None,
            over: RecentlyOver::default(),
            changes: Vec::new(),
        }
    }

    /// Keeps up to `number` ended processes, each for `time` after its end. The default is 4,096
    /// for one minute.
    #[must_use]
    pub fn keep_ended(mut self, number: usize, time: Duration) -> Self {
        self.population.keep_ended(number, time);
        self
    }

    /// Sets the boot id of the machine whose events are applied, for the [ids](Process::id) of
    /// processes. [`new`](Self::new) reads that of this machine.
    #[must_use]
    pub fn with_boot_id(mut self, boot_id: BootId) -> Self {
        self.boot_id = Some(boot_id);
        self
    }

    pub(super) fn with_source(source: Box<dyn SnapshotSource>) -> io::Result<Self> {
        let boot_id = source.boot_id();
        let mut table = Self { source: Some(source), boot_id, ..Self::without_proc() };
        table.scan()?;
        table.clear_changes();
        Ok(table)
    }
}

/// Queries.
impl ProcessTable {
    /// The boot id of the machine whose events are applied: that of this machine, that which a recorder
    /// noted, or that [set](Self::with_boot_id) before. `None` if it is unknown.
    pub fn boot_id(&self) -> Option<BootId> {
        self.boot_id
    }

    /// The live process with this id.
    pub fn get(&self, tgid: u32) -> Option<&Process> {
        self.population.live.get(tgid)
    }

    /// The process that had this id at `timestamp_ns`, in nanoseconds of `CLOCK_MONOTONIC`.
    pub fn at(&self, tgid: u32, timestamp_ns: u64) -> Option<&Process> {
        let existed = |process: &&Process| {
            process.tgid() == tgid
                && process.start_ns().is_none_or(|start| start <= timestamp_ns)
                && process.end_ns().is_none_or(|end| timestamp_ns <= end)
        };
        let live = self.get(tgid).into_iter().find(existed);
        let superseded = || self.population.superseded().find(existed);
        live.or_else(superseded).or_else(|| self.ended().rev().find(existed))
    }

    /// The process with this [serial](Process::serial), alive or ended. The search is linear.
    pub fn by_serial(&self, serial: u64) -> Option<&Process> {
        let all = self.ended().rev().chain(self.iter()).chain(self.population.superseded());
        all.into_iter().find(|process| process.serial() == serial)
    }

    /// The [serial](Process::serial) of the process whose exec this one waits for: the program was read
    /// from `/proc`, is not yet certain, and is [reported](super::ChangeKind::Executed) later. The
    /// process that waits has executed this program itself, or inherits it.
    pub fn awaited_exec(&self, process: &Process) -> Option<u64> {
        self.readings.exec_awaited_by(process)
    }

    /// All live processes, in arbitrary order.
    pub fn iter(&self) -> impl Iterator<Item = &Process> {
        self.population.live.iter()
    }

    /// The number of live processes.
    pub fn len(&self) -> usize {
        self.population.live.len()
    }

    /// Whether the table has no live process. A table read from `/proc` is never empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The ended processes that are still kept, in the order of their ends.
    pub fn ended(&self) -> impl DoubleEndedIterator<Item = &Process> {
        self.population.ended()
    }
}

/// Updates.
impl ProcessTable {
    /// Applies an event or a loss, and returns the resulting changes.
    ///
    /// At an exec, this method reads `/proc`, unless the table was made [without
    /// it](Self::without_proc). After a loss, it scans all of `/proc` once no more losses arrive;
    /// processes may then appear and vanish. The scan takes place in the first call after it
    /// becomes due, or in [`rescan_if_due`](Self::rescan_if_due).
    pub fn apply(&mut self, received: &Received<'_>) -> Changes<'_> {
        self.clear_changes();
        match received {
            Received::Event(event) => self.apply_event(event),
            Received::Lost(_) => self.apply_loss(),
        }
        if self.rescan.is_due() {
            // A failed scan is retried later.
            let _ = self.scan();
        }
        self.changes()
    }

    /// The time until [`rescan_if_due`](Self::rescan_if_due) has work to do: wait for events no longer
    /// than this. `None` if no scan and no exec is pending.
    pub fn rescan_in(&self) -> Option<Duration> {
        let scan_in = self.rescan.due.map(|due| due.saturating_duration_since(Instant::now()));
        [scan_in, self.readings.due_in()].into_iter().flatten().min()
    }

    /// Scans `/proc` if a loss made a scan necessary and it is due. Reports execs whose program is
    /// certain by now. Once the table has doubled, removes processes that a filter selected at their
    /// fork and no longer at their exit: they [vanish](super::ChangeKind::Vanished).
    ///
    /// Call this once after each receive, when its events were applied: a receive that found no event
    /// proves that the table has all earlier ones.
    ///
    /// # Errors
    ///
    /// Errors of reading `/proc`. The scan is then retried later.
    pub fn rescan_if_due(&mut self) -> io::Result<Changes<'_>> {
        self.clear_changes();
        self.settle_received();
        if self.rescan.is_due() {
            self.scan()?;
        } else {
            self.end_unreported();
        }
        Ok(self.changes())
    }

    /// Scans all of `/proc` now, and returns the differences from what events reported. Does
    /// nothing in a table made [without `/proc`](Self::without_proc).
    ///
    /// # Errors
    ///
    /// Errors of reading `/proc`. The table is then unchanged.
    pub fn rescan(&mut self) -> io::Result<Changes<'_>> {
        self.clear_changes();
        self.scan()?;
        Ok(self.changes())
    }

    /// The changes of the last call. Unlike the result of that call, this borrows the table only
    /// immutably.
    pub fn changes(&self) -> Changes<'_> {
        Changes::new(&self.changes, &self.population)
    }

    fn apply_event(&mut self, event: &Event<'_>) {
        self.last_event_ns = event.timestamp_ns();
        self.population.forget_old(self.last_event_ns);
        self.settle_seen_before(self.last_event_ns);
        match self.proof(event) {
            Some(proof) => self.apply_proven(event, &proof),
            None => self.apply_inferred(event),
        }
    }

    pub(super) fn clear_changes(&mut self) {
        self.changes.clear();
        self.population.clear_frozen();
    }

    pub(super) fn push(&mut self, kind: ChangeKind, key: Key) {
        self.changes.push((kind, key));
    }

    /// `CLOCK_BOOTTIME` minus `CLOCK_MONOTONIC` at an event that has just happened, in nanoseconds.
    pub(super) fn boottime_offset_ns(&self, event: &Event<'_>) -> Option<u64> {
        let source = self.source.as_ref()?;
        let recorded = event.context().and_then(|context| context.boot_ns());
        let offset = recorded.and_then(|boot_ns| boot_ns.checked_sub(event.timestamp_ns()));
        offset.or_else(|| Some(source.boottime_offset_ns()))
    }
}
