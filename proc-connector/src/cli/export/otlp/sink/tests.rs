//! The requests, decoded by `opentelemetry-proto`.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use proc_connector::parser::{EventData, EventRecord, Notification, Notifications, Usage};
use proc_connector::{ExitStatus, LossCause, Lost, Received};
use prost::Message;

use super::{Limits, Otlp, Store, Style};
use crate::cli::export::otlp::gzip;
use crate::cli::export::otlp::positions::Positions;
use crate::cli::export::otlp::resource::Resource;
use crate::cli::export::otlp::split::split;
use crate::cli::export::spool::{Batch, Unreported};
use crate::cli::output::sink::{Details, End, Item, Sink};

const BOOT: &str = "0a1b2c3d-4e5f-4071-8293-a4b5c6d7e8f9";

/// A store in memory, which can fail.
#[derive(Debug, Default)]
struct Kept {
    batches: Vec<Batch>,
    unreported: Unreported,
    fails: bool,
}

impl Store for Rc<RefCell<Kept>> {
    fn unreported(&self) -> Unreported {
        self.borrow().unreported
    }

    fn append(&mut self, batch: &Batch, report: Unreported) -> bool {
        let mut kept = self.borrow_mut();
        if !kept.fails {
            kept.batches.push(batch.clone());
            kept.unreported.records -= report.records;
            kept.unreported.damages -= report.damages;
        }
        !kept.fails
    }
}

fn sink(records: usize) -> (Otlp<Rc<RefCell<Kept>>>, Rc<RefCell<Kept>>) {
    let kept = Rc::new(RefCell::new(Kept::default()));
    let resource = Resource::of_this_machine(None);
    let boot_id = BOOT.parse().expect("a boot id");
    let style = Style { boot_id, start_ns: 7, resource: &resource, with_arguments: false };
    let limits = Limits { records, age: Duration::from_secs(3600) };
    (Otlp::new(&style, limits, Positions::default(), Rc::clone(&kept)), kept)
}

/// Writes an event, with the end of its process.
fn write(sink: &mut impl Sink, seq: u32, data: EventData<'_>, end: Option<End>) {
    let mut datagram = [0; EventRecord::MAX_KERNEL_LEN];
    let record = EventRecord { seq, cpu: 3, timestamp_ns: 5 << 40, data };
    record.encode_native(&mut datagram).expect("enough space");
    let Some(Ok(Notification::Event(event))) = Notifications::new(&datagram).next() else {
        panic!("an event")
    };
    let time = Some(SystemTime::UNIX_EPOCH + Duration::from_nanos(1_234_567_890_123_456_789));
    let received = &Received::Event(event);
    let item = Item {
        received,
        time,
        process: None,
        user: None,
        is_over: None,
        end,
        details: Details::default(),
    };
    sink.write(&item).expect("memory");
}

fn write_loss(sink: &mut impl Sink, count: u64) {
    let received = &Received::Lost(Lost::new(Some(count), LossCause::Overrun));
    let item = Item {
        received,
        time: None,
        process: None,
        user: None,
        is_over: None,
        end: None,
        details: Details::default(),
    };
    sink.write(&item).expect("memory");
}

fn fork(seq: u32, child_pid: u32, child_tgid: u32) -> (u32, EventData<'static>) {
    (seq, EventData::Fork { parent_pid: 41, parent_tgid: 40, child_pid, child_tgid })
}

/// Decodes a request, and checks that its fields are exactly those of the protocol.
fn decode(body: &[u8]) -> Vec<LogRecord> {
    let bytes = gzip::expand(body).expect("gzip");
    let mut request = ExportLogsServiceRequest::decode(&*bytes).expect("a request");
    // A field that the decoder skipped would be missing.
    assert_eq!(request.encoded_len(), bytes.len());
    let mut resource_logs = request.resource_logs.remove(0);
    let resource = resource_logs.resource.expect("a resource");
    assert_eq!(value(&resource.attributes, "os.type"), Some(Value::StringValue("linux".into())));
    let scope_logs = resource_logs.scope_logs.remove(0);
    assert_eq!(scope_logs.scope.expect("a scope").name, "proc-connector");
    assert!(request.resource_logs.is_empty() && resource_logs.scope_logs.is_empty());
    scope_logs.log_records
}

fn value(attributes: &[KeyValue], key: &str) -> Option<Value> {
    attributes.iter().find(|attribute| attribute.key == key)?.value.clone()?.value
}

fn number(record: &LogRecord, key: &str) -> Option<i64> {
    match value(&record.attributes, key)? {
        Value::IntValue(number) => Some(number),
        other => panic!("{key} is {other:?}"),
    }
}

