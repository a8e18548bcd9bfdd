//! An owned event has every view that the borrowed one has, on another thread too.

#[path = "common/wire.rs"]
mod wire;

use std::mem::size_of;
use std::sync::mpsc;
use std::thread;

use proc_connector::parser::context::layout::{ExecHdr, Recorded, TaskHdr, UsageHdr};
use proc_connector::parser::testing::context::{RawContext, RawExtension};
use proc_connector::parser::{Notification, Notifications};
use proc_connector::{
    Event, LossCause, Lost, OwnedEvent, OwnedReceived, ProcEvent, ProcessIds, ProgramFile,
    Received, Usage,
};
use proptest::prelude::*;
use wire::{
    COMM, COREDUMP, EXEC, EXIT, FORK, GID, NEW_KIND, NLMSG_DONE, PTRACE, SID, UID, cn_msg, event,
    message, proc_event,
};

const KINDS: [u32; 9] = [FORK, EXEC, UID, GID, SID, PTRACE, COMM, COREDUMP, EXIT];

const _: () = {
    const fn owned<T: Send + Sync + Clone + Eq + std::fmt::Debug + 'static>() {}
    owned::<OwnedEvent>();
    owned::<OwnedReceived>();
    // A channel moves two cache lines per event.
    assert!(size_of::<OwnedEvent>() <= 128);
};

/// Everything that the methods of an event return, in a form that can be compared and sent.
#[derive(Debug, PartialEq)]
struct Views {
    kind: (u32, u32),
    place: (u32, u32, u64),
    data: Vec<u8>,
    payload: String,
    process: Option<ProcessIds>,
    converted: ProcEvent,
    context: Option<ContextViews>,
}

#[derive(Debug, PartialEq)]
struct ContextViews {
    ids: [Option<u32>; 4],
    numbers: [Option<u64>; 3],
    usages: [Option<Usage>; 2],
    program: Option<ProgramFile>,
    comm: Option<Vec<u8>>,
    args: Option<(Vec<u8>, bool)>,
}

impl Views {
    fn borrowed(event: &Event<'_>) -> Self {
        Self {
            kind: (event.what(), event.mask().bits()),
            place: (event.cpu(), event.seq(), event.timestamp_ns()),
            data: event.data().to_vec(),
            payload: format!("{:?}", event.payload()),
            process: event.process(),
            converted: (*event).into(),
            context: event.context().map(|context| ContextViews {
                ids: [context.pid(), context.tgid(), context.uid(), context.gid()],
                numbers: [context.cgroup_id(), context.boot_ns(), context.start_boottime_ns()],
                usages: [context.usage(), context.process_usage()],
                program: context.program(),
                comm: context.comm().map(<[u8]>::to_vec),
                args: context.args().map(|args| (args.bytes().to_vec(), args.is_cut())),
            }),
        }
    }

    fn owned(event: &OwnedEvent) -> Self {
        let views = Self::borrowed(&event.as_event());
        let delegated = Self {
            kind: (event.what(), event.mask().bits()),
            place: (event.cpu(), event.seq(), event.timestamp_ns()),
            data: event.data().to_vec(),
            payload: format!("{:?}", event.payload()),
            process: event.process(),
            converted: event.into(),
            context: Self::borrowed(&event.as_event()).context,
        };
        assert_eq!(delegated, views);
        assert_eq!(event.context().is_some(), views.context.is_some());
        views
    }
}

/// A context with all headers, these arguments, and bytes behind them.
fn context(args: &[u8], behind: &[u8]) -> Vec<u8> {
    let exec = ExecHdr {
        args_len: u32::try_from(args.len()).expect("few arguments").into(),
        ..ExecHdr::default()
    };
    let task =
        TaskHdr { comm: *b"a name\0\0\0\0\0\0\0\0\0\0", boot_ns: 5.into(), ..TaskHdr::default() };
    RawContext::of_process((8, 500), (1, 100))
        .with_extension(RawExtension {
            recorded: Recorded::all(),
            task,
            usage: Some(UsageHdr { cpu_ns: 6.into(), ..UsageHdr::default() }),
            process_usage: Some(UsageHdr { cpu_ns: 7.into(), ..UsageHdr::default() }),
            exec: Some(exec),
            tail: [args, behind].concat(),
        })
        .bytes()
}

fn contexts() -> Vec<Vec<u8>> {
    let most = vec![b'x'; 32 << 10];
    let identity = RawContext::of_process((8, 500), (1, 100));
    let task = RawExtension { recorded: Recorded::COMM, ..RawExtension::default() };
    vec![
        vec![],
        vec![0; 31],
        identity.bytes(),
        identity.with_extension(task).bytes(),
        context(&[], &[]),
        context(b"true\0a\0", b"left over"),
        context(&most, &[]),
    ]
}

/// Datagrams of every kind: with a complete union, a short one, and a long one; also with a CPU and
/// a sequence number that differ from zero.
fn datagrams() -> Vec<Vec<u8>> {
    let words = [11, 12, 13, 14, 15, 16];
    let mut all: Vec<Vec<u8>> = KINDS
        .iter()
        .chain(&[NEW_KIND, EXEC | EXIT, u32::MAX])
        .map(|&it| event(it, &words))
        .collect();
    let union = |what, bytes: &[u8]| message(NLMSG_DONE, &cn_msg(1, 1, &proc_event(what, bytes)));
    for (what, len) in [(EXEC, 8), (COREDUMP, 8), (EXIT, 16), (NEW_KIND, 0), (NEW_KIND, 3)] {
        all.push(union(what, &[7; 24][..len]));
    }
    for len in [25, 80, 81, 255, 256, 60_000] {
        all.push(union(NEW_KIND, &vec![7; len]));
        all.push(union(FORK, &vec![7; len]));
    }
    for datagram in &mut all {
        datagram[24..28].copy_from_slice(&41_u32.to_ne_bytes());
        datagram[40..44].copy_from_slice(&3_u32.to_ne_bytes());
    }
    all
}

