//! The stage that counts for metrics, which another thread reads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use proc_connector::process::Process;
use proc_connector::{Payload, Received, Transport};

use super::actions::{Action, Actions};
use super::choose::ProcessChooser;
use super::identify::Identify;
use super::stage::Stage;
use crate::cli::export::metrics::family::Family;
use crate::cli::export::metrics::{Metrics, Now};
use crate::cli::failure::Failure;
use crate::cli::output::sink::{Details, Item};

/// The number of ended processes that the table keeps, and for how long. Only late events need them.
pub(crate) const KEEP: (usize, Duration) = (256, Duration::from_secs(1));

/// How long the listener pauses after a batch while another thread waits for the counts. On a busy
/// machine it would otherwise lock them again at once.
const PAUSE: Duration = Duration::from_millis(1);

/// The counts, shared by the thread that listens and a thread that reads them.
#[derive(Debug)]
pub(crate) struct Measured<'a> {
    state: Mutex<State<'a>>,
    /// The number of threads that wait for the counts.
    waiting: AtomicUsize,
    transport: Transport,
}

#[derive(Debug)]
struct State<'a> {
    identify: Identify,
    chooser: ProcessChooser<'a>,
    actions: Actions,
    metrics: Metrics,
}

impl<'a> Measured<'a> {
    pub(crate) fn new(
        identify: Identify,
        chooser: ProcessChooser<'a>,
        metrics: Metrics,
        transport: Transport,
    ) -> Self {
        let state = Mutex::new(State { identify, chooser, actions: Actions::default(), metrics });
        Self { state, waiting: AtomicUsize::new(0), transport }
    }

    /// The metrics now. Waits at most for the end of a batch.
    pub(crate) fn families(&self) -> Vec<Family> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let state = self.lock();
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        let State { identify, chooser, metrics, .. } = &*state;
        let table = identify.table();
        metrics.families(Now {
            processes: chooser.running(table),
            threads: (!chooser.is_selective()).then(|| table.iter().map(Process::threads).sum()),
            transport: self.transport,
        })
    }

    fn lock(&self) -> MutexGuard<'_, State<'a>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The stage that counts.
    pub(crate) fn stage(&self) -> Measure<'_, 'a> {
        Measure { measured: self, locked: None }
    }
}

/// Counts events. The counts are locked from the first event of a batch to its end.
#[derive(Debug)]
pub(crate) struct Measure<'m, 'a> {
    measured: &'m Measured<'a>,
    locked: Option<MutexGuard<'m, State<'a>>>,
}

impl Stage for Measure<'_, '_> {
    fn take(&mut self, received: &Received<'_>, _: Option<SystemTime>) -> Result<bool, Failure> {
        let state = self.locked.get_or_insert_with(|| self.measured.lock());
        state.take(received);
        Ok(true)
    }

    fn due_in(&self) -> Option<Duration> {
        match &self.locked {
            Some(state) => state.identify.rescan_in(),
            None => self.measured.lock().identify.rescan_in(),
        }
    }

    fn after_batch(&mut self, now: Instant) -> Result<bool, Failure> {
        let mut state = self.locked.take().unwrap_or_else(|| self.measured.lock());
        state.metrics.set_now(now);
        state.rescan_if_due();
        drop(state);
        if self.measured.waiting.load(Ordering::Relaxed) > 0 {
            thread::sleep(PAUSE);
        }
        Ok(true)
    }

    fn finish(&mut self) -> Result<(), Failure> {
        let mut state = self.locked.take().unwrap_or_else(|| self.measured.lock());
        let State { actions, metrics, .. } = &mut *state;
        actions.rest(|action| add(metrics, &action));
        Ok(())
    }

    fn shown(&self) -> u64 {
        self.measured.lock().metrics.events()
    }
}

impl State<'_> {
    fn take(&mut self, received: &Received<'_>) {
        let Self { identify, chooser, actions, metrics } = self;
        let subject = identify.apply(received);
        let table = identify.table();
        chooser.follow(table, Some(received));
        let process = identify.process(subject);
        let (time, details) = (None, Details::default());
        let item = Item { received, time, process, user: None, is_over: None, end: None, details };
        if !chooser.chooses(&item) {
            return;
        }
        if let Received::Event(event) = received {
            if let (Payload::Exit(_), Some(context)) = (event.payload(), event.context()) {
                if let Some(usage) = context.usage() {
                    metrics.add_io(process, &usage);
                }
            }
        }
        actions.each(received, table, |action| add(metrics, &action));
    }

    fn rescan_if_due(&mut self) {
        let Self { identify, chooser, actions, metrics } = self;
        if identify.rescan_if_due().is_some() {
            actions.each_deferred(identify.changes(), |action| add(metrics, &action));
            chooser.follow(identify.table(), None);
        }
    }
}

fn add(metrics: &mut Metrics, action: &Action<'_>) {
    match *action {
        Action::Event(kind) => metrics.add_event(kind),
        Action::Lost(lost) => metrics.add_loss(lost),
        Action::Forked { by, is_thread } => metrics.add_fork(by, is_thread),
        Action::Executed(process) => metrics.add_exec(process),
        Action::Ended(process) => metrics.add_end(process),
    }
}
