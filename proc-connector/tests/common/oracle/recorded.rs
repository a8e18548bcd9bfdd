//! What the kernel recorded of each process with its events, by the identity that it recorded. The
//! process table is not involved.

use std::collections::HashMap;

use proc_connector::parser::{Context, ProgramFile, Usage};
use proc_connector::{Event, Payload};

use super::judge::{Judged, Verdict, compare, judge_known, wrong};
use super::usage::judge_usage;
use crate::behaviour::truth::{Deleted, Image, Truth, text};

use Verdict::{Missing, Right};

/// Process id and start time.
type Identity = (u32, u64);

/// All processes with their recorded events.
#[derive(Debug, Default)]
pub(crate) struct Recorded {
    lives: HashMap<Identity, Life>,
    /// The processes of other threads than the first, by process and thread id.
    threads: HashMap<(u32, u32), Identity>,
    /// The identities of the processes that had an id, with the time stamps of their forks. `None`:
    /// the start was not recorded.
    forks: HashMap<u32, Vec<(u64, Option<Identity>)>>,
}

#[derive(Debug, Default)]
struct Life {
    creator: Option<u32>,
    execs: Vec<Exec>,
    /// The exits of its threads.
    exits: Vec<Exit>,
}

#[derive(Debug)]
struct Exec {
    args: Option<(String, bool)>,
    filename: Option<String>,
    exe: Option<String>,
    program: Option<ProgramFile>,
}

#[derive(Debug)]
struct Exit {
    timestamp_ns: u64,
    is_over: Option<bool>,
    status: Option<i32>,
    usage: Option<Usage>,
    uid: Option<(u32, u32)>,
    gid: Option<(u32, u32)>,
    session: Option<u32>,
    ns_tgid: Option<u32>,
    /// Whether the acting thread is the first.
    is_first: bool,
}

impl Recorded {
    pub(crate) fn note(&mut self, event: &Event<'_>) {
        let Some(context) = event.context() else { return };
        let actor = context.tgid().zip(context.start_boottime_ns());
        match event.payload() {
            Payload::Fork(fork) if fork.child_pid() == fork.child_tgid() => {
                let start = context.child_start_boottime_ns();
                let child = start.map(|start| (fork.child_tgid(), start));
                self.forks
                    .entry(fork.child_tgid())
                    .or_default()
                    .push((event.timestamp_ns(), child));
                if let Some(child) = child {
                    self.lives.entry(child).or_default().creator = context.tgid();
                }
            }
            Payload::Fork(fork) => {
                let Some(actor) = actor else { return };
                self.threads.insert((fork.child_tgid(), fork.child_pid()), actor);
            }
            Payload::Exec(_) => {
                let Some(actor) = actor else { return };
                self.lives.entry(actor).or_default().execs.push(Exec::new(&context));
            }
            Payload::Exit(exit) => {
                // If the first thread is freed before the exit of another is sent, the identity
                // follows from the thread.
                let by_thread = self.threads.get(&(exit.process_tgid(), exit.process_pid()));
                let Some(actor) = actor.or_else(|| by_thread.copied()) else { return };
                let is_first = exit.process_pid() == exit.process_tgid();
                let exit = Exit::new(&context, event.timestamp_ns(), is_first);
                self.lives.entry(actor).or_default().exits.push(exit);
            }
            _ => {}
        }
    }

    pub(crate) fn judge(&self, truth: &Truth) -> Vec<Judged> {
        let (from, to) = truth.created_ns;
        let forks = self.forks.get(&truth.tgid).map(Vec::as_slice).unwrap_or_default();
        let mut forks = forks.iter().filter(|(ns, _)| (from..=to).contains(ns));
        let (Some((_, identity)), None) = (forks.next(), forks.next()) else {
            return vec![("event: identity", wrong(&"not one fork", &1))];
        };
        let Some(identity) = identity else { return vec![("event: identity", Missing)] };
        let Some(life) = self.lives.get(identity) else { return Vec::new() };
        let mut judged = Vec::new();
        let ticks = Some(identity.1 / 10_000_000);
        judge_known(&mut judged, "event: identity", ticks, truth.start_ticks);
        judged.push(("event: creator", compare(life.creator, &truth.creator)));
        judged.push(("event: execs", compare(Some(life.execs.len()), &(truth.images.len() - 1))));
        for (exec, image) in life.execs.iter().zip(&truth.images[1..]) {
            exec.judge(image, &mut judged);
        }
        life.judge_end(truth, &mut judged);
        judged
    }
}

