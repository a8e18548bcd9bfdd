//! Compares the process table with `/proc`, read by this test, and with what the processes did.

mod common;

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use common::helper_process::{HelperProcess, command, exec_role, pause, print_number};
use common::load::{self, this_task};
use common::{CAP_SETUID, Deadline, builder, named, require_capability, transport};
use nix::unistd::{Uid, setresuid, setsid};
use proc_connector::process::{Change, ChangeKind, Process, ProcessTable};
use proc_connector::{ExitStatus, ProcConnector, Transport};

fn main() -> ExitCode {
    let roles = named![
        ends,
        exits_3,
        pauses,
        leaves_an_orphan,
        keeps_threads,
        changes_user,
        starts_a_session,
        executes_from_a_thread,
        reports_its_pid,
    ];
    let tests = named![
        after_a_load_the_table_equals_proc,
        after_losses_the_table_equals_proc,
        every_exec_has_its_own_arguments_or_none,
        a_process_is_tracked_from_start_to_end,
        an_orphan_gets_its_new_parent,
        threads_are_counted,
        a_child_inherits_user_and_session_until_it_changes_them,
        exec_from_a_thread_keeps_the_process,
        the_table_finds_earlier_owners_of_an_id,
    ];
    common::main(&roles, &tests)
}

fn ends() {}

fn exits_3() {
    std::process::exit(3)
}

fn pauses() {
    print_number(1);
    pause();
}

/// Ends, while its child continues until the test closes the input of both.
fn leaves_an_orphan() {
    #[expect(clippy::zombie_processes, reason = "it is to be left behind")]
    let child = command("pauses").stdout(std::process::Stdio::null()).spawn().expect("a child");
    print_number(child.id());
}

fn keeps_threads() {
    for _ in 0..3 {
        thread::spawn(|| {
            print_number(this_task().0);
            thread::park();
        });
    }
    pause();
}

const USER: u32 = 10_003;

fn changes_user() {
    let user = Uid::from_raw(USER);
    setresuid(user, user, user).expect("a privileged process");
    let mut child = command("ends").spawn().expect("a child");
    print_number(child.id());
    pause();
    child.wait().expect("a child");
}

fn starts_a_session() {
    setsid().expect("no leader of a group yet");
    let mut child = command("ends").spawn().expect("a child");
    print_number(child.id());
    pause();
    child.wait().expect("a child");
}

fn executes_from_a_thread() {
    print_number(1);
    pause();
    let executes = || exec_role("reports_its_pid");
    thread::spawn(executes).join().expect("it does not return");
}

fn reports_its_pid() {
    print_number(std::process::id());
    pause();
}

/// A connector and its table.
struct Observer {
    connector: ProcConnector,
    table: ProcessTable,
    /// Changes not yet examined, each with a copy of its process.
    changes: VecDeque<(ChangeKind, Process)>,
}

impl Observer {
    fn start() -> Self {
        Self::with(builder().receive_buffer_events(160_000).context(true).open())
    }

    fn with(connector: proc_connector::Result<ProcConnector>) -> Self {
        let connector = connector.expect("a live connector");
        let table = ProcessTable::new().expect("/proc is mounted");
        Self { connector, table, changes: VecDeque::new() }
    }

