//! A selector over any events, with and without contexts, never panics. With contexts, it agrees with a
//! naive model. Without them, no event passes that the other conditions exclude.

#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use proc_connector::{Selector, TaskProperties};
use proc_connector_core::filter::{NamePattern, TreeRoot};
use proc_connector_core::testing::context::{RawContext, RawExtension};
use proc_connector_core::testing::filters::{FilterModel, RawEvent};
use proc_connector_core::testing::kinds::{EXIT, FORK};
use proc_connector_core::testing::wire::{Head, Order};
use proc_connector_core::{Filter, Notification, Notifications};
use proc_connector_fuzz::naive_selector::{Action, Conditions, Model};
use proc_connector_fuzz::shape::Kind;

#[derive(Arbitrary, Debug)]
struct Input {
    conditions: Parts,
    /// Whether all events have complete contexts.
    has_contexts: bool,
    steps: Vec<Step>,
}

#[derive(Arbitrary, Debug)]
struct Parts {
    unwanted: u16,
    processes_only: bool,
    failures_only: bool,
    /// Ids, and starts in ticks.
    roots: Vec<(u8, Option<u8>)>,
    programs: Vec<(u8, bool)>,
    cgroups: Vec<u8>,
    users: Vec<u8>,
    names: Vec<(u8, bool)>,
}

#[derive(Arbitrary, Debug)]
enum Step {
    Event(Event),
    Follow(u8, Option<u8>, Option<u16>),
    Unfollow(u8),
    /// A new filter with these roots.
    SetRoots(Vec<(u8, Option<u8>)>),
}

#[derive(Arbitrary, Debug)]
struct Event {
    kind: Kind,
    ids: [u8; 4],
    rest: [u8; 2],
    ns: u16,
    actor: u8,
    start: u8,
    child_start: u8,
    is_over: bool,
    user: u8,
    name: u8,
    cgroup: u8,
    /// The bytes of the context, if they are not those of a kernel.
    damaged: Option<Vec<u8>>,
    has_context: bool,
}

/// Few ids, so that they are reused.
fn id(byte: u8) -> u32 {
    u32::from(byte % 8) + 1
}

/// Starts of few ticks.
fn start(byte: u8) -> u64 {
    u64::from(byte % 16) * 4_000_000 + 1
}

fn name(byte: u8) -> [u8; 16] {
    let mut name = [0; 16];
    let len = usize::from(byte % 4) * 5;
    name[..len].fill(b'a' + byte % 3);
    name
}

/// What the properties of tasks are without contexts.
struct Known;

impl TaskProperties for Known {
    fn users(&mut self, tgid: u32) -> Option<(u32, u32)> {
        (tgid != 1).then_some((tgid % 4, tgid % 3))
    }

    fn comm(&mut self, tgid: u32, pid: u32) -> Option<[u8; 16]> {
        (pid != 2).then(|| name(tgid.to_le_bytes()[0]))
    }

    fn cgroups(&mut self, tgid: u32, ids: &mut Vec<u64>) -> bool {
        ids.extend(above(tgid.into()));
        tgid != 3
    }

    fn cgroups_above(&mut self, cgroup: u64, ids: &mut Vec<u64>) -> bool {
        ids.extend(above(cgroup));
        true
    }
}

fn above(cgroup: u64) -> [u64; 3] {
    [cgroup, cgroup / 2, 1]
}

fuzz_target!(|input: Input| {
    let conditions = input.conditions.conditions();
    let mut selector = Selector::new(&conditions.filter());
    let mut model = Model::new(conditions);
    for step in &input.steps {
        match step {
            Step::Event(event) => check(event, &input, &mut selector, &mut model),
            Step::Follow(tgid, at, None) => {
                selector.follow(id(*tgid), at.map(start));
                model.follow(id(*tgid), at.map(start));
            }
            // Forks and exits before that time are ignored, which the model does not know.
            Step::Follow(tgid, at, Some(ns)) if !input.has_contexts => {
                selector.follow_existing(id(*tgid), at.map(start), (*ns).into());
            }
            Step::Follow(..) => {}
            Step::Unfollow(tgid) => {
                selector.unfollow(id(*tgid));
                model.unfollow(id(*tgid));
            }
            Step::SetRoots(roots) if !input.has_contexts => {
                model.conditions.roots = tree_roots(roots);
                selector.set_filter(&model.conditions.filter());
            }
            Step::SetRoots(_) => {}
        }
    }
    assert!(selector.followed().all(|tgid| tgid != 0 || !input.has_contexts));
});

