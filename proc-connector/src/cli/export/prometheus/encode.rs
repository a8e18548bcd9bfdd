//! Encodes metrics in a text format.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabelSet, LabelSetEncoder, NoLabelSet, prometheus_text, text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{self, Registry};

use super::accept::Format;
use crate::cli::export::metrics::family::{Family, Kind, Labels, Unit, Value};

/// The metrics as text.
pub(super) fn encode(families: Vec<Family>, format: Format) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Families(families)));
    let mut text = String::new();
    match format {
        Format::OpenMetrics => text::encode(&mut text, &registry)?,
        Format::Text => prometheus_text::encode(&mut text, &registry)?,
    }
    Ok(text)
}

#[derive(Debug)]
struct Families(Vec<Family>);

impl Collector for Families {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.0
            .iter()
            .filter(|family| !family.points.is_empty())
            .try_for_each(|family| encode_family(family, &mut encoder))
    }
}

fn encode_family(family: &Family, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let unit = match family.unit {
        Unit::None => None,
        Unit::Seconds => Some(registry::Unit::Seconds),
        Unit::Bytes => Some(registry::Unit::Bytes),
    };
    let metric_type = match family.kind {
        Kind::Counter => MetricType::Counter,
        Kind::Gauge => MetricType::Gauge,
        Kind::Info => MetricType::Info,
    };
    let mut metric =
        encoder.encode_descriptor(family.name, family.help, unit.as_ref(), metric_type)?;
    for point in &family.points {
        let labels = Encoded(&point.labels);
        if family.kind == Kind::Info {
            metric.encode_info(&labels)?;
            continue;
        }
        let mut metric = metric.encode_family(&labels)?;
        match (family.kind, point.value) {
            (Kind::Counter, Value::Integer(value)) => {
                metric.encode_counter::<NoLabelSet, _, u64>(&value, None)?;
            }
            (Kind::Counter, Value::Float(value)) => {
                metric.encode_counter::<NoLabelSet, _, u64>(&value, None)?;
            }
            (_, Value::Integer(value)) => metric.encode_gauge(&value)?,
            (_, Value::Float(value)) => metric.encode_gauge(&value)?,
        }
    }
    Ok(())
}

struct Encoded<'a>(&'a Labels);

impl EncodeLabelSet for Encoded<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        for (name, value) in self.0 {
            use prometheus_client::encoding::EncodeLabel;
            (*name, &**value).encode(encoder.encode_label())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Format, encode};
    use crate::cli::export::metrics::family::{Family, Kind, Point, Unit, Value};

    fn family(kind: Kind, unit: Unit, value: Value, label: &str) -> Family {
        let labels = vec![("program", label.into())];
        let points = vec![Point { labels, value, since: None }];
        Family { name: "name", help: "A text.", unit, kind, points }
    }

    #[test]
    fn names_types_units_and_labels_follow_each_format() {
        let counter = |label| family(Kind::Counter, Unit::Seconds, Value::Float(1.5), label);
        assert_eq!(
            encode(vec![counter("a\"b\\c\nd")], Format::OpenMetrics).as_deref(),
            Ok("# HELP name_seconds A text.\n\
                # TYPE name_seconds counter\n\
                # UNIT name_seconds seconds\n\
                name_seconds_total{program=\"a\\\"b\\\\c\\nd\"} 1.5\n\
                # EOF\n")
        );
        assert_eq!(
            encode(vec![counter("é")], Format::Text).as_deref(),
            Ok("# HELP name_seconds_total A text.\n\
                # TYPE name_seconds_total counter\n\
                name_seconds_total{program=\"é\"} 1.5\n")
        );
        let gauge = || family(Kind::Gauge, Unit::Bytes, Value::Integer(u64::MAX), "a");
        assert_eq!(
            encode(vec![gauge()], Format::Text).as_deref(),
            Ok("# HELP name_bytes A text.\n\
                # TYPE name_bytes gauge\n\
                name_bytes{program=\"a\"} 18446744073709551615\n")
        );
        let info = || family(Kind::Info, Unit::None, Value::Integer(1), "a");
        assert_eq!(
            encode(vec![info()], Format::OpenMetrics).as_deref(),
            Ok("# HELP name A text.\n# TYPE name info\nname_info{program=\"a\"} 1\n# EOF\n")
        );
        let without = Family { points: Vec::new(), ..gauge() };
        assert_eq!(encode(vec![without], Format::Text).as_deref(), Ok(""));
    }
}