    /// Receives and applies events for this time.
    fn take(&mut self, time: Duration) {
        let time = self.table.rescan_in().unwrap_or(time).min(time);
        let mut note = |change: Change<'_>| {
            self.changes.push_back((change.kind, change.process.clone()));
        };
        for received in self.connector.recv_batch_timeout(time).expect("a batch") {
            self.table.apply(&received).for_each(&mut note);
        }
        self.table.rescan_if_due().expect("/proc").for_each(&mut note);
    }

    /// Examines changes until one matches. Later changes are left for the next call.
    fn until<T>(&mut self, mut wanted: impl FnMut(ChangeKind, &Process) -> Option<T>) -> T {
        let deadline = Deadline::new();
        loop {
            while let Some((kind, process)) = self.changes.pop_front() {
                if let Some(found) = wanted(kind, &process) {
                    return found;
                }
            }
            self.take(deadline.left().expect("a reported change"));
        }
    }

    fn until_change(&mut self, tgid: u32, kind: ChangeKind) -> Process {
        self.until(|changed, process| {
            (changed == kind && process.tgid() == tgid).then(|| process.clone())
        })
    }

    /// Compares the table with `/proc`, until no other process changes during the comparison.
    fn assert_equals_proc(&mut self) {
        let deadline = Deadline::new();
        loop {
            self.take(Duration::from_millis(50));
            let (mut observer, found) = (rows(&self.table), proc_rows());
            if transport() == Transport::Ring {
                forget_orphans(&mut observer, &found);
            }
            if observer == found {
                return;
            }
            let differ = |tgid: &&u32| observer.get(tgid) != found.get(tgid);
            let differing: BTreeMap<u32, _> = (observer.keys().chain(found.keys()).filter(differ))
                .map(|tgid| (*tgid, (observer.get(tgid), found.get(tgid))))
                .collect();
            assert!(deadline.left().is_some(), "observer and found: {differing:#?}");
        }
    }
}

/// The compared values of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    parent: u32,
    threads: usize,
    uid: (u32, u32),
    gid: (u32, u32),
    session: u32,
    /// Empty for kernel threads, whose names change without events.
    comm: Vec<u8>,
    args: Vec<u8>,
    exe: Option<PathBuf>,
    cgroup: String,
}

fn rows(table: &ProcessTable) -> BTreeMap<u32, Row> {
    let row = |process: &Process| {
        let unknown = (u32::MAX, u32::MAX);
        let is_kernel = process.is_kernel_thread();
        let comm = process.comm().filter(|_| !is_kernel);
        Row {
            parent: process.parent().unwrap_or(0),
            threads: process.threads(),
            uid: process.uid().map_or(unknown, |uid| (uid.real, uid.effective)),
            gid: process.gid().map_or(unknown, |gid| (gid.real, gid.effective)),
            session: process.session().unwrap_or(u32::MAX),
            comm: comm.unwrap_or_default().to_vec(),
            args: process.args().map(|args| shortened(args.bytes())).unwrap_or_default(),
            exe: process.exe().map(Into::into),
            cgroup: process.cgroup().map(|path| path.display().to_string()).unwrap_or_default(),
        }
    };
    table.iter().map(|process| (process.tgid(), row(process))).collect()
}

/// On the ring, the new parent of an orphan is unknown until the orphan acts.
fn forget_orphans(observer: &mut BTreeMap<u32, Row>, found: &BTreeMap<u32, Row>) {
    for (tgid, row) in observer {
        if let Some(found) = found.get(tgid).filter(|_| row.parent == 0) {
            row.parent = found.parent;
        }
    }
}

/// All processes except zombies, read from files that the table rarely reads.
fn proc_rows() -> BTreeMap<u32, Row> {
    let directories = fs::read_dir("/proc").expect("/proc is mounted");
    let tgids =
        directories.filter_map(|directory| directory.ok()?.file_name().to_str()?.parse().ok());
    tgids.filter_map(|tgid: u32| Some((tgid, proc_row(tgid)?))).collect()
}

fn proc_row(tgid: u32) -> Option<Row> {
    let directory = PathBuf::from(format!("/proc/{tgid}"));
    let status = fs::read(directory.join("status")).ok()?;
    let status = String::from_utf8_lossy(&status);
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a field");
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    let number = |name: &str, place: usize| field(name)[place].parse().expect("a number");
    let is_over = field("State:")[0] == "Z" && number("Threads:", 0) <= 1;
    // All kernel threads are children of the same process, and so are programs that the kernel starts. Only the
    // latter have memory.
    let has_memory = status.lines().any(|line| line.starts_with("VmSize:"));
    let is_kernel = [tgid, number("PPid:", 0)].contains(&2) && !has_memory;
    let comm = fs::read(directory.join("comm")).ok()?;
    let cgroups = fs::read_to_string(directory.join("cgroup")).ok()?;
    let cgroup = cgroups.lines().find_map(|line| line.strip_prefix("0::"));
    let args = fs::read(directory.join("cmdline")).ok()?;
    (!is_over).then(|| Row {
        parent: number("PPid:", 0),
        threads: number("Threads:", 0).try_into().expect("few"),
        uid: (number("Uid:", 0), number("Uid:", 1)),
        gid: (number("Gid:", 0), number("Gid:", 1)),
        session: number("NSsid:", 0),
        comm: if is_kernel { Vec::new() } else { comm[..comm.len() - 1].to_vec() },
        args: shortened(&args),
        exe: fs::read_link(directory.join("exe")).ok(),
        cgroup: cgroup.unwrap_or_default().to_owned(),
    })
}

