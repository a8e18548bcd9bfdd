//! Leaves secrets, or everything about persons, out of events before anything is shown or written.

mod words;

use std::sync::Arc;

use glob::{MatchOptions, Pattern};
use proc_connector::parser::context::layout::{
    ExecHdr, ExtensionHdr, IdentityHdr, Recorded, TaskHdr, UsageHdr,
};
use proc_connector::parser::{EventData, EventRecord, Notification, Notifications};
use proc_connector::process::Redact;
use proc_connector::{Context, Event, Received};
use zerocopy::{FromBytes, IntoBytes};

use crate::cli::values;

/// What to leave out.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct RedactOptions {
    /// Leave out names, arguments, paths, users, groups and environment variables. Process ids, times and
    /// exit statuses remain.
    #[arg(long)]
    pub(crate) anonymous: bool,

    /// Replace the values of matching options and environment variables in arguments by `***`:
    /// `*password*` matches --password=SECRET, --password SECRET and PGPASSWORD=SECRET. May be given more
    /// than once. Upper and lower case are equal.
    #[arg(long, value_name = "GLOB", value_parser = values::pattern)]
    redact: Vec<Pattern>,
}

impl RedactOptions {
    /// What is left out, if anything is.
    pub(crate) fn redactor(&self) -> Option<Redactor> {
        if !self.anonymous && self.redact.is_empty() {
            return None;
        }
        let rules = Rules { anonymous: self.anonymous, secrets: self.redact.clone() };
        Some(Redactor { rules: Arc::new(rules), datagram: Vec::new(), context: Vec::new() })
    }
}

/// The rules, which threads share.
#[derive(Debug)]
pub(crate) struct Rules {
    anonymous: bool,
    secrets: Vec<Pattern>,
}

impl Rules {
    /// Whether the value of an option or a variable with this name is secret.
    fn is_secret(&self, name: &str) -> bool {
        const OPTIONS: MatchOptions = MatchOptions {
            case_sensitive: false,
            require_literal_separator: false,
            require_literal_leading_dot: false,
        };
        let bare = name.trim_start_matches('-');
        !bare.is_empty()
            && self.secrets.iter().any(|secret| {
                secret.matches_with(name, OPTIONS) || secret.matches_with(bare, OPTIONS)
            })
    }
}

impl Redact for Rules {
    fn args(&self, args: &[u8]) -> Vec<u8> {
        words::redact(args, |name| self.is_secret(name))
    }

    fn is_anonymous(&self) -> bool {
        self.anonymous
    }
}

/// Applies the rules to events.
#[derive(Debug)]
pub(crate) struct Redactor {
    rules: Arc<Rules>,
    /// An event, if it was changed.
    datagram: Vec<u8>,
    /// The context of the event.
    context: Vec<u8>,
}

impl Redactor {
    /// Whether names, users and paths are left out.
    pub(crate) fn is_anonymous(&self) -> bool {
        self.rules.anonymous
    }

    pub(crate) fn rules(&self) -> Arc<dyn Redact> {
        Arc::clone(&self.rules) as Arc<dyn Redact>
    }

    /// The command line of a process that this program starts.
    pub(crate) fn command(&self, words: &[Vec<u8>]) -> Vec<Vec<u8>> {
        if self.rules.anonymous {
            return vec![b"***".to_vec()];
        }
        let args: Vec<u8> = words.iter().flat_map(|word| [word, &[0][..]].concat()).collect();
        let redacted = self.rules.args(&args);
        let redacted = redacted.strip_suffix(&[0]).unwrap_or(&redacted);
        redacted.split(|&byte| byte == 0).map(<[u8]>::to_vec).collect()
    }

    /// The event without what the rules leave out.
    pub(crate) fn apply<'a>(&'a mut self, received: &Received<'a>) -> Received<'a> {
        let Received::Event(event) = received else { return *received };
        let Self { rules, datagram, context, .. } = self;
        context.clear();
        if let Some(recorded) = event.context() {
            if redact_context(rules, &recorded, context).is_none() {
                context.clear();
            }
        }
        if rules.anonymous && !redact_event(event, datagram) {
            return Received::Event(event.with_context(context));
        }
        let event = if rules.anonymous { decode(datagram) } else { None }.unwrap_or(*event);
        Received::Event(event.with_context(context))
    }
}

