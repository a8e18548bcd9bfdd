//! Parsers for option values. Each rejects impossible values and suggests a valid form.

use std::ffi::OsStr;
use std::num::{IntErrorKind, NonZeroU32, ParseIntError};
use std::time::Duration;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Arg, Command};
use glob::Pattern;
use proc_connector::EventMask;

/// One more than the largest process id of any Linux machine (`PID_MAX_LIMIT` in
/// `include/linux/threads.h`).
const PID_LIMIT: u32 = 1 << 22;

/// The user id that means "no change" in system calls. No process has it.
const NO_UID: u32 = u32::MAX;

/// Reads a time such as `10s`, `500ms` or `1m30s`. A bare number is rejected, because programs
/// disagree on its unit.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let bare = text.trim();
    if !bare.is_empty() && bare.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return Err(format!("a time needs a unit: {bare}s for seconds, {bare}ms for milliseconds"));
    }
    let time: jiff::SignedDuration = text.parse().map_err(
        |_| "not a time: write a number and a unit (h, m, s, ms, us), as in 10s, 500ms or 1m30s",
    )?;
    time.try_into().map_err(|_| "a time cannot be negative".to_owned())
}

/// Reads a time that is not zero.
pub(super) fn positive_duration(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("the time must be longer than zero".to_owned()),
        time => Ok(time),
    }
}

/// Reads the length of an interval.
pub(super) fn interval(text: &str) -> Result<Duration, String> {
    let interval = duration(text)?;
    if interval < Duration::from_millis(10) {
        return Err("an interval must be 10ms or longer".to_owned());
    }
    Ok(interval)
}

/// Reads a count of at least 1.
pub(super) fn count(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(0) => Err("the number must be 1 or more".to_owned()),
        Ok(count) => Ok(count),
        Err(error) => Err(not_a_number(text, &error)),
    }
}

/// Reads a number of events per second.
pub(super) fn share(text: &str) -> Result<NonZeroU32, String> {
    let share = u32::try_from(count(text)?).ok().and_then(NonZeroU32::new);
    share.ok_or_else(|| format!("larger than {}", u32::MAX))
}

/// Reads the maximum length of a list, which may be 0.
pub(super) fn limit(text: &str) -> Result<usize, String> {
    text.parse().map_err(|error| not_a_number(text, &error))
}

/// Reads the capacity of a buffer, in events.
pub(super) fn capacity(text: &str) -> Result<usize, String> {
    let events = count(text)?;
    usize::try_from(events).map_err(|_| "more events than this machine can address".to_owned())
}

/// Reads a number of bytes, with a suffix for powers of 1,024.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let (digits, unit) = match text.strip_suffix(['K', 'M', 'G', 'k', 'm', 'g']) {
        Some(digits) => (digits, &text[digits.len()..]),
        None => (text, ""),
    };
    let shift = match unit {
        "" => 0,
        "K" | "k" => 10,
        "M" | "m" => 20,
        _ => 30,
    };
    count(digits)?.checked_mul(1 << shift).ok_or_else(|| format!("larger than {}", u64::MAX))
}

fn not_a_number(text: &str, error: &ParseIntError) -> String {
    match error.kind() {
        IntErrorKind::PosOverflow => format!("larger than {}", u64::MAX),
        _ if text.starts_with('-') => "the number cannot be negative".to_owned(),
        _ => "not a whole number".to_owned(),
    }
}

/// Reads a valid process id.
pub(super) fn pid(text: &str) -> Result<u32, String> {
    let pid = text.parse().ok().filter(|pid| (1..PID_LIMIT).contains(pid));
    pid.ok_or_else(|| format!("not a process id: valid ids are 1 to {}", PID_LIMIT - 1))
}

/// The root of a tree: one process, or all processes of a name.
#[derive(Clone, Debug)]
pub(super) enum Root {
    Pid(u32),
    Name(String),
}

/// Reads a process id or a name. A number is an id.
pub(super) fn root(text: &str) -> Result<Root, String> {
    if is_integer(text) { pid(text).map(Root::Pid) } else { name(text).map(Root::Name) }
}

/// Whether text is an integer, possibly negative.
fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Reads a process name. Names of kernel threads may contain `/`, but a path is not a name.
fn name(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("the name is empty".to_owned());
    }
    if text.starts_with(['/', '.']) && text.contains('/') {
        let last = text.rsplit('/').find(|part| !part.is_empty()).unwrap_or("NAME");
        return Err(format!("a path, not a name: use {last}"));
    }
    Ok(text.to_owned())
}

/// Reads a pattern for the name of a process.
pub(super) fn name_pattern(text: &str) -> Result<Pattern, String> {
    pattern(&name(text)?)
}

/// Reads the path of a cgroup, a pattern for paths, or the start of a container id.
pub(super) fn cgroup(text: &str) -> Result<Pattern, String> {
    let is_container = is_container(text);
    if !is_container && !text.starts_with(['/', '*', '?', '[']) {
        return Err(
            "a cgroup path begins with `/` (see /proc/PID/cgroup), and a container id has 12 to 64 \
             hexadecimal digits"
                .to_owned(),
        );
    }
    pattern(text)
}

/// The length of the short container ids that runtimes print.
const SHORT_ID: usize = 12;

/// Whether text can be the start of a container id.
pub(super) fn is_container(text: &str) -> bool {
    (SHORT_ID..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

pub(super) fn pattern(text: &str) -> Result<Pattern, String> {
    Pattern::new(text).map_err(|error| {
        let (place, problem) = (error.pos + 1, error.msg);
        format!("{problem}, at character {place}; to match a literal bracket, write [[] or []]")
    })
}

/// A user, by name or id.
#[derive(Clone, Debug)]
pub(super) enum User {
    Id(u32),
    Name(String),
}

/// Reads the name or the id of a user.
pub(super) fn user(text: &str) -> Result<User, String> {
    if text.is_empty() {
        return Err("the name is empty".to_owned());
    }
    if is_integer(text) {
        let id = text.parse().ok().filter(|&id| id != NO_UID);
        let id = id.ok_or_else(|| format!("not a user id: valid ids are 0 to {}", NO_UID - 1))?;
        return Ok(User::Id(id));
    }
    Ok(User::Name(text.to_owned()))
}

/// Reads an event kind, and lists the names for completions and suggestions. `nonzero_exit` is
/// omitted, because no event has that kind.
#[derive(Clone)]
pub(super) struct Kind;

impl Kind {
    fn names() -> PossibleValuesParser {
        PossibleValuesParser::new([
            "fork", "exec", "uid", "gid", "sid", "ptrace", "comm", "coredump", "exit", "all",
        ])
    }
}

impl TypedValueParser for Kind {
    type Value = EventMask;

    fn parse_ref(
        &self,
        command: &Command,
        arg: Option<&Arg>,
        value: &OsStr,
    ) -> Result<EventMask, clap::Error> {
        // A list may have spaces after the commas.
        let name = value.to_str().map_or(value, |value| OsStr::new(value.trim()));
        Self::names().try_map(|name| name.parse()).parse_ref(command, arg, name)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let names: Vec<PossibleValue> = Self::names().possible_values()?.collect();
        Some(Box::new(names.into_iter()))
    }
}
