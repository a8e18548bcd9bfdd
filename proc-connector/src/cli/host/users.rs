//! Names of users, looked up on a separate thread, because a directory service on the network may take
//! seconds to answer.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::unistd::{Uid, User};
use rustc_hash::FxBuildHasher;

/// The maximum number of cached names. At least half of them are the most recently used.
const MAX_CACHED: usize = 4096;

/// How long a cached name is valid: a user may be renamed, or get a name.
const FRESH: Duration = Duration::from_secs(60);

/// The maximum number of lookups that wait for the thread.
const MAX_PENDING: usize = 64;

/// How long to wait for one name, and for all names in a second. A local file is faster, so that even
/// the first line about a user has the name instead of the id.
const WAIT: Duration = Duration::from_millis(20);
const WAIT_PER_SECOND: Duration = Duration::from_millis(50);

type Name = Option<Box<str>>;

/// Names of this machine's users, by id.
#[derive(Debug)]
pub(crate) struct Users {
    /// The cache, in two generations: when the young one is full, it replaces the old one.
    young: HashMap<u32, Known, FxBuildHasher>,
    old: HashMap<u32, Known, FxBuildHasher>,
    lookups: Lookups,
    budget: WaitBudget,
}

/// A cached name.
#[derive(Clone, Debug)]
struct Known {
    name: Name,
    /// The time of the last lookup.
    asked: Instant,
    /// Whether that lookup is still running.
    is_pending: bool,
}

/// The thread that looks up names. It starts with the first lookup, after the program dropped its
/// privileges, because a thread keeps the privileges that it starts with.
enum Lookups {
    NotStarted(Box<dyn Fn(u32) -> Name + Send>),
    Running(Worker),
    /// The thread could not start, for example because of a limit. Users then have no names.
    Impossible,
}

impl fmt::Debug for Lookups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotStarted(_) => "NotStarted",
            Self::Running(_) => "Running",
            Self::Impossible => "Impossible",
        })
    }
}

#[derive(Debug)]
struct Worker {
    ask: SyncSender<u32>,
    answers: Receiver<(u32, Name)>,
}

/// The time left for waiting in the current second.
#[derive(Debug)]
struct WaitBudget {
    since: Instant,
    left: Duration,
}

impl Default for Users {
    fn default() -> Self {
        Self::with_lookup(|uid| Some(User::from_uid(Uid::from_raw(uid)).ok()??.name.into()))
    }
}

impl Users {
    fn with_lookup(lookup: impl Fn(u32) -> Name + Send + 'static) -> Self {
        Self {
            young: HashMap::default(),
            old: HashMap::default(),
            lookups: Lookups::NotStarted(Box::new(lookup)),
            budget: WaitBudget { since: Instant::now(), left: WAIT_PER_SECOND },
        }
    }

    /// The name of a user. `None` if the user has no name on this machine, as in a container, or if the
    /// lookup takes longer than a short wait.
    pub(crate) fn name(&mut self, uid: u32) -> Option<&str> {
        self.take_answers();
        self.request(uid);
        while self.known(uid).is_some_and(|known| known.is_pending && known.name.is_none()) {
            let Lookups::Running(worker) = &self.lookups else { break };
            let Some(time) = self.budget.left() else { break };
            let started = Instant::now();
            let answer = worker.answers.recv_timeout(time);
            self.budget.spend(started.elapsed());
            let Ok((answered, name)) = answer else { break };
            self.answered(answered, name);
        }
        self.known(uid)?.name.as_deref()
    }

    /// Requests the lookup of a name that is unknown or may have changed.
    fn request(&mut self, uid: u32) {
        let known = self.known(uid);
        if known.is_some_and(|known| known.is_pending || known.asked.elapsed() < FRESH) {
            return;
        }
        let name = known.and_then(|known| known.name.clone());
        let Some(worker) = self.lookups.worker() else { return };
        match worker.ask.try_send(uid) {
            Ok(()) => {
                self.keep(uid, Known { name, asked: Instant::now(), is_pending: true });
            }
            // The next event of this user tries again.
            Err(TrySendError::Full(_)) => {}
            Err(TrySendError::Disconnected(_)) => self.lookups = Lookups::Impossible,
        }
    }

    fn take_answers(&mut self) {
        loop {
            let Lookups::Running(worker) = &self.lookups else { return };
            let Ok((uid, name)) = worker.answers.try_recv() else { return };
            self.answered(uid, name);
        }
    }

    fn answered(&mut self, uid: u32, name: Name) {
        self.keep(uid, Known { name, asked: Instant::now(), is_pending: false });
    }

    /// Finds a cached name, and moves it to the young generation.
    fn known(&mut self, uid: u32) -> Option<&Known> {
        if let Some(known) = self.old.remove(&uid) {
            self.keep(uid, known);
        }
        self.young.get(&uid)
    }

    fn keep(&mut self, uid: u32, known: Known) {
        self.old.remove(&uid);
        if self.young.len() >= MAX_CACHED / 2 && !self.young.contains_key(&uid) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(uid, known);
    }
}

impl Lookups {
    /// The thread, started on first use.
    fn worker(&mut self) -> Option<&Worker> {
        if let Self::NotStarted(_) = self {
            if let Self::NotStarted(lookup) = std::mem::replace(self, Self::Impossible) {
                if let Ok(worker) = Worker::start(lookup) {
                    *self = Self::Running(worker);
                }
            }
        }
        if let Self::Running(worker) = self { Some(worker) } else { None }
    }
}

impl Worker {
    /// Starts the thread. It ends when this `Worker` is dropped or the program ends.
    fn start(lookup: impl Fn(u32) -> Name + Send + 'static) -> io::Result<Self> {
        let (ask, asked) = sync_channel::<u32>(MAX_PENDING);
        let (answer, answers) = sync_channel(MAX_PENDING);
        thread::Builder::new().name("users".to_owned()).spawn(move || {
            for uid in asked {
                if answer.send((uid, lookup(uid))).is_err() {
                    break;
                }
            }
        })?;
        Ok(Self { ask, answers })
    }
}

impl WaitBudget {
    /// How long to wait for one name now, if at all.
    fn left(&mut self) -> Option<Duration> {
        if self.since.elapsed() >= Duration::from_secs(1) {
            *self = Self { since: Instant::now(), left: WAIT_PER_SECOND };
        }
        Some(self.left.min(WAIT)).filter(|left| !left.is_zero())
    }

    fn spend(&mut self, time: Duration) {
        self.left = self.left.saturating_sub(time);
    }
}

#[cfg(test)]
mod tests;