fn check(event: &Event, input: &Input, selector: &mut Selector, model: &mut Model) {
    let raw = event.raw();
    let data = Order::Native.words(&raw.words);
    let head = Head { timestamp_ns: event.ns.into(), ..Head::default() };
    let datagram = Order::Native.datagram(head, raw.what, &data);
    let Some(Ok(Notification::Event(received))) = Notifications::new(&datagram).next() else {
        return;
    };
    if input.has_contexts {
        let context = event.context(&raw);
        let passes = selector.matches(&received.with_context(&context), &mut Known);
        assert_eq!(passes, model.matches(&event.action(&raw)), "{event:?}");
        return;
    }
    let context = match &event.damaged {
        Some(bytes) => bytes.clone(),
        None => event.context(&raw),
    };
    let received = if event.has_context { received.with_context(&context) } else { received };
    let passes = selector.matches(&received, &mut Known);
    assert!(!passes || model.conditions.kinds.passes(&raw), "{event:?}");
}

impl Event {
    fn raw(&self) -> RawEvent {
        let [first, second, third, fourth] = self.ids.map(id);
        let [fifth, sixth] = self.rest.map(u32::from);
        RawEvent { what: self.kind.what(), words: [first, second, third, fourth, fifth, sixth] }
    }

    fn context(&self, raw: &RawEvent) -> Vec<u8> {
        let tgid = id(self.actor);
        let mut context = RawContext::of_process((tgid, start(self.start)), (1, 1));
        if raw.what == FORK {
            context = context.with_child_start(start(self.child_start));
        }
        if raw.what == EXIT {
            context = context.with_end(self.is_over.then_some(0));
        }
        let user = u32::from(self.user % 4);
        let extension = RawExtension::default()
            .with_ids(tgid, tgid)
            .with_users(user, user / 2)
            .with_comm(&name(self.name))
            .with_cgroup(u64::from(self.cgroup % 16));
        context.with_extension(extension).bytes()
    }

    fn action(&self, raw: &RawEvent) -> Action {
        let user = u32::from(self.user % 4);
        Action {
            event: *raw,
            tgid: id(self.actor),
            start: start(self.start),
            child_start: start(self.child_start),
            is_over: self.is_over,
            users: [user, user / 2],
            name: name(self.name),
            cgroups: above(u64::from(self.cgroup % 16)),
        }
    }
}

impl Parts {
    fn conditions(&self) -> Conditions {
        let few = Filter::MAX_ALTERNATIVES;
        Conditions {
            kinds: FilterModel {
                mask: !u32::from(self.unwanted),
                processes_only: self.processes_only,
                failures_only: self.failures_only,
                tgids: None,
            },
            roots: tree_roots(&self.roots),
            programs: patterns(&self.programs),
            cgroups: self.cgroups.iter().map(|id| u64::from(id % 16)).take(few).collect(),
            users: self.users.iter().map(|user| u32::from(user % 4)).take(few).collect(),
            names: patterns(&self.names),
        }
    }
}

/// Each id once: a filter with two starts of an id follows only one of them.
fn tree_roots(roots: &[(u8, Option<u8>)]) -> Vec<TreeRoot> {
    let mut found: Vec<TreeRoot> = Vec::new();
    for &(tgid, at) in roots {
        if !found.iter().any(|root| root.tgid == id(tgid)) {
            found.push(match at {
                Some(at) => TreeRoot::with_start(id(tgid), start(at)),
                None => TreeRoot::new(id(tgid)),
            });
        }
    }
    found
}

fn patterns(names: &[(u8, bool)]) -> Vec<(NamePattern, Vec<u8>)> {
    let pattern = |&(byte, is_prefix): &(u8, bool)| {
        let bytes = name(byte);
        let len = bytes.iter().position(|&byte| byte == 0).unwrap_or(16);
        let text = bytes[..len.min(15)].to_vec();
        let new = if is_prefix { NamePattern::prefix } else { NamePattern::exact };
        (new(&text), text)
    };
    names.iter().take(Filter::MAX_ALTERNATIVES).map(pattern).collect()
}