fn parsed(datagram: &[u8]) -> Event<'_> {
    match Notifications::new(datagram).next() {
        Some(Ok(Notification::Event(event))) => event,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_event_sent_to_another_thread_has_all_views_of_the_borrowed_one() {
    let (sender, receiver) = mpsc::channel::<OwnedReceived>();
    let seen = thread::spawn(move || {
        let views = |received: OwnedReceived| match received {
            OwnedReceived::Event(event) => Some(Views::owned(&event)),
            OwnedReceived::Lost(_) => None,
        };
        receiver.into_iter().map(views).collect::<Vec<_>>()
    });
    let mut expected = Vec::new();
    for (datagram, context) in datagrams()
        .iter()
        .flat_map(|datagram| contexts().into_iter().map(move |context| (datagram.clone(), context)))
    {
        let event = parsed(&datagram).with_context(&context);
        assert_eq!((event.cpu(), event.seq()), (3, 41));
        expected.push(Some(Views::borrowed(&event)));
        sender.send(Received::Event(event).into()).expect("the thread receives");
        // The owned event must not refer to the buffers.
        drop((datagram, context));
    }
    drop(sender);
    assert_eq!(seen.join().expect("no panic"), expected);
}

#[test]
fn events_with_different_unions_or_contexts_differ() {
    let (exec, fork) = (event(EXEC, &[1, 2]), event(FORK, &[1, 2]));
    let [none, all, identity] =
        [vec![], context(&[], &[]), RawContext::of_process((8, 500), (1, 100)).bytes()];
    let mut events = vec![
        parsed(&exec).with_context(&none),
        parsed(&exec).with_context(&all),
        parsed(&exec).with_context(&identity),
        parsed(&fork),
    ];
    let other = event(EXEC, &[1, 3]);
    events.push(parsed(&other));
    let owned: Vec<OwnedEvent> = events.iter().map(|&event| event.into()).collect();
    for (place, event) in owned.iter().enumerate() {
        for (other_place, other) in owned.iter().enumerate() {
            assert_eq!(event == other, place == other_place, "{event:?} {other:?}");
        }
        assert_eq!(*event, event.clone());
        assert_eq!(*event, OwnedEvent::from(event.as_event()));
    }
}

#[test]
fn an_owned_loss_equals_the_borrowed_one() {
    let bytes = [0; 3];
    let Some(Err(error)) = Notifications::new(&bytes).next() else {
        panic!("three bytes are not a message")
    };
    for cause in [LossCause::Overrun, LossCause::Malformed(error)] {
        let lost = Lost::new(Some(17), cause);
        let owned = OwnedReceived::from(Received::Lost(lost));
        assert_eq!(owned, OwnedReceived::Lost(lost));
        assert!(matches!(owned.as_received(), Received::Lost(same) if same == lost));
    }
}

#[test]
fn debug_shows_the_head_and_the_payload() {
    let exec = event(EXEC, &[1, 2]);
    let text = format!("{:?}", OwnedEvent::from(parsed(&exec)));
    assert!(text.starts_with("OwnedEvent { seq: 0, cpu: 0, timestamp_ns: "), "{text}");
    assert!(text.contains("payload: Exec(") && text.ends_with("context: None }"), "{text}");
}

#[cfg(feature = "serde")]
#[test]
fn an_owned_event_is_serialized_like_the_borrowed_one() {
    for datagram in datagrams() {
        let event = parsed(&datagram);
        let owned = serde_json::to_value(OwnedEvent::from(event)).expect("JSON");
        assert_eq!(owned, serde_json::to_value(event).expect("JSON"));
        let read: ProcEvent = serde_json::from_value(owned.clone()).expect("an event");
        assert_eq!(read, ProcEvent::from(event));
        let received = OwnedReceived::from(Received::Event(event));
        assert_eq!(serde_json::to_value(received).expect("JSON"), owned);
    }
    let received = OwnedReceived::from(Received::Lost(Lost::new(Some(17), LossCause::Overrun)));
    let json = serde_json::to_value(received).expect("JSON");
    assert_eq!(json["event"], "lost");
}

proptest! {
    #[test]
    fn an_owned_event_of_any_bytes_equals_the_borrowed_one(
        what in prop_oneof![prop::sample::select(&KINDS[..]), 1_u32..],
        header in prop::array::uniform16(any::<u8>()),
        union in prop::collection::vec(any::<u8>(), 0..300),
        context in prop::collection::vec(any::<u8>(), 0..300),
        recorded in 0_u32..1 << 20,
        is_shaped in any::<bool>(),
    ) {
        let mut payload = proc_event(what, &union);
        payload[4..16].copy_from_slice(&header[..12]);
        let datagram = message(NLMSG_DONE, &cn_msg(1, 1, &payload));
        let mut context = context;
        if let (true, Some(start)) = (is_shaped, context.get_mut(32..36)) {
            start.copy_from_slice(&recorded.to_ne_bytes());
        }
        if let Some(Ok(Notification::Event(event))) = Notifications::new(&datagram).next() {
            let event = event.with_context(&context);
            let owned = OwnedEvent::from(event);
            prop_assert_eq!(Views::owned(&owned), Views::borrowed(&event));
            prop_assert_eq!(&OwnedEvent::from(owned.as_event()), &owned);
        } else {
            // Only a union that is too short for its kind is rejected.
            prop_assert!(KINDS.contains(&what) && union.len() < 24);
        }
    }
}
