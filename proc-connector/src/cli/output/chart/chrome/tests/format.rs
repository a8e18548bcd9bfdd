//! A reader of the Trace Event Format, written from its documentation. It checks every key of every
//! event, and shares no code with the writer.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

/// What the reader found.
#[derive(Debug, Default)]
pub(super) struct Read {
    /// The number of slices, instants, counter values and flows.
    pub(super) slices: usize,
    pub(super) instants: usize,
    pub(super) flows: usize,
    /// The values of each counter, by its name and the key of the series.
    pub(super) counters: BTreeMap<(String, String), Vec<f64>>,
}

/// A flow is known by its category, name and id.
type FlowId = (String, String, u64);

/// Checks a trace. Panics at the first event that the format does not allow.
pub(super) fn check(trace: &Value) -> Read {
    let trace = trace.as_object().expect("the object form");
    assert!(matches!(trace["displayTimeUnit"].as_str(), Some("ms" | "ns")));
    let events = trace["traceEvents"].as_array().expect("a list");
    let mut read = Read::default();
    let mut slices: HashMap<u64, Vec<(f64, f64)>> = HashMap::new();
    let mut last: HashMap<(String, Option<u64>), f64> = HashMap::new();
    let (mut starts, mut ends) = (HashMap::new(), HashMap::new());
    for event in events {
        let event = Event::new(event);
        event.check_keys();
        if event.phase != "M" {
            // The events of a track are in the order of time. Each counter has a track of its own.
            let counter = if event.phase == "C" { event.name.to_owned() } else { String::new() };
            let last = last.entry((counter, event.tid)).or_insert(0.0);
            assert!(event.ts() >= *last, "{:?} is after {last}", event.value);
            *last = event.ts();
        }
        match event.phase {
            "X" => {
                let span = (event.ts(), event.ts() + event.number("dur"));
                slices.entry(event.tid.expect("a thread")).or_default().push(span);
                read.slices += 1;
            }
            "i" => read.instants += 1,
            "C" => {
                for (key, value) in event.value["args"].as_object().expect("series") {
                    let series = (event.name.to_owned(), key.clone());
                    let value = value.as_f64().expect("a number");
                    read.counters.entry(series).or_default().push(value);
                }
            }
            "s" => assert_eq!(starts.insert(event.flow(), (event.tid, event.ts())), None),
            "f" => assert_eq!(ends.insert(event.flow(), (event.tid, event.ts())), None),
            _ => {}
        }
    }
    for (flow, &(tid, ts)) in &starts {
        let (to, end) = ends.remove(flow).unwrap_or_else(|| panic!("{flow:?} does not end"));
        assert!(ts <= end, "{flow:?}");
        for (tid, ts) in [(tid, ts), (to, end)] {
            let slices = &slices[&tid.expect("a thread")];
            let is_bound = slices.iter().any(|&(from, to)| from <= ts && ts <= to);
            assert!(is_bound, "{flow:?} is outside the slices of its thread");
        }
    }
    assert!(ends.is_empty(), "flows without a start: {ends:?}");
    read.flows = starts.len();
    for (series, values) in &read.counters {
        assert_eq!(values.last(), Some(&0.0), "{series:?}");
        assert!(values.iter().all(|&value| value >= 0.0), "{series:?}");
    }
    read
}

struct Event<'a> {
    value: &'a Value,
    name: &'a str,
    phase: &'a str,
    tid: Option<u64>,
}

impl<'a> Event<'a> {
    fn new(value: &'a Value) -> Self {
        let text = |key: &str| value[key].as_str().unwrap_or_else(|| panic!("{key} in {value}"));
        let tid = value.get("tid").map(|tid| tid.as_u64().expect("a thread id"));
        Self { value, name: text("name"), phase: text("ph"), tid }
    }

    fn number(&self, key: &str) -> f64 {
        let number = self.value[key].as_f64();
        number.filter(|&n| n >= 0.0).unwrap_or_else(|| panic!("{key} in {}", self.value))
    }

    fn ts(&self) -> f64 {
        self.number("ts")
    }

    fn flow(&self) -> FlowId {
        let id = self.value["id"].as_u64().filter(|&id| id > 0).expect("an id");
        (self.value["cat"].as_str().expect("a category").to_owned(), self.name.to_owned(), id)
    }

    /// Each phase has the keys that it requires, and no others.
    fn check_keys(&self) {
        let scope = self.value.get("s").map(|scope| scope.as_str().expect("a scope"));
        let (required, optional): (&[&str], &[&str]) = match (self.phase, scope) {
            ("X", _) => (&["cat", "tid", "ts", "dur", "args"], &["cname"]),
            ("i", Some("g")) => (&["ts", "s", "args"], &[]),
            ("i", Some("t")) => (&["cat", "tid", "ts", "s", "args"], &[]),
            ("C", _) => (&["ts", "args"], &[]),
            ("s", None) => (&["cat", "tid", "ts", "id"], &[]),
            // Without `bp`, the flow would end at the next slice of the thread.
            ("f", None) => (&["cat", "tid", "ts", "id", "bp"], &[]),
            ("M", _) if self.name == "process_name" => (&["args"], &[]),
            ("M", _) => (&["tid", "args"], &[]),
            _ => panic!("an unknown phase or scope: {}", self.value),
        };
        let keys = self.value.as_object().expect("an object");
        let required = || ["name", "ph", "pid"].iter().chain(required);
        for key in required() {
            assert!(keys.contains_key(*key), "{key} is missing in {}", self.value);
        }
        for key in keys.keys().map(String::as_str) {
            assert!(required().chain(optional).any(|known| *known == key), "{key}");
        }
        // Zero is the idle thread.
        assert!(self.value["pid"].as_u64() == Some(1) && self.tid != Some(0), "{}", self.value);
        assert!(keys.get("bp").is_none_or(|bp| bp == "e"));
        assert!(keys.get("args").is_none_or(Value::is_object), "{}", self.value);
        let args = &self.value["args"];
        match self.name {
            "process_name" | "thread_name" if self.phase == "M" => {
                assert!(args["name"].is_string());
            }
            "thread_sort_index" => assert!(args["sort_index"].is_u64()),
            _ => assert_ne!(self.phase, "M", "unknown metadata: {}", self.value),
        }
    }
}