/// As much of the arguments as the table reads from `/proc`.
fn shortened(args: &[u8]) -> Vec<u8> {
    args[..args.len().min(4096)].to_vec()
}

/// Starts processes of various kinds, some of which continue to run.
fn start_many_processes() -> Vec<HelperProcess> {
    let mut crowd = Vec::new();
    for _ in 0..5 {
        load::threads(20);
        for _ in 0..20 {
            command("ends").spawn().expect("a process").wait().expect("an exit status");
        }
        for role in ["pauses", "keeps_threads", "leaves_an_orphan"] {
            let mut helper = HelperProcess::start(role);
            helper.read_number();
            crowd.push(helper);
        }
    }
    crowd
}

fn after_a_load_the_table_equals_proc() {
    let mut observer = Observer::start();
    let crowd = start_many_processes();
    observer.assert_equals_proc();
    drop(crowd);
    observer.assert_equals_proc();
    assert_eq!(observer.connector.stats().lost, 0);
}

fn after_losses_the_table_equals_proc() {
    let mut observer = Observer::with(builder().receive_buffer_events(50).context(true).open());
    let crowd = start_many_processes();
    for _ in 0..2_000 {
        load::threads(1);
    }
    let more = start_many_processes();
    let started = Instant::now();
    observer.assert_equals_proc();
    assert_ne!(observer.connector.stats().lost, 0);
    eprintln!("converged after {:?}", started.elapsed());
    drop((crowd, more));
    observer.assert_equals_proc();
}

fn every_exec_has_its_own_arguments_or_none() {
    const EXECS: usize = 500;
    let mut observer = Observer::start();
    let mut expected = BTreeMap::new();
    for number in 0..EXECS {
        let words = ["a helper".to_owned(), format!("--number={number}")];
        let mut child = command("ends").arg0(&words[0]).arg(&words[1]).spawn().expect("a process");
        let args = words.iter().flat_map(|word| [word.as_bytes(), b"\0"].concat());
        expected.insert(child.id(), args.collect::<Vec<u8>>());
        child.wait().expect("an exit status");
    }
    let (mut with, mut without) = (0, 0);
    while with + without < EXECS {
        observer.until(|kind, process| {
            let expected = expected.get(&process.tgid())?;
            if kind != ChangeKind::Executed {
                return None;
            }
            match process.args() {
                Some(args) => {
                    assert_eq!(args.bytes(), expected);
                    with += 1;
                }
                None => without += 1,
            }
            Some(())
        });
    }
    eprintln!("{with} with arguments, {without} without");
    assert!(transport() == Transport::Socket || without == 0, "{without} without");
}

fn a_process_is_tracked_from_start_to_end() {
    let mut observer = Observer::start();
    let before = proc_connector::WallClock::new();
    let helper = HelperProcess::start("exits_3");
    let (started, ended) = (
        observer.until_change(helper.pid(), ChangeKind::Started),
        observer.until_change(helper.pid(), ChangeKind::Ended),
    );
    let own = observer.table.get(std::process::id()).expect("this process");
    assert_eq!((started.parent(), started.tree_parent()), (Some(own.tgid()), Some(own.serial())));
    assert_eq!(started.args(), own.args());
    assert!(started.is_alive() && !ended.is_alive());
    assert_eq!((started.serial(), started.start_ns()), (ended.serial(), ended.start_ns()));
    assert_eq!(ended.exit_status().and_then(ExitStatus::code), Some(3));
    assert_eq!(helper.wait().code(), Some(3));
    let lived = Duration::from_nanos(ended.lifetime_ns().expect("both times"));
    let since = before.time(ended.start_ns().expect("its start"));
    assert!(lived > Duration::ZERO && since.elapsed().expect("in the past") > lived);
}

