//! Splits a request that is too large for the receiver.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use prost::Message;

use super::attributes::LOST_COUNT;
use super::gzip;
use super::sender::Part;

/// Splits the records of a compressed request into two halves. `None` if it has fewer than two records.
pub(crate) fn split(body: &[u8]) -> Option<[Part; 2]> {
    let mut first = ExportLogsServiceRequest::decode(&*gzip::expand(body).ok()?).ok()?;
    let records = records(&mut first)?;
    let half = records.len() / 2;
    if half == 0 {
        return None;
    }
    let rest = records.split_off(half);
    let mut second = first.clone();
    *self::records(&mut second)? = rest;
    Some([part(&mut first), part(&mut second)])
}

/// The records of a request of this program, which has one resource and one scope.
fn records(request: &mut ExportLogsServiceRequest) -> Option<&mut Vec<LogRecord>> {
    let [resource] = &mut *request.resource_logs else { return None };
    let [scope] = &mut *resource.scope_logs else { return None };
    Some(&mut scope.log_records)
}

fn part(request: &mut ExportLogsServiceRequest) -> Part {
    let body = gzip::compress(&request.encode_to_vec());
    let records = records(request).map(|records| &**records).unwrap_or_default();
    let is_loss = |record: &&LogRecord| record.event_name == "process.lost";
    let losses = records.iter().filter(is_loss);
    let events = records.len() - losses.clone().count();
    Part { body, events: events as u64, lost: losses.map(loss).sum() }
}

/// The number of events that a loss reports.
fn loss(record: &LogRecord) -> u64 {
    let count = record.attributes.iter().find(|attribute| attribute.key == LOST_COUNT);
    match count.and_then(|count| count.value.as_ref()?.value.as_ref()) {
        Some(&Value::IntValue(count)) => u64::try_from(count).unwrap_or(0),
        _ => 0,
    }
}