fn decode(datagram: &[u8]) -> Option<Event<'_>> {
    match Notifications::new(datagram).next()? {
        Ok(Notification::Event(event)) => Some(event),
        _ => None,
    }
}

/// Writes an event without names and users, and returns true, if it has any.
fn redact_event(event: &Event<'_>, datagram: &mut Vec<u8>) -> bool {
    let mut record = EventRecord::from(*event);
    match &mut record.data {
        EventData::Comm { comm, .. } => *comm = [0; 16],
        EventData::Uid { ruid, euid, .. } => (*ruid, *euid) = (u32::MAX, u32::MAX),
        EventData::Gid { rgid, egid, .. } => (*rgid, *egid) = (u32::MAX, u32::MAX),
        _ => return false,
    }
    datagram.resize(EventRecord::MAX_KERNEL_LEN, 0);
    // It fails only if the buffer is too small.
    record.encode_native(datagram).is_ok()
}

/// Copies a context without what the rules leave out. `None` if its parts are incomplete.
fn redact_context(rules: &Rules, context: &Context<'_>, out: &mut Vec<u8>) -> Option<()> {
    let (identity, rest) = IdentityHdr::ref_from_prefix(context.bytes()).ok()?;
    out.extend_from_slice(identity.as_bytes());
    if rest.is_empty() {
        return Some(());
    }
    let (extension, rest) = ExtensionHdr::read_from_prefix(rest).ok()?;
    let (mut task, mut rest) = TaskHdr::read_from_prefix(rest).ok()?;
    let mut recorded = Recorded::from_bits_retain(extension.recorded.get());
    let mut usages_len = 0;
    for part in [Recorded::USAGE, Recorded::PROCESS_USAGE] {
        usages_len += usize::from(recorded.contains(part)) * size_of::<UsageHdr>();
    }
    let usages;
    (usages, rest) = rest.split_at_checked(usages_len)?;
    let mut program = None;
    if recorded.contains(Recorded::EXEC) {
        let (exec, tail) = ExecHdr::read_from_prefix(rest).ok()?;
        program = Some((exec, tail));
    }
    if rules.anonymous {
        recorded -= Recorded::COMM | Recorded::UID_GID | Recorded::EUID_EGID | Recorded::AUDIT;
        recorded -= Recorded::EXEC | Recorded::PROGRAM | Recorded::FILENAME | Recorded::EXE;
        recorded -= Recorded::CWD | Recorded::ARGS | Recorded::ARGS_CUT | Recorded::ENV;
        task.comm = [0; 16];
        task.uid_gid = 0.into();
        task.euid_egid = 0.into();
        task.login_uid = 0.into();
        task.audit_session = 0.into();
        program = None;
    }
    let extension = ExtensionHdr { recorded: recorded.bits().into(), ..extension };
    out.extend_from_slice(extension.as_bytes());
    out.extend_from_slice(task.as_bytes());
    out.extend_from_slice(usages);
    let Some((mut exec, mut tail)) = program else { return Some(()) };
    let mut parts = Vec::with_capacity(5);
    for len in [exec.args_len, exec.filename_len, exec.exe_len, exec.cwd_len, exec.env_len] {
        let (part, rest) = tail.split_at_checked(usize::try_from(len.get()).ok()?)?;
        parts.push(part);
        tail = rest;
    }
    let [args, filename, exe, cwd, env] = parts[..] else { return None };
    let (args, env) = (rules.args(args), rules.args(env));
    exec.args_len = u32::try_from(args.len()).ok()?.into();
    exec.env_len = u32::try_from(env.len()).ok()?.into();
    out.extend_from_slice(exec.as_bytes());
    for part in [&args, filename, exe, cwd, &env] {
        out.extend_from_slice(part);
    }
    Some(())
}

#[cfg(test)]
mod tests;
