//! Writes the context of an event as a comment.

use proc_connector_core::Event;
use proc_connector_core::context::layout::{
    ExtensionHdr, IdentityHdr, Recorded, TaskHdr, UsageHdr,
};
use proc_connector_core::{Args, KernelPath};
use zerocopy::FromBytes;
use zerocopy::byteorder::{NativeEndian, U64};

use super::super::text::{push_bytes, push_escape, push_number};
use super::super::{MAX_LEN, VERSION};

/// Appends the comment with the context of an event. Returns whether the event has a context.
///
/// `css_set` converts the number of a set of cgroups, which is an address of the kernel and must not be
/// written.
pub(in crate::capture) fn write(
    event: &Event<'_>,
    css_set: impl FnOnce(u64) -> u64,
    out: &mut Vec<u8>,
) -> bool {
    let Some(context) = event.context() else { return false };
    let Ok((identity, rest)) = IdentityHdr::ref_from_prefix(context.bytes()) else { return false };
    let start = out.len();
    out.extend_from_slice(VERSION);
    write_identity(identity, out);
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
    if let Ok((extension, rest)) = ExtensionHdr::ref_from_prefix(rest) {
        let recorded = Recorded::from_bits_retain(extension.recorded.get());
        if let Ok((task, rest)) = TaskHdr::ref_from_prefix(rest) {
            write_task(recorded, task, identity, event.timestamp_ns(), css_set, out);
            write_usage(recorded, rest, out);
        }
    }
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
    for (key, path) in [(&b" exe="[..], context.exe()), (b" cwd=", context.cwd())] {
        if let Some(path) = path {
            out.extend_from_slice(key);
            push_path(path, out);
        }
    }
    if let Some(filename) = context.filename() {
        out.extend_from_slice(b" filename=");
        push_bytes(filename, out);
    }
    if out.len() - start > MAX_LEN {
        out.truncate(fixed);
        return true;
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
    true
}

/// Appends a key and a list of numbers.
#[inline]
fn put<const K: usize, const N: usize>(out: &mut Vec<u8>, key: &[u8; K], numbers: [u64; N]) {
    out.extend_from_slice(key);
    for (place, number) in numbers.into_iter().enumerate() {
        if place > 0 {
            out.push(b':');
        }
        push_number(number, out);
    }
}

fn write_identity(identity: &IdentityHdr, out: &mut Vec<u8>) {
    put(out, b"p=", [identity.tgid.get().into(), identity.start_boottime.get()]);
    if identity.parent_tgid.get() != 0 || identity.parent_start_boottime.get() != 0 {
        let start = identity.parent_start_boottime.get();
        put(out, b" pp=", [identity.parent_tgid.get().into(), start]);
    }
}

fn write_task(
    recorded: Recorded,
    task: &TaskHdr,
    identity: &IdentityHdr,
    timestamp_ns: u64,
    css_set: impl FnOnce(u64) -> u64,
    out: &mut Vec<u8>,
) {
    let has = |part| recorded.contains(part);
    let own_tgid = identity.tgid.get();
    if has(Recorded::PID_TGID) {
        let [tgid, pid] = halves(task.pid_tgid);
        if (pid, tgid) == (own_tgid, own_tgid) {
            out.extend_from_slice(b" t");
        } else {
            put(out, b" t=", [pid.into(), tgid.into()]);
        }
    }
    if has(Recorded::COMM) {
        out.extend_from_slice(b" comm=");
        let len = task.comm.iter().position(|&byte| byte == 0).unwrap_or(task.comm.len());
        push_bytes(&task.comm[..len], out);
    }
    if has(Recorded::UID_GID) {
        let [gid, uid] = halves(task.uid_gid);
        put(out, b" u=", [uid.into(), gid.into()]);
    }
    if has(Recorded::EUID_EGID) {
        let [gid, uid] = halves(task.euid_egid);
        if has(Recorded::UID_GID) && task.euid_egid == task.uid_gid {
            out.extend_from_slice(b" e");
        } else {
            put(out, b" e=", [uid.into(), gid.into()]);
        }
    }
    if has(Recorded::SESSION) {
        put(out, b" s=", [task.session.get().into()]);
    }
    if has(Recorded::TTY) {
        let tty = task.tty.get();
        put(out, b" tty=", [(tty >> 20).into(), (tty & 0xf_ffff).into()]);
    }
    if has(Recorded::AUDIT) {
        let ids = [task.login_uid.get(), task.audit_session.get()];
        out.extend_from_slice(b" au=");
        for (id, end) in ids.into_iter().zip([&b":"[..], b""]) {
            // The value without a login is left out.
            if id != u32::MAX {
                push_number(id.into(), out);
            }
            out.extend_from_slice(end);
        }
    }
    if has(Recorded::PID_NS) {
        put(out, b" ns=", [task.pid_ns.get().into()]);
        let ns_tgid = task.ns_tgid.get();
        if ns_tgid != own_tgid {
            put(out, b":", [ns_tgid.into()]);
        }
    }
    if has(Recorded::CGROUP_ID) {
        put(out, b" cg=", [task.cgroup_id.get()]);
    }
    if has(Recorded::CSS_SET) {
        put(out, b" cs=", [css_set(task.css_set.get())]);
    }
    if has(Recorded::BOOT_NS) {
        // Normally, the time that the machine was suspended, and a few microseconds.
        let offset = task.boot_ns.get().wrapping_sub(timestamp_ns);
        put(out, b" boot=", [offset]);
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
        let mut end = out.len();
        for (place, (number, default)) in numbers.into_iter().zip(default).enumerate() {
            if place > 0 {
                out.push(b':');
            }
            if number != default {
                push_number(number, out);
                end = out.len();
            }
        }
        out.truncate(end);
        default = numbers;
    }
}

/// Appends a path. A slash in a name, which only names of anonymous files have, is escaped.
fn push_path(path: KernelPath<'_>, out: &mut Vec<u8>) {
    let mut is_root = true;
    for name in path.components() {
        is_root = false;
        out.push(b'/');
        for (place, part) in name.split(|&byte| byte == b'/').enumerate() {
            if place > 0 {
                push_escape(b'/', out);
            }
            push_bytes(part, out);
        }
    }
    if is_root {
        out.push(b'/');
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

/// The upper and the lower half.
fn halves(pair: U64<NativeEndian>) -> [u32; 2] {
    let pair = pair.get();
    #[expect(clippy::cast_possible_truncation, reason = "these are the halves")]
    [(pair >> 32) as u32, pair as u32]
}
