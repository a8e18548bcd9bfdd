//! A span for each process.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use proc_connector::parser::signal_name;
use proc_connector::{ExitStatus, WallClock};

use super::super::attributes as keys;
use super::context::Origin;
use super::ids::SpanIds;
use crate::cli::output::chart::Forest;
use crate::cli::output::chart::forest::{Life, Program};

/// The flags of a span: it is sampled, and whether its parent is in another program is known
/// (`SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK` in `trace.proto`).
const FLAGS: u32 = 0x101;
/// The parent is in another program.
const REMOTE: u32 = 0x200;

pub(super) struct Converter<'a> {
    pub(super) forest: &'a Forest,
    pub(super) origin: &'a Origin,
    pub(super) ids: SpanIds,
    pub(super) clock: WallClock,
}

impl Converter<'_> {
    /// The number of spans.
    pub(super) fn len(&self) -> usize {
        self.forest.lives.len()
    }

    /// The span of a process. The first process is the command.
    pub(super) fn span(&self, index: usize) -> Span {
        let life = &self.forest.lives[index];
        let is_root = index == 0;
        let parent = if is_root {
            self.origin.parent().map(|parent| parent.span_id)
        } else {
            // Without a known creator, a process is below the command.
            Some(self.ids.id(life.creator.unwrap_or(0)))
        };
        let mut attributes = attributes(life);
        let mut events: Vec<Event> =
            life.programs.iter().filter_map(|program| self.exec(program)).collect();
        if is_root {
            self.add_losses(&mut attributes, &mut events);
        }
        Span {
            trace_id: self.trace_id(),
            span_id: bytes(self.ids.id(index)),
            trace_state: self.origin.state().to_owned(),
            parent_span_id: parent.map(bytes).unwrap_or_default(),
            flags: if is_root && parent.is_some() { FLAGS | REMOTE } else { FLAGS },
            name: life.program().map_or_else(|| format!("pid {}", life.tgid), str::to_owned),
            kind: SpanKind::Internal.into(),
            start_time_unix_nano: self.unix_ns(self.forest.start(index)),
            end_time_unix_nano: self.unix_ns(self.forest.end(index)),
            attributes,
            events,
            links: self.parent_link(life).into_iter().collect(),
            status: status(life),
            ..Span::default()
        }
    }

    fn trace_id(&self) -> Vec<u8> {
        self.origin.trace_id().to_be_bytes().to_vec()
    }

    fn unix_ns(&self, at_ns: u64) -> u64 {
        let since = self.clock.time(at_ns).duration_since(std::time::UNIX_EPOCH);
        since.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    }

    /// An executed program. One that a process had before the trace has no time.
    fn exec(&self, program: &Program) -> Option<Event> {
        Some(Event {
            time_unix_nano: self.unix_ns(program.at_ns?),
            name: "process.exec".to_owned(),
            attributes: executable(program),
            dropped_attributes_count: 0,
        })
    }

    /// A link to the parent of a process whose creator is another process (`CLONE_PARENT`): the parent
    /// waits for it.
    fn parent_link(&self, life: &Life) -> Option<Link> {
        let attribute = text(keys::LINK, "parent".to_owned());
        Some(Link {
            trace_id: self.trace_id(),
            span_id: bytes(self.ids.id(life.parent?)),
            attributes: vec![attribute],
            flags: FLAGS,
            ..Link::default()
        })
    }

    /// Lost events, of which any process may be missing.
    fn add_losses(&self, attributes: &mut Vec<KeyValue>, events: &mut Vec<Event>) {
        if self.forest.losses.is_empty() {
            return;
        }
        attributes.push(number(keys::LOST_COUNT, self.forest.totals().lost));
        for loss in &self.forest.losses {
            events.push(Event {
                time_unix_nano: self.unix_ns(loss.at_ns),
                name: "process.lost".to_owned(),
                attributes: loss
                    .count
                    .map(|count| number(keys::LOST_COUNT, count))
                    .into_iter()
                    .collect(),
                dropped_attributes_count: 0,
            });
        }
    }
}

fn bytes(id: u64) -> Vec<u8> {
    id.to_be_bytes().to_vec()
}

