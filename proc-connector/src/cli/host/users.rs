//! Names of users, looked up by a thread of their own: the answer may come from a directory on the
//! network, and take seconds.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::unistd::{Uid, User};

/// The most names that are kept. At least the half of them are those used last.
const MANY: usize = 4096;

/// How long a name is taken for right: a user may get another, or one at last.
const FRESH: Duration = Duration::from_secs(60);

/// How many lookups may wait for the thread.
const WAITING: usize = 64;

/// How long to wait for one name, and for all of them in a second, so that not each user's first line
/// has a number: a local file answers in less.
const PATIENCE: Duration = Duration::from_millis(20);
const PATIENCE_A_SECOND: Duration = Duration::from_millis(50);

type Name = Option<Box<str>>;

/// Names of this machine's users, by id.
#[derive(Debug)]
pub(crate) struct Users {
    /// Two generations: when the young ones are many, they become the old ones, and those are
    /// forgotten.
    young: HashMap<u32, Known>,
    old: HashMap<u32, Known>,
    lookups: Lookups,
    patience: Patience,
}

/// What is known of a user's name.
#[derive(Clone, Debug)]
struct Known {
    name: Name,
    /// When it was asked for last, and whether the answer is still to come.
    asked: Instant,
    is_pending: bool,
}

/// The thread that looks names up. It starts with the first lookup, which comes after this program gave
/// up its privileges: a thread keeps those that it started with.
enum Lookups {
    NotStarted(Box<dyn Fn(u32) -> Name + Send>),
    Running(Worker),
    /// No thread could be started, as limits may have it: then users have no names.
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

/// What is left of the time to wait in this second.
#[derive(Debug)]
struct Patience {
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
            young: HashMap::new(),
            old: HashMap::new(),
            lookups: Lookups::NotStarted(Box::new(lookup)),
            patience: Patience { since: Instant::now(), left: PATIENCE_A_SECOND },
        }
    }

    /// What a user is called; `None` for one without a name here, such as a container's, and while
    /// the name is being looked up. For that it waits a moment, a small part of the time in all.
    pub(crate) fn name(&mut self, uid: u32) -> Option<&str> {
        self.take_answers();
        self.want(uid);
        while self.known(uid).is_some_and(|known| known.is_pending && known.name.is_none()) {
            let Lookups::Running(worker) = &self.lookups else { break };
            let Some(time) = self.patience.left() else { break };
            let started = Instant::now();
            let answer = worker.answers.recv_timeout(time);
            self.patience.spend(started.elapsed());
            let Ok((answered, name)) = answer else { break };
            self.answered(answered, name);
        }
        self.known(uid)?.name.as_deref()
    }

    /// Has a name looked up that is unknown or may have changed.
    fn want(&mut self, uid: u32) {
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

    /// Finds one, and keeps it among the young.
    fn known(&mut self, uid: u32) -> Option<&Known> {
        if let Some(known) = self.old.remove(&uid) {
            self.keep(uid, known);
        }
        self.young.get(&uid)
    }

    fn keep(&mut self, uid: u32, known: Known) {
        self.old.remove(&uid);
        if self.young.len() >= MANY / 2 && !self.young.contains_key(&uid) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(uid, known);
    }
}

