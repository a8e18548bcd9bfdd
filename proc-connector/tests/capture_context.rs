//! Captures keep what the kernel recorded at each event, and notes of the recorder. Comments are taken from
//! the file by the specification of pcapng, without the crate.

mod captures;

use std::fs;

use captures::{Order, at, blocks, option};
use proc_connector::capture::{Note, Reader, Writer};
use proc_connector::parser::{EventData, EventRecord, Notification, Notifications};
use proc_connector::{Event, EventMask, Filter, Lost, Received};
use proc_connector_core::testing::context::{RawContext, RawExtension};

const ENHANCED: u32 = 6;
const FORK: EventData<'_> =
    EventData::Fork { parent_pid: 7, parent_tgid: 7, child_pid: 8, child_tgid: 8 };
const EXEC: EventData<'_> = EventData::Exec { process_pid: 8, process_tgid: 8 };

fn with_event(data: EventData<'_>, context: &[u8], test: impl FnOnce(&Received<'_>)) {
    let mut datagram = [0; EventRecord::MAX_KERNEL_LEN];
    let record = EventRecord { seq: 1, cpu: 0, timestamp_ns: 500, data };
    record.encode_native(&mut datagram).expect("a known kind");
    let Some(Ok(Notification::Event(event))) = Notifications::new(&datagram).next() else {
        panic!("an event")
    };
    test(&Received::Event(event.with_context(context)));
}

fn fork_context() -> Vec<u8> {
    RawContext::of_process((7, 70), (1, 10)).with_child_start(80).bytes()
}

fn exec_context() -> Vec<u8> {
    let mut extension = RawExtension::default();
    extension.task.comm[..4].copy_from_slice(b"make");
    extension.recorded |= proc_connector::parser::context::layout::Recorded::COMM;
    RawContext::of_process((8, 80), (7, 70)).with_extension(extension).bytes()
}

/// A fork, a note, a loss, a note, and an exec.
fn recording() -> Vec<u8> {
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file).expect("memory");
    with_event(FORK, &fork_context(), |event| writer.write(event, at(1)).expect("memory"));
    writer.write_note(&Note::of_user(0, b"root"), at(2)).expect("memory");
    writer.write(&Received::Lost(lost()), at(3)).expect("memory");
    writer.write_note(&Note::of_user(1000, b"j\xf6rg"), at(4)).expect("memory");
    with_event(EXEC, &exec_context(), |event| writer.write(event, at(5)).expect("memory"));
    writer.finish().expect("memory");
    file
}

/// Three lost events.
fn lost() -> Lost {
    let order = Order::NATIVE;
    let options = [
        option(order, 4, &order.numbers(&[captures::Number::U64(3)])),
        option(order, 1, b"3 events lost: the receive buffer was full"),
    ];
    let packet = captures::packet(2, &[8, 8]);
    let file = [
        captures::section(order),
        captures::interface(order, captures::NETLINK, Some(9)),
        captures::enhanced(order, 0, 3, &packet, &options.concat()),
    ];
    let file = file.concat();
    let mut reader = Reader::new(&file[..]).expect("a capture");
    match reader.next().expect("no damage").expect("an item").received {
        Received::Lost(lost) => lost,
        Received::Event(event) => panic!("{event:?}"),
    }
}

/// The comments of each packet.
fn comments(file: &[u8]) -> Vec<Vec<String>> {
    let order = Order::NATIVE;
    let packets = blocks(order, file).into_iter().map(|at| &file[at]);
    let packets = packets.filter(|block| order.u32(block, 0) == ENHANCED);
    packets
        .map(|block| {
            let captured = order.u32(block, 20) as usize;
            let mut rest = &block[28 + captured.next_multiple_of(4)..block.len() - 4];
            let mut found = Vec::new();
            while rest.len() >= 4 && rest[..2] != [0, 0] {
                let is_comment = rest[..2] == 1_u16.to_ne_bytes();
                let len = usize::from(u16::from_ne_bytes([rest[2], rest[3]]));
                if is_comment {
                    found.push(String::from_utf8(rest[4..4 + len].to_vec()).expect("UTF-8"));
                }
                rest = &rest[4 + len.next_multiple_of(4)..];
            }
            found
        })
        .collect()
}

#[derive(Debug, PartialEq)]
enum Seen {
    Host(Vec<u8>),
    Note(u32, Vec<u8>),
    Event(u32, Option<(Option<u64>, Option<Vec<u8>>)>),
    Lost(Option<u64>),
}

fn context(event: &Event<'_>) -> Option<(Option<u64>, Option<Vec<u8>>)> {
    let context = event.context()?;
    Some((context.start_boottime_ns(), context.comm().map(<[u8]>::to_vec)))
}

/// All items in their order, and the number of comments that could not be read.
fn read(file: &[u8], filter: Filter) -> (Vec<Seen>, u64) {
    let mut reader = Reader::new(file).expect("a capture").with_filter(filter);
    let mut seen = Vec::new();
    while let Some(recorded) = reader.next().expect("no damage") {
        for note in recorded.notes {
            seen.push(match (note.host(), note.user()) {
                (Some(name), None) => Seen::Host(name.to_vec()),
                (None, Some((uid, name))) => Seen::Note(uid, name.to_vec()),
                other => panic!("{other:?}"),
            });
        }
        seen.push(match recorded.received {
            Received::Event(event) => Seen::Event(event.what(), context(&event)),
            Received::Lost(lost) => Seen::Lost(lost.count),
        });
    }
    (seen, reader.unread_comments())
}

