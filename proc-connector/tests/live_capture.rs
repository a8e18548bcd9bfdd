//! A recording that is filtered during replay equals the events of a connector with that filter.

mod captures;
mod common;

use std::process::ExitCode;

use captures::{Plain, at, drain};
use common::helper_process::run_to_end;
use common::{Deadline, load, named};
use proc_connector::capture::{Reader, Writer};
use proc_connector::{EventMask, Filter, ProcConnector, Received};

fn main() -> ExitCode {
    let tests = named![every_filter_selects_the_same_events_live_and_in_a_replay];
    common::main(&named![exit_3, exit_0], &tests)
}

fn exit_3() {
    std::process::exit(3)
}

fn exit_0() {}

/// Records until the exits of both marks were received.
fn record(connector: &mut ProcConnector, marks: [u32; 2]) -> Vec<u8> {
    let (mut file, deadline) = (Vec::new(), Deadline::new());
    let mut writer = Writer::new(&mut file).expect("memory");
    let mut missing = marks.to_vec();
    while !missing.is_empty() {
        let left = deadline.left().expect("the marks are still missing");
        for received in connector.recv_batch_timeout(left).expect("a batch") {
            match received {
                Received::Event(event) => {
                    let plain = Plain::from(event);
                    missing.retain(|&mark| !is_exit_of(&plain, mark));
                    writer.write(&received, at(plain.timestamp_ns)).expect("memory");
                }
                Received::Lost(lost) => panic!("the machine is too busy: {lost}"),
            }
        }
    }
    writer.finish().expect("memory");
    file
}

fn is_exit_of(event: &Plain, process: u32) -> bool {
    event.what == common::wire::EXIT && event.words[..2] == [process, process]
}

/// The events between the exits of the marks, in chronological order.
fn between(file: &[u8], filter: Filter, marks: [u32; 2]) -> Vec<Plain> {
    let reader = Reader::new(file).expect("a capture").with_filter(filter);
    let (got, error) = drain(reader);
    assert!(error.is_none(), "{error:?}");
    let events: Vec<Plain> = got.iter().map(|got| got.event().clone()).collect();
    let [first, last] = marks.map(|mark| {
        let exit = events.iter().find(|event| is_exit_of(event, mark));
        exit.expect("every filter here lets it pass").timestamp_ns
    });
    let inside = |event: &&Plain| event.timestamp_ns > first && event.timestamp_ns < last;
    let mut events: Vec<Plain> = events.iter().filter(inside).cloned().collect();
    // Two sockets may receive the events of two CPUs in different orders.
    events.sort_by_key(|event| (event.timestamp_ns, event.cpu, event.seq));
    events
}

fn every_filter_selects_the_same_events_live_and_in_a_replay() {
    let filters = vec![
        Filter::default(),
        Filter::new(EventMask::EXIT),
        Filter::new(EventMask::EXEC | EventMask::EXIT).processes_only(),
        Filter::default().failures_only(),
        Filter::default().processes_only().failures_only(),
        Filter::default().except_tgids(&[std::process::id()]).expect("few"),
    ];
    let mut all = common::open_live();
    let open = |filter: &Filter| {
        let builder = ProcConnector::builder().receive_buffer(32 << 20).filter(filter.clone());
        builder.open().expect("a live connector")
    };
    let mut filtered: Vec<ProcConnector> = filters.iter().map(open).collect();
    let first = run_to_end("exit_3");
    for _ in 0..5 {
        load::threads(10);
        run_to_end("exit_0");
        run_to_end("exit_3");
    }
    let marks = [first, run_to_end("exit_3")];
    let whole = record(&mut all, marks);
    for (filter, connector) in filters.into_iter().zip(&mut filtered) {
        let live = between(&record(connector, marks), Filter::default(), marks);
        let replayed = between(&whole, filter.clone(), marks);
        assert!(replayed.len() >= 5, "{filter:?}");
        assert_eq!(live, replayed, "{filter:?}");
    }
}
