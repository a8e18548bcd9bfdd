mod format;

use std::collections::HashMap;

use serde_json::Value;

use super::super::forest::{Forest, Life};
use super::super::samples::{HOSTILE, a_loop, build, forest, measured, process};
use super::write;

fn trace(forest: &Forest) -> Value {
    let mut output = Vec::new();
    write(forest, "a \"title\"", &mut output).expect("memory");
    serde_json::from_slice(&output).expect("JSON")
}

fn events<'a>(trace: &'a Value, phase: &str) -> Vec<&'a Value> {
    let events = trace["traceEvents"].as_array().expect("a list").iter();
    events.filter(|event| event["ph"] == phase).collect()
}

/// Start and end in nanoseconds, computed like Perfetto, which cuts fractions of a microsecond off.
fn times(event: &Value) -> (u64, u64) {
    let ns = |key: &str| {
        let us = event[key].as_f64().expect("a number");
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "as it does")]
        let ns = (us * 1_000.0) as u64;
        ns
    };
    (ns("ts"), ns("ts") + ns("dur"))
}

#[test]
fn every_process_is_a_complete_event_with_its_details() {
    let trace = trace(&build());
    let processes = events(&trace, "X");
    assert_eq!(processes.len(), 14);
    let of =
        |pid: u32| *processes.iter().find(|event| event["args"]["pid"] == pid).expect("its event");
    let make = of(100);
    assert_eq!(make["name"], "make");
    assert_eq!((make["ts"].as_f64(), make["dur"].as_f64()), (Some(0.0), Some(374_000.0)));
    assert_eq!(make["args"]["command"], "make -j2 test");
    assert_eq!(make["args"]["exit_code"], 2);
    assert_eq!(make["args"]["end"], "exit 2");
    assert_eq!(make["cname"], "terrible");
    let ld = of(108);
    assert_eq!(ld["args"]["parent"], 107);
    assert_eq!(ld["args"]["exit_code"], 0);
    assert_eq!((ld["ts"].as_f64(), ld["dur"].as_f64()), (Some(292_000.0), Some(51_000.0)));
    assert_eq!(ld.get("cname"), None);
    let crash = of(111);
    assert_eq!(crash["args"]["signal"], 11);
    assert_eq!(crash["args"].get("exit_code"), None);
    assert_eq!(of(110)["args"]["threads"], 4);
    let server = of(113);
    assert_eq!(server["args"]["end"], "still running");
    assert_eq!(times(server).1, 374_000_000);
}

#[test]
fn a_known_usage_is_among_the_details() {
    let trace = trace(&measured());
    let details = |pid: u32| {
        let of_it = |event: &&&Value| event["args"]["pid"] == pid;
        events(&trace, "X").iter().find(of_it).expect("its event")["args"].clone()
    };
    let compiler = details(102);
    assert_eq!(compiler["cpu_ns"], 51_000_000);
    assert_eq!(compiler["max_rss"], 62_000 << 10);
    assert_eq!(
        (&compiler["read_bytes"], &compiler["write_bytes"]),
        (&(8 << 20).into(), &4_096.into())
    );
    for key in ["user_ns", "system_ns", "min_flt", "maj_flt", "nvcsw", "nivcsw"] {
        assert!(compiler[key].is_u64(), "{key}");
    }
    assert_eq!(compiler["wall_ns"], 54_000_000);
    let running = details(104);
    for key in ["cpu_ns", "user_ns", "max_rss", "min_flt", "read_bytes", "write_bytes"] {
        assert_eq!(running.get(key), None);
    }
}

#[test]
fn an_independent_reader_accepts_every_event() {
    let read = format::check(&trace(&build()));
    assert_eq!(read.slices, 14);
    // 14 execs, 13 forks and a loss.
    assert_eq!((read.instants, read.flows), (14 + 13 + 1, 13));
    assert_eq!(read.counters.len(), 1, "no usage is known: {:?}", read.counters);
    let read = format::check(&trace(&measured()));
    assert_eq!((read.slices, read.flows, read.counters.len()), (10, 9, 3));
    let hostile = HOSTILE.iter().map(|name| process(None, 1, name, 0, 5)).collect();
    for forest in [Forest::default(), forest(hostile), forest(vec![process(None, 7, "a", 0, 0)])] {
        format::check(&trace(&forest));
    }
    let read = format::check(&trace(&a_loop(5_000)));
    assert_eq!((read.slices, read.flows), (5_001, 5_000));
}

#[test]
fn a_fork_outside_the_life_of_its_parent_has_no_flow() {
    let mut late = process(0, 2, "late", 300, 900);
    // It started before the chart, so the time of its fork is unknown.
    let early = Life { start_ns: None, ..process(0, 3, "early", 100, 200) };
    late.programs.clear();
    let trace = trace(&forest(vec![process(None, 1, "sh", 0, 200), late, early]));
    assert_eq!(format::check(&trace).flows, 0);
}

#[test]
fn losses_and_the_title_are_kept() {
    let trace = trace(&build());
    let names = events(&trace, "M");
    let title = names.iter().find(|event| event["name"] == "process_name").expect("a name");
    assert_eq!(title["args"]["name"], "a \"title\"");
    let lost = *events(&trace, "i").last().expect("an event");
    assert_eq!((&lost["name"], &lost["args"]["count"]), (&"events lost".into(), &12.into()));
    assert_eq!(lost["ts"], 200_000.0);
}

#[test]
fn events_of_one_thread_are_apart() {
    for forest in [build(), a_loop(5_000)] {
        let trace = trace(&forest);
        let mut lanes: HashMap<u64, Vec<(u64, u64)>> = HashMap::new();
        for event in events(&trace, "X") {
            lanes.entry(event["tid"].as_u64().expect("a number")).or_default().push(times(event));
        }
        assert_eq!(lanes.values().map(Vec::len).sum::<usize>(), forest.lives.len());
        for lane in lanes.values_mut() {
            lane.sort_unstable();
            for pair in lane.windows(2) {
                assert!(pair[0].1 <= pair[1].0, "{pair:?}");
            }
        }
    }
}

#[test]
fn an_empty_forest_is_a_valid_trace() {
    let trace = trace(&Forest::default());
    assert!(events(&trace, "X").is_empty());
    assert_eq!(trace["otherData"]["processes"], 0);
}

#[test]
fn hostile_names_are_unchanged() {
    let lives = HOSTILE.iter().map(|name| process(None, 1, name, 0, 5)).collect();
    let trace = trace(&forest(lives));
    let mut commands: Vec<&str> = events(&trace, "X")
        .iter()
        .map(|event| event["args"]["command"].as_str().expect("text"))
        .collect();
    commands.sort_unstable();
    let mut expected = HOSTILE;
    expected.sort_unstable();
    assert_eq!(commands, expected);
}