#[test]
fn records_have_the_values_of_events() {
    let (mut sink, kept) = sink(100);
    let (seq, data) = fork(0x1f, 50, 50);
    write(&mut sink, seq, data, None);
    let (seq, data) = fork(0x20, 51, 50);
    write(&mut sink, seq, data, None);
    let exit = |seq: u32| {
        let data = EventData::Exit {
            process_pid: 50,
            process_tgid: 50,
            exit_code: 9,
            exit_signal: 17,
            parent_pid: 41,
            parent_tgid: 40,
        };
        (seq, data)
    };
    let (seq, data) = exit(0x21);
    write(&mut sink, seq, data, None);
    let usage = Usage { cpu_ns: 300, utime_ns: 1, stime_ns: 2, maj_flt: 8, ..Usage::default() };
    let status = Some(ExitStatus::from_raw(9));
    let end = End { status, lifetime_ns: None, usage: Some(usage) };
    let (seq, data) = exit(0x22);
    write(&mut sink, seq, data, Some(end));
    sink.finish();

    let batches = &kept.borrow().batches;
    let [batch] = &**batches else { panic!("one batch") };
    assert_eq!((batch.content.events, batch.content.lost), (4, 0));
    let records = decode(&batch.body);
    let names: Vec<&str> = records.iter().map(|record| &*record.event_name).collect();
    for record in &records {
        let body = record.body.as_ref().and_then(|body| body.value.as_ref());
        assert_eq!(body, Some(&Value::StringValue(record.event_name.clone())));
    }
    assert_eq!(names, ["process.fork", "thread.fork", "thread.exit", "process.exit"]);
    for (record, seq) in records.iter().zip(0x1f..) {
        assert_eq!(record.time_unix_nano, 1_234_567_890_123_456_789);
        assert!(record.observed_time_unix_nano > record.time_unix_nano);
        assert_eq!(record.severity_number, 9);
        let uid = Value::StringValue(format!("{BOOT}-3-5-{seq:x}"));
        assert_eq!(value(&record.attributes, "log.record.uid"), Some(uid));
        assert_eq!(number(record, "process.pid"), Some(50));
    }
    let numbers = |key| records.iter().map(|record| number(record, key)).collect::<Vec<_>>();
    assert_eq!(numbers("process.parent_pid"), [Some(40), None, None, Some(40)]);
    assert_eq!(numbers("thread.id"), [None, Some(51), Some(50), None]);
    assert_eq!(numbers("proc_connector.exit.signal"), [None, None, Some(9), Some(9)]);
    assert_eq!(numbers("process.exit.code"), [None; 4]);
    let end = &records[3];
    assert_eq!(number(end, "proc_connector.usage.cpu.user_ns"), Some(100));
    assert_eq!(number(end, "proc_connector.usage.cpu.system_ns"), Some(200));
    assert_eq!(number(end, "proc_connector.usage.page_faults.major"), Some(8));
    assert_eq!(number(end, "proc_connector.usage.page_faults.minor"), None, "0 is left out");
}

#[test]
fn ids_that_are_left_out_have_no_attribute() {
    let (mut sink, kept) = sink(100);
    let (process_pid, process_tgid) = (50, 50);
    for (seq, id) in [(1, 1000), (2, u32::MAX)] {
        let user = EventData::Uid { process_pid, process_tgid, ruid: id, euid: id };
        let group = EventData::Gid { process_pid, process_tgid, rgid: id, egid: id };
        write(&mut sink, seq, user, None);
        write(&mut sink, seq, group, None);
    }
    sink.finish();
    let records = decode(&kept.borrow().batches[0].body);
    let keys = ["process.user.id", "process.real_user.id", "proc_connector.group.id"];
    let known = records.iter().map(|record| keys.map(|key| number(record, key)));
    let expected = [
        [Some(1000), Some(1000), None],
        [None, None, Some(1000)],
        [None, None, None],
        [None, None, None],
    ];
    assert_eq!(known.collect::<Vec<_>>(), expected);
}

#[test]
fn discarded_and_failed_records_are_reported_once() {
    let (mut sink, kept) = sink(2);
    let mut seq = 0;
    let mut add = |sink: &mut Otlp<_>| {
        seq += 1;
        let (seq, data) = fork(seq, 50, 50);
        write(sink, seq, data, None);
    };
    kept.borrow_mut().fails = true;
    (0..4).for_each(|_| add(&mut sink));
    kept.borrow_mut().fails = false;
    kept.borrow_mut().unreported = Unreported { records: 30, damages: 1 };
    (0..2).for_each(|_| add(&mut sink));
    (0..2).for_each(|_| add(&mut sink));

    let kept = kept.borrow();
    let contents: Vec<_> =
        kept.batches.iter().map(|batch| (batch.content.events, batch.content.lost)).collect();
    assert_eq!(contents, [(2, 34), (2, 0)]);
    let losses: Vec<_> = decode(&kept.batches[0].body)
        .iter()
        .filter(|record| record.event_name == "process.lost")
        .map(|record| {
            let count = number(record, "proc_connector.lost.count");
            (count, value(&record.attributes, "proc_connector.lost.reason"))
        })
        .collect();
    let reason = |text: &str| Some(Value::StringValue(text.into()));
    assert_eq!(
        losses,
        [
            (Some(30), reason("discarded")),
            (None, reason("spool_damaged")),
            (Some(4), reason("spool_failed")),
        ]
    );
    assert_eq!(kept.unreported, Unreported::default());
}

#[test]
fn halves_of_a_request_have_all_records() {
    let (mut sink, kept) = sink(100);
    for seq in 0..4 {
        let (seq, data) = fork(seq, 50, 50);
        write(&mut sink, seq, data, None);
    }
    write_loss(&mut sink, 17);
    sink.finish();
    let body = kept.borrow().batches[0].body.clone();
    let [first, second] = split(&body).expect("two halves");
    assert_eq!([(first.events, first.lost), (second.events, second.lost)], [(2, 0), (2, 17)]);
    let halves = [decode(&first.body), decode(&second.body)];
    assert_eq!(halves.concat(), decode(&body));
    let [single, _] = split(&first.body).expect("two halves");
    assert_eq!(split(&single.body), None);
    assert_eq!(split(b"not a request"), None);
}

#[test]
fn a_loss_that_no_event_follows_is_stored_beside_the_batch() {
    let (mut sink, kept) = sink(100);
    let (seq, data) = fork(1, 50, 50);
    write(&mut sink, seq, data, None);
    write_loss(&mut sink, 17);
    sink.finish();
    assert_eq!(kept.borrow().batches[0].content.ahead, 17);
}