impl Lookups {
    /// The thread, which is started if it can be and was not yet.
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
    /// The thread ends with what it is asked by, or with the program, whatever it waits for.
    fn start(lookup: impl Fn(u32) -> Name + Send + 'static) -> io::Result<Self> {
        let (ask, asked) = sync_channel::<u32>(WAITING);
        let (answer, answers) = sync_channel(WAITING);
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

impl Patience {
    /// How long to wait for one name now, if at all.
    fn left(&mut self) -> Option<Duration> {
        if self.since.elapsed() >= Duration::from_secs(1) {
            *self = Self { since: Instant::now(), left: PATIENCE_A_SECOND };
        }
        Some(self.left.min(PATIENCE)).filter(|left| !left.is_zero())
    }

    fn spend(&mut self, time: Duration) {
        self.left = self.left.saturating_sub(time);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::sync::mpsc::channel;
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Asks until there is a name, as events that keep coming do.
    fn at_last(users: &mut Users, uid: u32) -> String {
        let started = Instant::now();
        loop {
            if let Some(name) = users.name(uid) {
                return name.to_owned();
            }
            assert!(started.elapsed() < Duration::from_secs(60), "still no name");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Users whose names are looked up when the test lets it happen, and how many were.
    fn slow() -> (Users, std::sync::mpsc::Sender<()>, Arc<AtomicUsize>) {
        let (go_on, gate) = channel::<()>();
        let (gate, lookups) = (Mutex::new(gate), Arc::new(AtomicUsize::new(0)));
        let counter = Arc::clone(&lookups);
        let users = Users::with_lookup(move |uid| {
            let _ = gate.lock().expect("no test panicked").recv();
            counter.fetch_add(1, SeqCst);
            Some(format!("user{uid}").into())
        });
        (users, go_on, lookups)
    }

    #[test]
    fn users_have_the_names_that_the_machine_gives_them() {
        let mut users = Users::default();
        let file = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let mut lines = file.lines().map(|line| line.split(':').collect::<Vec<_>>());
        if let Some(root) = lines.find(|fields| fields.get(2) == Some(&"0")) {
            assert_eq!(at_last(&mut users, 0), root[0]);
        }
        // Given to nobody: the next one stands for "no change".
        assert_eq!(users.name(u32::MAX - 1), None);
    }

    #[test]
    fn a_lookup_that_takes_for_ever_holds_nobody_up() {
        let (mut users, go_on, lookups) = slow();
        // None of these would return if it waited for the lookup, which does not end before it is let.
        for uid in 0..10_000 {
            assert_eq!(users.name(uid), None);
        }
        assert_eq!(lookups.load(SeqCst), 0);
        drop(go_on);
        assert_eq!(at_last(&mut users, 9_999), "user9999");
    }

    #[test]
    fn a_user_is_looked_up_once_however_many_events_there_are() {
        let (mut users, go_on, lookups) = slow();
        for _ in 0..1_000 {
            assert_eq!(users.name(7), None);
        }
        drop(go_on);
        assert_eq!(at_last(&mut users, 7), "user7");
        for _ in 0..1_000 {
            assert_eq!(users.name(7), Some("user7"));
        }
        assert_eq!(lookups.load(SeqCst), 1);
    }

    #[test]
    fn however_many_users_there_are_few_are_kept() {
        let mut users = Users::with_lookup(|uid| Some(uid.to_string().into()));
        for uid in 0..400_000 {
            users.name(uid);
            assert!(users.young.len() + users.old.len() <= MANY);
        }
        // One that is asked for again and again stays.
        let asked = Instant::now();
        users.keep(1, Known { name: Some("kept".into()), asked, is_pending: false });
        for uid in 10_000..30_000 {
            users.keep(uid, Known { name: None, asked, is_pending: false });
            assert_eq!(users.name(1), Some("kept"));
        }
        assert!(!users.young.contains_key(&10_000) && !users.old.contains_key(&10_000));
    }

    #[test]
    fn names_are_looked_up_again_after_a_while() {
        let count = AtomicUsize::new(0);
        let mut users =
            Users::with_lookup(move |_| Some(format!("name{}", count.fetch_add(1, SeqCst)).into()));
        assert_eq!(at_last(&mut users, 1), "name0");
        let Some(then) = Instant::now().checked_sub(FRESH) else { return };
        users.young.get_mut(&1).expect("known").asked = then;
        // The name from before is shown until there is an answer.
        assert!(matches!(users.name(1), Some("name0" | "name1")));
        let started = Instant::now();
        while users.name(1) != Some("name1") {
            assert!(started.elapsed() < Duration::from_secs(60), "still the name from before");
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn without_a_thread_users_are_numbers() {
        let mut users = Users { lookups: Lookups::Impossible, ..Users::default() };
        assert_eq!(users.name(0), None);
    }
}
