//! Writes the context of an event as a comment.

use proc_connector_core::context::layout::{
    ExtensionHdr, IdentityHdr, Recorded, TaskHdr, UsageHdr,
};
use proc_connector_core::{Args, Context, Event, KernelPath};
use zerocopy::FromBytes;
use zerocopy::byteorder::U64;

use super::super::text::{has_plain_names, push_bytes, push_escape, push_name, push_number};
use super::super::{MAX_LEN, VERSION};
use super::common_text::CommonText;
use super::numbers::{halves, put};
use super::process_texts::ProcessTexts;

/// Writes the contexts of consecutive events.
#[derive(Debug, Default)]
pub(in crate::capture) struct ContextWriter {
    processes: ProcessTexts,
    common: CommonText,
}

impl ContextWriter {
    /// Appends the comment with the context of an event. Returns whether the event has a context.
    pub(in crate::capture) fn write(&mut self, event: &Event<'_>, out: &mut Vec<u8>) -> bool {
        let Some(context) = event.context() else { return false };
        let Ok((identity, rest)) = IdentityHdr::ref_from_prefix(context.bytes()) else {
            return false;
        };
        let start = out.len();
        self.write_identity(identity, out);
        write_detail(&context, out);
        let Ok((extension, rest)) = ExtensionHdr::ref_from_prefix(rest) else { return true };
        let recorded = Recorded::from_bits_retain(extension.recorded.get());
        if let Ok((task, rest)) = TaskHdr::ref_from_prefix(rest) {
            let own_tgid = identity.tgid.get();
            write_thread(recorded, task, own_tgid, out);
            out.extend_from_slice(self.common.of(recorded, task, own_tgid));
            if recorded.contains(Recorded::BOOT_NS) {
                // Normally, the time that the machine was suspended, and a few microseconds.
                let offset = task.boot_ns.get().wrapping_sub(event.timestamp_ns());
                put(out, b" boot=", [offset]);
            }
            write_usage(recorded, rest, out);
        }
        if recorded.contains(Recorded::EXEC) {
            write_program(&context, start, out);
        }
        true
    }

    #[inline]
    fn write_identity(&mut self, identity: &IdentityHdr, out: &mut Vec<u8>) {
        out.extend_from_slice(VERSION);
        out.extend_from_slice(b"p=");
        self.processes.write(identity.tgid.get(), identity.start_boottime.get(), out);
        let parent = (identity.parent_tgid.get(), identity.parent_start_boottime.get());
        if parent != (0, 0) {
            out.extend_from_slice(b" pp=");
            self.processes.write(parent.0, parent.1, out);
        }
    }
}

#[inline]
fn write_thread(recorded: Recorded, task: &TaskHdr, own_tgid: u32, out: &mut Vec<u8>) {
    if recorded.contains(Recorded::PID_TGID) {
        let [tgid, pid] = halves(task.pid_tgid);
        if (pid, tgid) == (own_tgid, own_tgid) {
            out.extend_from_slice(b" t");
        } else {
            put(out, b" t=", [pid.into(), tgid.into()]);
        }
    }
    if recorded.contains(Recorded::COMM) {
        out.extend_from_slice(b" comm=");
        push_name(task.comm, out);
    }
}

/// Writes the child of a fork, or how far the process of an exit is.
fn write_detail(context: &Context<'_>, out: &mut Vec<u8>) {
    if let Some(is_over) = context.is_over() {
        let status = context.process_status();
        match (is_over, status) {
            (true, status) => put(out, b" over=", [status.map_or(0, |it| it.into_raw().into())]),
            (false, Some(status)) => put(out, b" ending=", [status.into_raw().into()]),
            (false, None) => out.extend_from_slice(b" alive"),
        }
    } else if let Some(child) = context.child_start_boottime_ns() {
        put(out, b" child=", [child]);
    }
}

