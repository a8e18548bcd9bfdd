//! A process that makes trees of processes, and a record of every process, thread and exec in them.
//!
//! The maker is not in the trees. It forks their roots, which wait until the test has set a filter. All
//! processes of the trees write their records to the maker's standard output, which ends when all of
//! them have ended.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::sys::prctl::set_child_subreaper;
use nix::sys::ptrace;
use nix::sys::wait::{wait, waitpid};
use nix::unistd::{Pid, gettid, pipe2};

use crate::behaviour::line::Line;
use crate::behaviour::programs::{ARE_SUPPORTED, Programs, c_string, c_strings};
use crate::behaviour::stage::{exec_at, this};
use crate::behaviour::sys::{self, Creation, Plan};
use crate::common::helper_process::pause;

/// A line of the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Record {
    Root(u32),
    Process(u32),
    /// A thread other than the first: the process and the thread.
    Thread(u32, u32),
    Exec(u32),
    Session(u32),
    /// The maker attached to this process, and detached.
    Traced(u32),
    /// All roots exist.
    Ready,
}

impl Record {
    fn write(self) {
        let (kind, process, thread) = match self {
            Self::Root(pid) => ('r', pid, 0),
            Self::Process(pid) => ('p', pid, 0),
            Self::Thread(pid, thread) => ('t', pid, thread),
            Self::Exec(pid) => ('x', pid, 0),
            Self::Session(pid) => ('s', pid, 0),
            Self::Traced(pid) => ('a', pid, 0),
            Self::Ready => ('.', 0, 0),
        };
        let line = format!("{kind} {process} {thread}\n");
        // In a single call, so that the lines of several processes do not mix.
        let len = nix::unistd::write(std::io::stdout(), line.as_bytes()).expect("a pipe");
        assert_eq!(len, line.len());
    }

    pub(crate) fn read(line: &str) -> Self {
        let words: Vec<&str> = line.split(' ').collect();
        let &[kind, process, thread] = &words[..] else { panic!("{line}") };
        let [pid, thread] = [process, thread].map(|id| id.parse().expect("an id"));
        match kind {
            "r" => Self::Root(pid),
            "p" => Self::Process(pid),
            "t" => Self::Thread(pid, thread),
            "x" => Self::Exec(pid),
            "s" => Self::Session(pid),
            "a" => Self::Traced(pid),
            "." => Self::Ready,
            _ => panic!("{line}"),
        }
    }
}

/// What a member of a tree requests from the maker, with a process id.
#[derive(Clone, Copy, Debug)]
enum Request {
    /// To create a process with this id, which creates others.
    Reuse = 1,
    /// To create a process that ends, and return its id.
    Spend = 2,
    /// To attach to this process, and detach.
    Trace = 3,
}

/// What the members of a tree have.
#[derive(Debug)]
struct Tree<'a> {
    index: usize,
    requests: &'a File,
    reply: Line,
    programs: &'a Programs,
}