fn an_orphan_gets_its_new_parent() {
    let mut observer = Observer::start();
    let mut helper = HelperProcess::start("leaves_an_orphan");
    let (pid, orphan) = (helper.pid(), helper.read_number());
    observer.until_change(pid, ChangeKind::Ended);
    let status = fs::read_to_string(format!("/proc/{orphan}/status")).expect("it lives");
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).expect("a parent");
    let parent = parent.trim().parse().expect("a number");
    let process = observer.table.get(orphan).expect("it lives");
    let creator = observer.table.by_serial(process.tree_parent().expect("a known parent"));
    assert_eq!(creator.map(Process::tgid), Some(pid));
    if transport() == Transport::Socket {
        assert_eq!(process.parent(), Some(parent));
        return;
    }
    // The ring records the new parent at the next event of the orphan, here its end.
    assert!(process.parent().is_none_or(|known| known == parent));
    drop(helper);
    assert_eq!(observer.until_change(orphan, ChangeKind::Ended).parent(), Some(parent));
}

fn threads_are_counted() {
    let mut observer = Observer::start();
    let mut helper = HelperProcess::start("keeps_threads");
    let mut threads: Vec<u32> = (0..3).map(|_| helper.read_number()).collect();
    let pid = helper.pid();
    let mut seen: Vec<u32> = (0..3)
        .map(|_| {
            observer.until(|kind, process| match kind {
                ChangeKind::ThreadStarted(thread) if process.tgid() == pid => Some(thread),
                _ => None,
            })
        })
        .collect();
    threads.sort_unstable();
    seen.sort_unstable();
    assert_eq!(seen, threads);
    assert_eq!(observer.table.get(pid).map(Process::threads), Some(4));
    drop(helper);
    assert_eq!(observer.until_change(pid, ChangeKind::Ended).threads(), 0);
}

fn a_child_inherits_user_and_session_until_it_changes_them() {
    require_capability(CAP_SETUID, "CAP_SETUID");
    let mut observer = Observer::start();
    let mut helper = HelperProcess::start("changes_user");
    let child = helper.read_number();
    let changed = observer.until_change(helper.pid(), ChangeKind::UserChanged);
    let user = changed.uid().expect("a user");
    assert_eq!((user.real, user.effective), (USER, USER));
    assert_eq!(observer.until_change(child, ChangeKind::Started).uid(), Some(user));

    let mut helper = HelperProcess::start("starts_a_session");
    let (pid, child) = (helper.pid(), helper.read_number());
    assert_eq!(observer.until_change(pid, ChangeKind::SessionChanged).session(), Some(pid));
    assert_eq!(observer.until_change(child, ChangeKind::Started).session(), Some(pid));
}

fn exec_from_a_thread_keeps_the_process() {
    let mut observer = Observer::start();
    let mut helper = HelperProcess::start("executes_from_a_thread");
    let pid = helper.pid();
    helper.read_number();
    helper.resume();
    // The new program prints its process id.
    assert_eq!(helper.read_number(), pid);
    let mut execs = 0;
    let process = observer.until(|kind, process| {
        if process.tgid() != pid {
            return None;
        }
        assert_ne!(kind, ChangeKind::Ended);
        execs += usize::from(kind == ChangeKind::Executed);
        // The first exec is that of the helper itself.
        (execs == 2).then(|| process.clone())
    });
    assert_eq!((process.is_alive(), process.threads()), (true, 1));
    drop(helper);
    assert_eq!(observer.until_change(pid, ChangeKind::Ended).serial(), process.serial());
}

fn the_table_finds_earlier_owners_of_an_id() {
    let mut observer = Observer::start();
    let helper = HelperProcess::start("ends");
    let pid = helper.pid();
    let ended = observer.until_change(pid, ChangeKind::Ended);
    let (start, end) = (ended.start_ns().expect("a start"), ended.end_ns().expect("an end"));
    let serial_at = |ns| observer.table.at(pid, ns).map(Process::serial);
    assert_eq!(
        [start - 1, start, end, end + 1].map(serial_at),
        [None, Some(ended.serial()), Some(ended.serial()), None]
    );
    assert!(observer.table.get(pid).is_none());
}