/// The name of this machine, which the section of a recording has.
fn host() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname").expect("a name").trim_end().to_owned()
}

fn this_host() -> Seen {
    Seen::Host(host().into_bytes())
}

fn fork() -> Seen {
    Seen::Event(1, Some((Some(70), None)))
}

fn exec() -> Seen {
    Seen::Event(2, Some((Some(80), Some(b"make".to_vec()))))
}

#[test]
fn contexts_and_notes_are_comments() {
    let expected = [
        vec!["pc1 p=7:70 pp=1:10 child=80"],
        vec!["pc1 user=0 name=root"],
        vec!["3 events lost: the receive buffer was full"],
        vec!["pc1 user=1000 name=j%F6rg", "pc1 p=8:80 pp=7:70 comm=make"],
    ];
    assert_eq!(comments(&recording()), expected);
}

#[test]
fn contexts_and_notes_are_read_in_their_order() {
    let expected = [
        this_host(),
        fork(),
        Seen::Note(0, b"root".to_vec()),
        Seen::Lost(Some(3)),
        Seen::Note(1000, b"j\xf6rg".to_vec()),
        exec(),
    ];
    let (seen, unread) = read(&recording(), Filter::default());
    assert_eq!(seen, expected);
    assert_eq!(unread, 0);
}

#[test]
fn notes_are_read_although_their_event_is_excluded() {
    let (seen, _) = read(&recording(), Filter::new(EventMask::EXEC));
    let expected = [
        this_host(),
        Seen::Note(0, b"root".to_vec()),
        Seen::Lost(Some(3)),
        Seen::Note(1000, b"j\xf6rg".to_vec()),
        exec(),
    ];
    assert_eq!(seen, expected);
}

/// A recording whose exec has this comment instead of its own.
fn edited(comment: &str) -> Vec<u8> {
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file).expect("memory");
    with_event(EXEC, &[], |event| writer.write(event, at(5)).expect("memory"));
    writer.flush().expect("memory");
    drop(writer);
    let order = Order::NATIVE;
    let packet = blocks(order, &file).pop().expect("a packet");
    let mut body = file[packet.start + 8..packet.end - 4].to_vec();
    body.extend(option(order, 1, comment.as_bytes()));
    file.truncate(packet.start);
    file.extend(captures::block(order, ENHANCED, &body));
    file
}

#[test]
fn an_edited_comment_loses_only_the_context() {
    for (comment, context, expected) in [
        ("pc1 p=8:80 comm=make", Some((Some(80), Some(b"make".to_vec()))), 0),
        ("pc1 p=8:80 colour=red comm=make", Some((Some(80), Some(b"make".to_vec()))), 0),
        ("pc1 p=8:80 comm=%", None, 1),
        ("pc1 p=eight comm=make", None, 1),
        ("pc1 ", None, 1),
        ("pc1 hello", None, 1),
        ("pc2 process:8 name:make", None, 1),
        ("a colleague's remark", None, 0),
        ("", None, 0),
    ] {
        let (seen, unread) = read(&edited(comment), Filter::default());
        assert_eq!(seen, [this_host(), Seen::Event(2, context)], "{comment}");
        assert_eq!(unread, expected, "{comment}");
    }
}

#[test]
fn an_unreadable_comment_of_an_excluded_event_is_not_counted() {
    let (seen, unread) = read(&edited("pc1 p=eight"), Filter::new(EventMask::EXIT));
    assert_eq!((seen.len(), unread), (0, 0));
}

fn copied(file: &[u8]) -> Vec<u8> {
    let mut copy = Vec::new();
    let mut writer = Writer::new(&mut copy).expect("memory");
    let mut reader = Reader::new(file).expect("a capture");
    while let Some(recorded) = reader.next().expect("no damage") {
        let time = recorded.time.expect("a time");
        for note in recorded.notes {
            writer.write_note(note, time).expect("memory");
        }
        writer.write(&recorded.received, time).expect("memory");
    }
    writer.finish().expect("memory");
    copy
}

#[test]
fn a_copy_has_the_same_contexts() {
    let file = recording();
    let copy = copied(&file);
    let mut expected = comments(&file);
    // The name in the section of the copy is that of the machine that copies.
    expected[0].insert(0, format!("pc1 host={}", host()));
    assert_eq!(comments(&copy), expected);
}

/// `editcap -d` keeps one of several packets with the same bytes, and ignores their comments.
#[test]
fn packets_without_events_differ() {
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file).expect("memory");
    for uid in 0..10_000 {
        writer.write_note(&Note::of_user(uid, &[b'x'; 100]), at(1)).expect("memory");
    }
    writer.finish().expect("memory");
    let order = Order::NATIVE;
    let packets =
        blocks(order, &file).into_iter().filter(|block| order.u32(&file, block.start) == 6);
    let data = packets.map(|block| file[block.start + 28..block.start + 28 + 32].to_vec());
    let data: Vec<Vec<u8>> = data.collect();
    assert!(data.len() > 20, "{}", data.len());
    let different: std::collections::HashSet<&[u8]> = data.iter().map(Vec::as_slice).collect();
    assert_eq!(different.len(), data.len());
}

/// The section of a copy names the machine, and so does the note that was copied.
#[test]
fn the_name_of_the_machine_is_reported_once() {
    let mut file = recording();
    for _ in 0..2 {
        let copy = copied(&file);
        assert_eq!(read(&copy, Filter::default()), read(&recording(), Filter::default()));
        file = copy;
    }
}
