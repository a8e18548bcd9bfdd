//! One event of the format.

use serde::Serialize;
use serde_json::Value;

/// The only process of the trace, whose threads are the lanes.
const PID: u32 = 1;

/// An event, with the keys of the format.
#[derive(Serialize)]
pub(super) struct Event<'a> {
    pub(super) name: &'a str,
    pub(super) ph: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cat: Option<&'a str>,
    pub(super) pid: u32,
    /// `None` if the event concerns the whole process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tid: Option<u32>,
    /// Microseconds since the start of the chart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ts: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) dur: Option<f64>,
    /// The scope of an instant event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) s: Option<&'a str>,
    /// The same at the start and at the end of a flow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<usize>,
    /// `e`: the flow ends at the enclosing slice, not at the next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bp: Option<&'a str>,
    /// A colour name that the viewers know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cname: Option<&'a str>,
    #[serde(skip_serializing_if = "Value::is_null")]
    pub(super) args: Value,
}

impl<'a> Event<'a> {
    pub(super) fn new(
        name: &'a str,
        ph: &'a str,
        tid: impl Into<Option<u32>>,
        args: Value,
    ) -> Self {
        Self {
            name,
            ph,
            cat: None,
            pid: PID,
            tid: tid.into(),
            ts: None,
            dur: None,
            s: None,
            id: None,
            bp: None,
            cname: None,
            args,
        }
    }

    pub(super) fn metadata(name: &'a str, tid: impl Into<Option<u32>>, args: Value) -> Self {
        Self::new(name, "M", tid, args)
    }
}
