//! Metrics at a moment, in the form that all ways to export them share.

use std::sync::Arc;
use std::time::SystemTime;

/// The points of a metric.
#[derive(Debug)]
pub(crate) struct Family {
    /// The name, without the unit and without the suffix of a counter.
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    pub(crate) unit: Unit,
    pub(crate) kind: Kind,
    pub(crate) points: Vec<Point>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    None,
    Seconds,
    Bytes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    /// The labels are the information; the value is 1.
    Info,
}

/// A value with its labels.
#[derive(Debug)]
pub(crate) struct Point {
    pub(crate) labels: Labels,
    pub(crate) value: Value,
    /// When counting began, if later than that of all.
    #[cfg_attr(not(feature = "otlp"), allow(dead_code, reason = "Prometheus finds resets itself"))]
    pub(crate) since: Option<SystemTime>,
}

pub(crate) type Labels = Vec<(&'static str, Arc<str>)>;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value {
    Integer(u64),
    Float(f64),
}

impl Family {
    pub(super) fn counter(name: &'static str, help: &'static str) -> Self {
        Self { name, help, unit: Unit::None, kind: Kind::Counter, points: Vec::new() }
    }

    pub(super) fn gauge(name: &'static str, help: &'static str) -> Self {
        Self { kind: Kind::Gauge, ..Self::counter(name, help) }
    }

    pub(super) fn info(name: &'static str, help: &'static str) -> Self {
        Self { kind: Kind::Info, ..Self::counter(name, help) }
    }

    pub(super) fn in_unit(self, unit: Unit) -> Self {
        Self { unit, ..self }
    }

    pub(super) fn push(&mut self, labels: Labels, value: Value) {
        self.points.push(Point { labels, value, since: None });
    }

    pub(super) fn push_since(&mut self, since: SystemTime, labels: Labels, value: Value) {
        self.points.push(Point { labels, value, since: Some(since) });
    }

    /// Adds the only point of a metric without labels.
    pub(super) fn of(mut self, value: Value) -> Self {
        self.push(Labels::new(), value);
        self
    }
}

/// Nanoseconds in seconds.
pub(super) fn seconds(ns: u64) -> Value {
    #[expect(
        clippy::cast_precision_loss,
        reason = "exact below 104 days, and then to a part in 2^53"
    )]
    Value::Float(ns as f64 / 1e9)
}