type Kind = fn(&Tree<'_>);

/// The kinds of trees. Over the socket, an event does not name the creator of a sibling.
const SIBLINGS: Kind = siblings;
const KINDS: &[Kind] = &[
    children,
    daemons,
    chains,
    threads_that_fork,
    late_threads,
    an_id_for_a_stranger,
    an_id_of_a_stranger,
    traced,
    sessions,
];
const KINDS_WITH_PROGRAMS: &[Kind] = &[vforks, spawns, an_orphan_that_executes];

/// The role of the maker. Its arguments are a directory with programs, the number of trees, a seed, and
/// whether trees with siblings are made.
pub(crate) fn makes_trees() {
    let words: Vec<String> = std::env::args().collect();
    let [_, directory, count, seed, with_siblings] = &words[..] else { panic!("{words:?}") };
    let number = |word: &str| word.parse::<usize>().expect("a number");
    let programs = Programs::in_directory(Path::new(directory));
    let mut kinds = KINDS.to_vec();
    kinds.extend(if ARE_SUPPORTED { KINDS_WITH_PROGRAMS } else { &[] });
    if with_siblings == "true" {
        kinds.push(SIBLINGS);
    }
    // Orphans become children of this process, or of the first process.
    set_child_subreaper(number(seed) % 2 == 0).expect("Linux 3.4");
    let (mut start, starter) = pipe2(OFlag::O_CLOEXEC).map(files).expect("a pipe");
    let (requests, requester) = pipe2(OFlag::O_CLOEXEC).map(files).expect("a pipe");
    let mut replies = Vec::new();
    let mut starter = Some(starter);
    for index in 0..number(count) {
        let tree = Tree { index, requests: &requester, reply: Line::new(), programs: &programs };
        let root = sys::fork(|| {
            starter = None;
            start.read_to_end(&mut Vec::new()).expect("a pipe");
            kinds[(index + number(seed)) % kinds.len()](&tree);
        });
        Record::Root(root).write();
        replies.push(tree.reply);
    }
    Record::Ready.write();
    pause();
    drop((starter, requester));
    serve(requests, &replies);
    while wait().is_ok() {}
}

fn files((reader, writer): (OwnedFd, OwnedFd)) -> (File, File) {
    (reader.into(), writer.into())
}

/// Answers requests until all trees have ended.
fn serve(mut requests: File, replies: &[Line]) {
    let mut bytes = [0; 12];
    while requests.read_exact(&mut bytes).is_ok() {
        let number = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("4"));
        let (request, index, pid) = (number(0), number(4), number(8));
        let answer = match request {
            1 => reuse(pid),
            2 => spend(),
            _ => trace(pid),
        };
        replies[index as usize].send(&[answer.into()]);
    }
}

/// The process is not in a tree, and neither are those that it creates.
fn reuse(pid: u32) -> u32 {
    let stranger = || {
        sys::wait4(sys::fork(|| ())).expect("a child");
        thread::spawn(|| ()).join().expect("a thread");
    };
    let creation = Creation { pid: Some(pid), ..Creation::default() };
    // Fails if another process has the id by now.
    sys::clone(creation, stranger).map_or(0, |child| {
        sys::wait4(child).expect("a child");
        child
    })
}

fn spend() -> u32 {
    let child = sys::fork(|| ());
    sys::wait4(child).expect("a child");
    child
}

fn trace(pid: u32) -> u32 {
    let tracee = Pid::from_raw(pid.try_into().expect("an id"));
    ptrace::attach(tracee).expect("the right to trace it");
    waitpid(tracee, None).expect("a tracee that stops");
    ptrace::detach(tracee, None).expect("a stopped tracee");
    Record::Traced(pid).write();
    pid
}

impl Tree<'_> {
    fn request(&self, request: Request, pid: u32) -> u32 {
        let index = u32::try_from(self.index).expect("few trees");
        let words = [request as u32, index, pid];
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let mut requests = self.requests;
        requests.write_all(&bytes).expect("the maker reads");
        self.reply.receive_pid()
    }
}

/// Forks a member of the tree, which records itself.
fn fork(child: impl FnOnce()) -> u32 {
    sys::fork(|| member(child))
}

fn member(act: impl FnOnce()) {
    Record::Process(this()).write();
    act();
}

fn reap(pid: u32) {
    let (status, _) = sys::wait4(pid).expect("a child");
    assert_ne!(status, sys::PANICKED);
}

fn children(_: &Tree<'_>) {
    for _ in 0..3 {
        reap(fork(|| reap(fork(|| ()))));
    }
}

/// Processes whose parents end before them, and that have children afterwards.
fn daemons(_: &Tree<'_>) {
    for _ in 0..2 {
        reap(fork(|| {
            let parent = this();
            fork(move || {
                while crate::behaviour::stage::parent() == parent {
                    thread::yield_now();
                }
                fork(|| ());
                reap(fork(|| ()));
            });
        }));
    }
}

