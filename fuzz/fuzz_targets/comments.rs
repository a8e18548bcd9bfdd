//! Comments of captures: any comment leaves its event and the events around it unchanged. A context or a
//! note that is read is the same after it was written and read again.

#![no_main]

use std::time::SystemTime;

use libfuzzer_sys::fuzz_target;
use proc_connector::Received;
use proc_connector::capture::{Note, Reader, Writer};
use proc_connector::parser::{EventData, EventRecord, Notification, Notifications};
use proc_connector::process::ProcessTable;

fuzz_target!(|comment: &[u8]| {
    let comment = &comment[..comment.len().min(16 << 10)];
    let (items, notes) = read(&with_comment(comment));
    assert_eq!(items.len(), 2, "an event is missing");
    assert_eq!((items[0].0, items[1].0), (1, 2));
    assert!(items[1].1.is_none(), "the context belongs to another event");
    let again = copy(&with_comment(comment));
    assert_eq!(read(&again), (items, notes));
});

/// An event of a capture: its number, and all values of its context.
type Seen = (u32, Option<String>);

fn read(file: &[u8]) -> (Vec<Seen>, Vec<Note>) {
    let (mut items, mut notes) = (Vec::new(), Vec::new());
    let mut table = ProcessTable::without_proc();
    let mut reader = Reader::new(file).expect("a capture");
    while let Some(recorded) = reader.next().expect("no damage") {
        notes.extend_from_slice(recorded.notes);
        table.apply_notes(recorded.notes);
        table.apply(&recorded.received);
        if let Received::Event(event) = recorded.received {
            items.push((event.seq(), event.context().map(|context| values(&context))));
        }
    }
    (items, notes)
}

fn values(context: &proc_connector::Context<'_>) -> String {
    let paths = [context.exe(), context.cwd()]
        .map(|path| path.map(|path| path.components().map(<[u8]>::to_vec).collect::<Vec<_>>()));
    format!(
        "{:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {paths:?}",
        (context.tgid(), context.start_boottime_ns(), context.parent_tgid()),
        (context.is_over(), context.process_status(), context.usage(), context.process_usage()),
        (context.comm(), context.pid(), context.uid(), context.gid(), context.euid()),
        (context.session(), context.tty(), context.login_uid(), context.audit_session()),
        (context.cgroup_id(), context.ns_tgid(), context.pid_ns(), context.boot_ns()),
        context.program(),
        context.filename(),
        context.args(),
        context.env().map(|env| env.bytes()),
    )
}

fn datagram(seq: u32) -> Vec<u8> {
    let data = EventData::Exit {
        process_pid: 7,
        process_tgid: 7,
        exit_code: 0,
        exit_signal: 17,
        parent_pid: 1,
        parent_tgid: 1,
    };
    let mut datagram = vec![0; EventRecord::MAX_KERNEL_LEN];
    let record = EventRecord { seq, cpu: 0, timestamp_ns: 1 << 40, data };
    let len = record.encode_native(&mut datagram).expect("a known kind");
    datagram.truncate(len);
    datagram
}

/// A capture of two events, the first of which has a comment.
fn with_comment(comment: &[u8]) -> Vec<u8> {
    let mut files = [1, 2].map(|seq| {
        let (mut file, datagram) = (Vec::new(), datagram(seq));
        let mut writer = Writer::new(&mut file).expect("memory");
        for notification in Notifications::new(&datagram) {
            let Ok(Notification::Event(event)) = notification else { panic!("an event") };
            writer.write(&Received::Event(event), SystemTime::UNIX_EPOCH).expect("memory");
        }
        drop(writer);
        file
    });
    let [first, second] = &mut files;
    // The packet is the last block. Its length is at its end, and after its type.
    let len = u32::from_ne_bytes(first[first.len() - 4..].try_into().expect("4 bytes"));
    let start = first.len() - usize::try_from(len).expect("a length");
    first.truncate(first.len() - 4);
    let option_len = u16::try_from(comment.len()).expect("it is short enough");
    first.extend([1_u16.to_ne_bytes(), option_len.to_ne_bytes()].concat());
    first.extend(comment);
    first.resize(start + (first.len() - start).next_multiple_of(4), 0);
    let len = u32::try_from(first.len() + 4 - start).expect("a length").to_ne_bytes();
    first.extend(len);
    first[start + 4..start + 8].copy_from_slice(&len);
    [&first[..], second].concat()
}

fn copy(file: &[u8]) -> Vec<u8> {
    let mut copy = Vec::new();
    let mut writer = Writer::new(&mut copy).expect("memory");
    let mut reader = Reader::new(file).expect("a capture");
    while let Some(recorded) = reader.next().expect("no damage") {
        for note in recorded.notes {
            writer.write_note(note, SystemTime::UNIX_EPOCH).expect("memory");
        }
        writer.write(&recorded.received, SystemTime::UNIX_EPOCH).expect("memory");
    }
    writer.finish().expect("memory");
    copy
}