/// Only a failure has a status: the specification leaves "Ok" to the users of an instrumentation.
fn status(life: &Life) -> Option<Status> {
    life.failed().then(|| Status { message: life.outcome(), code: StatusCode::Error.into() })
}

fn attributes(life: &Life) -> Vec<KeyValue> {
    let mut attributes = vec![number(keys::PID, life.tgid)];
    attributes.extend(life.parent_tgid.map(|pid| number(keys::PARENT_PID, pid)));
    if let Some(program) = life.programs.last() {
        attributes.extend(executable(program));
    } else if let Some(name) = &life.inherited {
        attributes.push(text(keys::EXECUTABLE_NAME, name.clone()));
    }
    if life.runs() {
        attributes.push(boolean(keys::RUNNING, true));
    }
    if let Some(status) = life.status {
        add_status(&mut attributes, status);
    }
    if life.threads > 0 {
        attributes.push(number(keys::THREADS, life.threads));
    }
    add_usage(&mut attributes, life);
    attributes
}

/// The name, the file and the arguments of a program.
fn executable(program: &Program) -> Vec<KeyValue> {
    let mut attributes = Vec::new();
    attributes.extend(program.name.clone().map(|name| text(keys::EXECUTABLE_NAME, name)));
    let Some(details) = &program.details else { return attributes };
    attributes.extend(details.path.clone().map(|path| text(keys::EXECUTABLE_PATH, path)));
    if !details.args.is_empty() {
        let values =
            details.args.iter().map(|arg| value(Value::StringValue(arg.clone()))).collect();
        attributes.push(pair(keys::ARGUMENTS, Value::ArrayValue(ArrayValue { values })));
    }
    if details.is_cut {
        attributes.push(boolean(keys::ARGUMENTS_CUT, true));
    }
    attributes.extend(details.directory.clone().map(|path| text(keys::WORKING_DIRECTORY, path)));
    attributes
}

fn add_status(attributes: &mut Vec<KeyValue>, status: ExitStatus) {
    let mut error = None;
    if let Some(code) = status.code() {
        attributes.push(number(keys::EXIT_CODE, code));
        error = (code != 0).then(|| code.to_string());
    }
    if let Some(signal) = status.signal() {
        attributes.push(number(keys::EXIT_SIGNAL, signal));
        attributes.push(boolean(keys::CORE_DUMPED, status.core_dumped()));
        error = Some(signal_name(signal).map_or_else(|| format!("signal {signal}"), str::to_owned));
    }
    attributes.extend(error.map(|error| text(keys::ERROR_TYPE, error)));
}

/// What a process used. The bytes are those of its own threads, without the children it waited for.
fn add_usage(attributes: &mut Vec<KeyValue>, life: &Life) {
    let Some(usage) = &life.usage else { return };
    let known = [
        (keys::CPU_USER, Some(usage.user_ns())),
        (keys::CPU_SYSTEM, Some(usage.system_ns())),
        (keys::MAX_RSS, usage.max_rss),
        (keys::MINOR_FAULTS, Some(usage.min_flt)),
        (keys::MAJOR_FAULTS, Some(usage.maj_flt)),
        (keys::VOLUNTARY_SWITCHES, Some(usage.nvcsw)),
        (keys::INVOLUNTARY_SWITCHES, Some(usage.nivcsw)),
        (keys::READ_BYTES, life.io.map(|io| io.read)),
        (keys::WRITTEN_BYTES, life.io.map(|io| io.written)),
    ];
    attributes.extend(known.into_iter().filter_map(|(key, value)| Some(number(key, value?))));
}

fn value(value: Value) -> AnyValue {
    AnyValue { value: Some(value) }
}

fn pair(key: &str, content: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(value(content)), ..KeyValue::default() }
}

pub(super) fn text(key: &str, content: String) -> KeyValue {
    pair(key, Value::StringValue(content))
}

fn boolean(key: &str, content: bool) -> KeyValue {
    pair(key, Value::BoolValue(content))
}

fn number(key: &str, content: impl Into<u64>) -> KeyValue {
    pair(key, Value::IntValue(i64::try_from(content.into()).unwrap_or(i64::MAX)))
}