fn chains(_: &Tree<'_>) {
    fn descend(depth: u32) {
        if depth > 0 {
            // Each ends at once, or waits for the next.
            let next = fork(|| descend(depth - 1));
            if depth % 2 == 0 {
                reap(next);
            }
        }
    }
    descend(8);
}

fn threads_that_fork(_: &Tree<'_>) {
    let pid = this();
    for _ in 0..2 {
        let fork_and_reap = move || {
            Record::Thread(pid, thread_id()).write();
            reap(fork(|| ()));
        };
        thread::spawn(fork_and_reap).join().expect("no panic");
    }
}

fn thread_id() -> u32 {
    gettid().as_raw().try_into().expect("positive")
}

/// The first thread ends before the others, which end at the same time.
fn late_threads(_: &Tree<'_>) {
    for _ in 0..2 {
        reap(fork(|| {
            let pid = this();
            let barrier: &'static Barrier = Box::leak(Box::new(Barrier::new(3)));
            for _ in 0..3 {
                thread::spawn(move || {
                    Record::Thread(pid, thread_id()).write();
                    barrier.wait();
                    sys::exit_thread(0);
                });
            }
            sys::exit_thread(0);
        }));
    }
}

fn an_id_for_a_stranger(tree: &Tree<'_>) {
    for _ in 0..2 {
        let child = fork(|| reap(fork(|| ())));
        reap(child);
        tree.request(Request::Reuse, child);
    }
}

fn an_id_of_a_stranger(tree: &Tree<'_>) {
    for _ in 0..2 {
        let pid = tree.request(Request::Spend, 0);
        let creation = Creation { pid: Some(pid), ..Creation::default() };
        if let Ok(child) = sys::clone(creation, || member(|| reap(fork(|| ())))) {
            reap(child);
        }
    }
}

fn traced(tree: &Tree<'_>) {
    let line = Line::new();
    let child = fork(|| {
        line.receive();
        reap(fork(|| ()));
    });
    tree.request(Request::Trace, child);
    line.send(&[0]);
    reap(child);
}

fn sessions(_: &Tree<'_>) {
    reap(fork(|| {
        nix::unistd::setsid().expect("no leader of a group");
        Record::Session(this()).write();
        fork(|| thread::sleep(Duration::from_millis(1)));
    }));
}

/// Siblings of the creator: the children of this process, and of the maker.
fn siblings(_: &Tree<'_>) {
    let creation = || Creation { flags: libc::CLONE_PARENT, exit_signal: 0, pid: None };
    let line = Line::new();
    reap(fork(|| {
        let sibling = sys::clone(creation(), || member(|| reap(fork(|| ()))));
        line.send(&[sibling.expect("a sibling").into()]);
    }));
    reap(line.receive_pid());
    sys::clone(creation(), || member(|| reap(fork(|| ())))).expect("a sibling");
}

fn vforks(tree: &Tree<'_>) {
    let path = c_string(&tree.programs.path("quit"));
    for _ in 0..2 {
        let inner = Plan::new(&path, &c_strings(&["quit"]), None);
        let mut plan = Plan::new(&path, &c_strings(&["quit"]), Some(inner));
        let pid = sys::vfork(&mut plan);
        for pid in [pid].into_iter().chain(plan.inner_pids()) {
            Record::Process(pid).write();
            Record::Exec(pid).write();
        }
        reap(pid);
    }
}

fn spawns(tree: &Tree<'_>) {
    for _ in 0..2 {
        let mut command = Command::new(tree.programs.path("quit"));
        let mut child = command.stdin(Stdio::null()).spawn().expect("a program");
        Record::Process(child.id()).write();
        Record::Exec(child.id()).write();
        child.wait().expect("a child");
    }
}

fn an_orphan_that_executes(tree: &Tree<'_>) {
    let path = tree.programs.path("quit");
    reap(fork(|| {
        fork(|| {
            thread::sleep(Duration::from_millis(1));
            Record::Exec(this()).write();
            match exec_at(&path, &["quit"]) {}
        });
    }));
}