/// Writes the program of an exec, its arguments and its environment. The comment begins at `start`.
fn write_program(context: &Context<'_>, start: usize, out: &mut Vec<u8>) {
    let fixed = out.len();
    if let Some(file) = context.program() {
        let ctime = u64::from_ne_bytes(file.ctime_sec.to_ne_bytes());
        let (major, minor, nlink) = (file.dev_major, file.dev_minor, file.nlink);
        let nsec = file.ctime_nsec.into();
        put(out, b" file=", [major.into(), minor.into(), file.ino, ctime, nsec, nlink.into()]);
        for (flag, word) in [(file.is_deleted, &b" deleted"[..]), (file.is_memfd, b" memfd")] {
            if flag {
                out.extend_from_slice(word);
            }
        }
    }
    let mut exe = None;
    if let Some(path) = context.exe() {
        out.extend_from_slice(b" exe=");
        let from = out.len();
        push_path(path, out);
        exe = Some(from..out.len());
    }
    if let Some(path) = context.cwd() {
        out.extend_from_slice(b" cwd=");
        push_path(path, out);
    }
    if let Some(filename) = context.filename() {
        let before = out.len();
        out.extend_from_slice(b" filename=");
        let from = out.len();
        push_bytes(filename, out);
        if exe.is_some_and(|exe| out[exe] == out[from..]) {
            out.truncate(before);
            out.extend_from_slice(b" direct");
        }
    }
    if out.len() - start > MAX_LEN {
        out.truncate(fixed);
        return;
    }
    if let Some(args) = context.args() {
        push_args(args, start + MAX_LEN, out);
    }
    if let Some(env) = context.env() {
        let before = out.len();
        out.extend_from_slice(b" env=");
        push_bytes(env.bytes(), out);
        if out.len() - start > MAX_LEN {
            out.truncate(before);
        }
    }
}

/// The numbers of a usage in the order of its header.
fn usage_numbers(usage: &UsageHdr) -> [u64; 10] {
    [
        usage.cpu_ns,
        usage.utime,
        usage.stime,
        usage.nvcsw,
        usage.nivcsw,
        usage.min_flt,
        usage.maj_flt,
        usage.read_bytes,
        usage.write_bytes,
        usage.max_rss,
    ]
    .map(U64::get)
}

/// Writes the usage of the thread and of the process. A number that equals the default is left out: 0,
/// and for the process the number of the thread.
fn write_usage(recorded: Recorded, mut rest: &[u8], out: &mut Vec<u8>) {
    let mut default = [0; 10];
    let parts = [(Recorded::USAGE, &b" ru="[..]), (Recorded::PROCESS_USAGE, b" pu=")];
    for (part, key) in parts {
        if !recorded.contains(part) {
            continue;
        }
        let Ok((usage, after)) = UsageHdr::ref_from_prefix(rest) else { return };
        rest = after;
        let numbers = usage_numbers(usage);
        out.extend_from_slice(key);
        let mut written = 0;
        for (place, (number, default)) in numbers.into_iter().zip(default).enumerate() {
            if number != default {
                out.extend_from_slice(&b":::::::::"[..place - written]);
                push_number(number, out);
                written = place;
            }
        }
        default = numbers;
    }
}

/// Appends a path. A slash in a name, which only names of anonymous files have, is escaped.
fn push_path(path: KernelPath<'_>, out: &mut Vec<u8>) {
    let names = path.bytes().strip_suffix(&[0]).unwrap_or(path.bytes());
    if names.is_empty() {
        out.push(b'/');
    } else if has_plain_names(names) {
        let mut rest = names;
        while let Some(at) = rest.iter().rposition(|&byte| byte == 0) {
            out.push(b'/');
            out.extend_from_slice(&rest[at + 1..]);
            rest = &rest[..at];
        }
        out.push(b'/');
        out.extend_from_slice(rest);
    } else {
        push_other_path(path, out);
    }
}

/// The same for names in which bytes may need an escape.
fn push_other_path(path: KernelPath<'_>, out: &mut Vec<u8>) {
    for name in path.components() {
        out.push(b'/');
        for (place, part) in name.split(|&byte| byte == b'/').enumerate() {
            if place > 0 {
                push_escape(b'/', out);
            }
            push_bytes(part, out);
        }
    }
}

/// Appends the arguments, up to the length `limit` of the output.
fn push_args(args: Args<'_>, limit: usize, out: &mut Vec<u8>) {
    let (before, mut bytes, mut is_cut) = (out.len(), args.bytes(), args.is_cut());
    loop {
        out.extend_from_slice(b" args=");
        push_bytes(bytes, out);
        if is_cut {
            out.extend_from_slice(b" cut");
        }
        if out.len() <= limit || bytes.is_empty() {
            return;
        }
        out.truncate(before);
        (bytes, is_cut) = (&bytes[..bytes.len() / 2], true);
    }
}
