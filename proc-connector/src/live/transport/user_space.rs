//! A filter that is evaluated in user space, because the kernel cannot.

use std::io;
use std::time::{Duration, Instant};

use proc_connector_core::{Event, EventMask, Filter};

use super::tasks::ProcTasks;
use crate::error::Result;
use crate::live::host::clock_ns;
use crate::live::host::processes::{Processes, Seed};
use crate::selector::{Selector, UnknownTasks};

/// The time between two scans of `/proc` while events are lost.
const RESCAN: Duration = Duration::from_millis(200);

/// How much older than its predecessor in the queue an event can be: different CPUs send them.
const OUT_OF_ORDER_NS: u64 = 100_000_000;

/// A filter with what it needs to know of tasks.
#[derive(Debug)]
pub(super) struct UserSpace {
    current: Evaluation,
    /// The filter before, and the time of the last event that it applies to.
    previous: Option<(Evaluation, u64)>,
    /// Whether events were lost since the last scan of `/proc`.
    has_lost: bool,
    scanned: Option<Instant>,
}

/// A filter, and the properties of tasks that it compares.
#[derive(Debug)]
pub(super) struct Evaluation {
    selector: Selector,
    /// `None` if the filter has no conditions on tasks.
    tasks: Option<ProcTasks>,
}

impl Evaluation {
    fn new(filter: &Filter) -> io::Result<Self> {
        let tasks = if filter.selects_tasks() { Some(ProcTasks::new(filter)?) } else { None };
        Ok(Self { selector: Selector::new(filter), tasks })
    }

    fn matches(&mut self, event: &Event<'_>) -> bool {
        let Some(tasks) = &mut self.tasks else {
            return self.selector.matches(event, &mut UnknownTasks);
        };
        tasks.apply(event);
        let matches = self.selector.matches(event, tasks);
        tasks.finish(event);
        matches
    }

    /// Follows processes that exist now.
    fn follow(&mut self, seeds: &[Seed]) {
        let now = clock_ns();
        for seed in seeds {
            self.selector.follow_existing(seed.tgid, None, now);
        }
    }
}

impl UserSpace {
    pub(super) fn new(filter: &Filter) -> io::Result<Self> {
        let current = Evaluation::new(filter)?;
        Ok(Self { current, previous: None, has_lost: false, scanned: None })
    }

    /// Whether conditions on tasks are evaluated.
    pub(super) fn selects_tasks(&self) -> bool {
        self.current.tasks.is_some()
    }

    /// Reads the properties of all processes, and follows the selected descendants. Call it after the
    /// subscription. `earlier` was scanned before.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchProcess`](crate::Error::NoSuchProcess) if a root has ended, and errors of
    /// reading `/proc`.
    pub(super) fn seed(&mut self, earlier: Option<&Processes>) -> Result<()> {
        let Evaluation { selector, tasks } = &mut self.current;
        let Some(tasks) = tasks else { return Ok(()) };
        tasks.read_all()?;
        let Some(earlier) = earlier else { return Ok(()) };
        let processes = Processes::scan()?.with_earlier(earlier);
        let followed = |seed: Seed| selector.follows(seed.tgid);
        let seeds = processes.members(selector.filter(), followed)?;
        self.current.follow(&seeds);
        self.scanned = Some(Instant::now());
        Ok(())
    }

    /// The evaluation of a new filter.
    pub(super) fn prepare(&self, filter: &Filter) -> io::Result<Evaluation> {
        let mut new = Evaluation::new(filter)?;
        let mut selector = self.current.selector.clone();
        selector.set_filter(filter);
        new.selector = selector;
        Ok(new)
    }

    /// Replaces the filter, for events from now on.
    pub(super) fn replace(&mut self, new: Evaluation) {
        let old = std::mem::replace(&mut self.current, new);
        self.previous = Some((old, clock_ns()));
    }

    /// Whether an event passes.
    pub(super) fn wants(&mut self, event: &Event<'_>) -> bool {
        if self.has_lost && self.scanned.is_none_or(|scanned| scanned.elapsed() >= RESCAN) {
            self.reconcile();
        }
        let matches = self.current.matches(event);
        match &mut self.previous {
            Some((previous, until)) if event.timestamp_ns() <= *until => previous.matches(event),
            Some((_, until)) => {
                if event.timestamp_ns() > until.saturating_add(OUT_OF_ORDER_NS) {
                    self.previous = None;
                }
                matches
            }
            None => matches,
        }
    }

    /// Records a loss: forks of followed processes may be missing.
    pub(super) fn note_loss(&mut self) {
        self.has_lost = true;
    }

    /// Corrects the followed processes by what `/proc` shows.
    #[cold]
    fn reconcile(&mut self) {
        self.scanned = Some(Instant::now());
        let Evaluation { selector, tasks: Some(tasks) } = &mut self.current else {
            self.has_lost = false;
            return;
        };
        let lost_since = tasks.last_event_ticks();
        // A process that started since then may have the id of a followed one.
        let is_old = |seed: Seed| seed.start_ticks.is_none_or(|ticks| ticks <= lost_since);
        if selector.filter().selects_descendants() {
            let Ok(processes) = Processes::scan() else { return };
            let filter = selector.filter().clone().descendants_of(&[]).unwrap_or_default();
            let followed = |seed: Seed| is_old(seed) && selector.follows(seed.tgid);
            let Ok(members) = processes.members(&filter, followed) else { return };
            let doubtful: Vec<u32> = processes
                .iter()
                .filter(|&seed| !is_old(seed) && selector.follows(seed.tgid))
                .map(|seed| seed.tgid)
                .collect();
            let now = clock_ns();
            for tgid in doubtful {
                selector.unfollow(tgid);
            }
            for seed in members {
                selector.follow_existing(seed.tgid, None, now);
            }
        }
        if tasks.read_all().is_ok() {
            self.has_lost = false;
        }
    }
}

/// The filter for the kernel: what passes `filter`, and what a selector must see.
pub(super) fn superset(filter: &Filter) -> Filter {
    if !filter.selects_tasks() {
        return filter.clone();
    }
    let mut mask = filter.mask() | EventMask::FORK | EventMask::EXEC | EventMask::EXIT;
    if !filter.users().is_empty() {
        mask |= EventMask::UID;
    }
    if !filter.names().is_empty() {
        mask |= EventMask::COMM;
    }
    Filter::new(mask)
}
