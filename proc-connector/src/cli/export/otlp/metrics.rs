//! Metrics as requests of OTLP.

use std::time::SystemTime;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum,
    metric, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1 as resource;
use prost::Message;

use super::gzip;
use super::resource::Resource;
use crate::cli::export::metrics::family::{Family, Kind, Point, Unit, Value};

/// A compressed request with all metrics, as cumulative sums since `started`.
pub(crate) fn request(
    families: &[Family],
    resource: &Resource,
    started: SystemTime,
    now: SystemTime,
) -> Vec<u8> {
    let metrics = families
        .iter()
        .filter(|family| !family.points.is_empty())
        .map(|family| metric(family, started, now))
        .collect();
    let scope = InstrumentationScope {
        name: "proc-connector".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    let scope = ScopeMetrics { scope: Some(scope), metrics, ..ScopeMetrics::default() };
    let attributes = resource.attributes().map(|(key, value)| attribute(key, value)).collect();
    let resource = resource::Resource { attributes, ..resource::Resource::default() };
    let resource = ResourceMetrics {
        resource: Some(resource),
        scope_metrics: vec![scope],
        ..ResourceMetrics::default()
    };
    let request = ExportMetricsServiceRequest { resource_metrics: vec![resource] };
    gzip::compress(&request.encode_to_vec())
}

fn metric(family: &Family, started: SystemTime, now: SystemTime) -> Metric {
    let is_sum = family.kind == Kind::Counter;
    let points = family.points.iter();
    let data_points = points.map(|point| data_point(point, is_sum.then_some(started), now));
    let data_points = data_points.collect();
    let data = if is_sum {
        metric::Data::Sum(Sum {
            data_points,
            aggregation_temporality: AggregationTemporality::Cumulative.into(),
            is_monotonic: true,
        })
    } else {
        metric::Data::Gauge(Gauge { data_points })
    };
    Metric {
        name: name(family),
        description: family.help.to_owned(),
        unit: match family.unit {
            Unit::None => "",
            Unit::Seconds => "s",
            Unit::Bytes => "By",
        }
        .to_owned(),
        data: Some(data),
        ..Metric::default()
    }
}

/// The name, from which Prometheus derives that of the family again. The metrics of this program itself
/// have the names of the semantic conventions.
fn name(family: &Family) -> String {
    match family.name {
        "process_cpu" => "process.cpu.time".to_owned(),
        "process_resident_memory" => "process.memory.usage".to_owned(),
        name => {
            let suffix = if family.kind == Kind::Info { "_info" } else { "" };
            name.replacen("proc_connector_", "proc_connector.", 1) + suffix
        }
    }
}

fn data_point(point: &Point, started: Option<SystemTime>, now: SystemTime) -> NumberDataPoint {
    let labels = point.labels.iter();
    let start = started.map(|started| point.since.unwrap_or(started));
    NumberDataPoint {
        attributes: labels.map(|(key, value)| attribute(key, value)).collect(),
        start_time_unix_nano: start.map_or(0, unix_ns),
        time_unix_nano: unix_ns(now),
        value: Some(match point.value {
            Value::Integer(value) => {
                number_data_point::Value::AsInt(i64::try_from(value).unwrap_or(i64::MAX))
            }
            Value::Float(value) => number_data_point::Value::AsDouble(value),
        }),
        ..NumberDataPoint::default()
    }
}

fn attribute(key: &str, value: &str) -> KeyValue {
    let value = any_value::Value::StringValue(value.to_owned());
    let value = Some(AnyValue { value: Some(value) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

fn unix_ns(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