impl Life {
    fn judge_end(&self, truth: &Truth, judged: &mut Vec<Judged>) {
        if self.exits.iter().any(|exit| exit.is_over.is_none()) {
            judged.push(("event: end", Missing));
        }
        let early = |exit: &&Exit| exit.is_over == Some(true) && exit.timestamp_ns < truth.alive_ns;
        if let Some(exit) = self.exits.iter().find(early) {
            judged.push(("event: end", wrong(&exit.timestamp_ns, &truth.alive_ns)));
        }
        let ends: Vec<&Exit> =
            self.exits.iter().filter(|exit| exit.is_over == Some(true)).collect();
        judged.push((
            "event: end",
            if ends.is_empty() { wrong(&self.exits, &"over") } else { Right },
        ));
        for end in ends {
            judge_known(judged, "event: status", end.status, truth.status);
            judge_usage(judged, EVENT_USAGE, end.usage, truth.usage);
            if end.is_first {
                judge_known(judged, "event: user", end.uid, truth.uid);
                judge_known(judged, "event: group", end.gid, truth.gid);
            }
            judge_known(judged, "event: session", end.session, truth.session);
            judged.push(("event: ns_tgid", compare(end.ns_tgid, &truth.ns_tgid)));
        }
    }
}

const EVENT_USAGE: [&str; 6] = [
    "event: cpu",
    "event: max_rss",
    "event: min_flt",
    "event: maj_flt",
    "event: nvcsw",
    "event: nivcsw",
];

impl Exit {
    fn new(context: &Context<'_>, timestamp_ns: u64, is_first: bool) -> Self {
        let status = context.process_status();
        Self {
            timestamp_ns,
            is_over: context.is_over(),
            status: status.map(|status| i32::try_from(status.into_raw()).expect("a status")),
            usage: context.process_usage(),
            uid: context.uid().zip(context.euid()),
            gid: context.gid().zip(context.egid()),
            session: context.session(),
            ns_tgid: context.ns_tgid(),
            is_first,
        }
    }
}

impl Exec {
    fn new(context: &Context<'_>) -> Self {
        let args = context.args();
        let exe = context.exe().map(|exe| {
            exe.components().flat_map(|name| ["/".to_owned(), text(name)]).collect::<String>()
        });
        Self {
            args: args.map(|args| (text(args.bytes()), args.is_cut())),
            filename: context.filename().map(text),
            exe,
            program: context.program(),
        }
    }

    fn judge(&self, image: &Image, judged: &mut Vec<Judged>) {
        let args = self.args.as_ref().map(|(args, is_cut)| (&args[..], *is_cut));
        judged.push(("event: arguments", super::judge::judge_arguments(args, image)));
        if !image.filename.is_empty() {
            let filename = self.filename.as_deref();
            judged.push(("event: filename", compare(filename, &&image.filename[..])));
        }
        judged.push(("event: exe", compare(self.exe.as_deref(), &&image.exe[..])));
        judged.push(("event: program", judge_program(self.program, image)));
    }
}

pub(crate) fn judge_program(program: Option<ProgramFile>, image: &Image) -> Verdict {
    let Some(program) = program else { return Missing };
    let device = nix::sys::stat::makedev(program.dev_major.into(), program.dev_minor.into());
    let is_deleted = match image.deleted {
        Deleted::Never => Some(false),
        Deleted::Before => Some(true),
        Deleted::After => None,
    };
    let says = program.is_deleted || program.is_memfd;
    let is_right = (device, program.ino) == (image.device, image.inode)
        && is_deleted.is_none_or(|is_deleted| is_deleted == says)
        && program.is_memfd == image.exe.starts_with("/memfd:");
    if is_right { Right } else { wrong(&program, image) }
}
