//! Restores the context of an event from its comment.

use proc_connector_core::context::layout::{
    ExecHdr, ExitHdr, ExtensionHdr, IdentityHdr, Recorded, TaskHdr, UsageHdr,
};
use zerocopy::IntoBytes;

use super::super::text::{Numbers, number, number32, read_bytes};
use super::super::words;

/// Replaces `out` by the bytes of the context that a comment has, for
/// [`Event::with_context`](proc_connector_core::Event::with_context). `None` if the comment is damaged.
#[inline]
pub(in crate::capture) fn read(comment: &[u8], timestamp_ns: u64, out: &mut Vec<u8>) -> Option<()> {
    let mut parts = Parts::default();
    for (key, value) in words(comment) {
        parts.set(key, value, timestamp_ns)?;
    }
    out.clear();
    parts.restore(out)
}

/// The parts of a context, as in its comment.
#[derive(Default)]
struct Parts<'a> {
    has_identity: bool,
    identity: IdentityHdr,
    recorded: u32,
    task: TaskHdr,
    usage: [u64; 10],
    /// Numbers that are left out are those of the thread.
    process_usage: [Option<u64>; 10],
    exec: ExecHdr,
    args: &'a [u8],
    filename: &'a [u8],
    exe: &'a [u8],
    cwd: &'a [u8],
    env: &'a [u8],
}

impl<'a> Parts<'a> {
    /// Sets the value of a key. An unknown key has no effect.
    #[inline]
    fn set(&mut self, key: &[u8], value: &'a [u8], timestamp_ns: u64) -> Option<()> {
        let Self { identity, task, exec, .. } = self;
        let mut numbers = Numbers::new(value);
        let part = match key {
            b"p" => {
                self.has_identity = true;
                identity.tgid = numbers.next32()?.into();
                identity.start_boottime = numbers.next()?.into();
                return Some(());
            }
            b"pp" => {
                identity.parent_tgid = numbers.next32()?.into();
                identity.parent_start_boottime = numbers.next()?.into();
                return Some(());
            }
            b"child" => {
                identity.detail = number(value)?.into();
                return Some(());
            }
            b"over" => return self.set_end(ExitHdr::OVER, number32(value)?),
            b"ending" => return self.set_end(ExitHdr::ENDING, number32(value)?),
            b"continues" => return self.set_end(ExitHdr::CONTINUES, 0),
            b"t" => {
                let pid = u64::from(numbers.next32()?);
                let tgid = match numbers.next_text() {
                    Some(tgid) => number32(tgid)?,
                    None => identity.tgid.get(),
                };
                task.pid_tgid = (u64::from(tgid) << 32 | pid).into();
                Recorded::PID_TGID
            }
            b"comm" => {
                task.comm = comm(value)?;
                Recorded::COMM
            }
            b"u" => {
                task.uid_gid = id_pair(&mut numbers)?.into();
                Recorded::UID_GID
            }
            b"e" => {
                task.euid_egid = id_pair(&mut numbers)?.into();
                Recorded::EUID_EGID
            }
            b"s" => {
                task.session = number32(value)?.into();
                Recorded::SESSION
            }
            b"tty" => {
                let [major, minor] = [numbers.next32()?, numbers.next32()?];
                task.tty = (major << 20 | (minor & 0xf_ffff)).into();
                Recorded::TTY
            }
            b"au" => {
                let mut next = || match numbers.next_text()? {
                    [] => Some(u32::MAX),
                    text => number32(text),
                };
                task.login_uid = next()?.into();
                task.audit_session = next()?.into();
                Recorded::AUDIT
            }
            b"ns" => {
                task.ns_tgid = numbers.next32()?.into();
                task.pid_ns = numbers.next32()?.into();
                Recorded::PID_NS
            }
            b"cg" => {
                task.cgroup_id = number(value)?.into();
                Recorded::CGROUP_ID
            }
            b"cs" => {
                task.css_set = number(value)?.into();
                Recorded::CSS_SET
            }
            b"boot" => {
                task.boot_ns = timestamp_ns.wrapping_add(number(value)?).into();
                Recorded::BOOT_NS
            }
            b"ru" => {
                let read = usage(value)?;
                self.usage = read.map(Option::unwrap_or_default);
                Recorded::USAGE
            }
            b"pu" => {
                self.process_usage = usage(value)?;
                Recorded::PROCESS_USAGE
            }
            b"file" => {
                let [major, minor] = [numbers.next32()?, numbers.next32()?];
                exec.dev = (major << 20 | (minor & 0xf_ffff)).into();
                exec.ino = numbers.next()?.into();
                exec.ctime_sec = numbers.next()?.into();
                exec.ctime_nsec = numbers.next32()?.into();
                exec.nlink = numbers.next32()?.into();
                Recorded::EXEC | Recorded::PROGRAM
            }
            b"deleted" => return self.add_flag(ExecHdr::UNHASHED),
            b"memfd" => return self.add_flag(ExecHdr::ROOT),
            b"args" => {
                self.args = value;
                Recorded::EXEC | Recorded::ARGS
            }
            b"cut" => Recorded::ARGS_CUT,
            b"filename" => {
                self.filename = value;
                Recorded::EXEC | Recorded::FILENAME
            }
            b"exe" => {
                self.exe = value.strip_prefix(b"/")?;
                Recorded::EXEC | Recorded::EXE
            }
            b"cwd" => {
                self.cwd = value.strip_prefix(b"/")?;
                Recorded::EXEC | Recorded::CWD
            }
            b"env" => {
                self.env = value;
                Recorded::EXEC | Recorded::ENV
            }
            _ => return Some(()),
        };
        self.recorded |= part.bits();
        Some(())
    }

    fn set_end(&mut self, state: u32, status: u32) -> Option<()> {
        let exit = ExitHdr { state: state.into(), status: status.into() };
        self.identity.detail = zerocopy::transmute!(exit);
        Some(())
    }

    fn add_flag(&mut self, flag: u32) -> Option<()> {
        self.exec.flags = (self.exec.flags.get() | flag).into();
        Some(())
    }

    /// Appends the bytes of the context.
    #[inline]
    fn restore(&mut self, out: &mut Vec<u8>) -> Option<()> {
        if !self.has_identity {
            return None;
        }
        out.extend_from_slice(self.identity.as_bytes());
        if self.recorded == 0 {
            return Some(());
        }
        let recorded = Recorded::from_bits_retain(self.recorded);
        let extension = ExtensionHdr { recorded: self.recorded.into(), ..ExtensionHdr::default() };
        out.extend_from_slice(extension.as_bytes());
        out.extend_from_slice(self.task.as_bytes());
        if recorded.contains(Recorded::USAGE) {
            out.extend_from_slice(usage_header(self.usage).as_bytes());
        }
        if recorded.contains(Recorded::PROCESS_USAGE) {
            let mut numbers = self.usage;
            for (number, own) in numbers.iter_mut().zip(self.process_usage) {
                *number = own.unwrap_or(*number);
            }
            out.extend_from_slice(usage_header(numbers).as_bytes());
        }
        if recorded.contains(Recorded::EXEC) {
            self.restore_program(out)?;
        }
        Some(())
    }

    fn restore_program(&mut self, out: &mut Vec<u8>) -> Option<()> {
        let at = out.len();
        out.extend_from_slice(self.exec.as_bytes());
        let mut start = out.len();
        let mut lens = [0_u32; 5];
        let mut path = Vec::new();
        let parts = [self.args, self.filename, self.exe, self.cwd, self.env];
        for (place, (part, len)) in parts.into_iter().zip(&mut lens).enumerate() {
            if matches!(place, 2 | 3) {
                read_path(part, &mut path, out)?;
            } else {
                read_bytes(part, out)?;
            }
            *len = u32::try_from(out.len() - start).ok()?;
            start = out.len();
        }
        let [args, filename, exe, cwd, env] = lens;
        self.exec.args_len = args.into();
        self.exec.filename_len = filename.into();
        self.exec.exe_len = exe.into();
        self.exec.cwd_len = cwd.into();
        self.exec.env_len = env.into();
        let header = self.exec.as_bytes();
        out.get_mut(at..at + header.len())?.copy_from_slice(header);
        Some(())
    }
}

/// The user id in the lower half, the group id in the upper.
#[inline]
fn id_pair(numbers: &mut Numbers<'_>) -> Option<u64> {
    let [uid, gid] = [numbers.next32()?, numbers.next32()?];
    Some(u64::from(gid) << 32 | u64::from(uid))
}

/// A name of up to 16 bytes.
#[inline]
fn comm(value: &[u8]) -> Option<[u8; 16]> {
    let mut comm = [0; 16];
    if value.len() <= comm.len() && !value.contains(&b'%') {
        comm[..value.len()].copy_from_slice(value);
        return Some(comm);
    }
    let mut bytes = Vec::new();
    read_bytes(value, &mut bytes)?;
    comm.get_mut(..bytes.len())?.copy_from_slice(&bytes);
    Some(comm)
}

/// The numbers of a usage, as far as they are present.
fn usage(value: &[u8]) -> Option<[Option<u64>; 10]> {
    let (mut usage, mut numbers) = ([None; 10], Numbers::new(value));
    for place in &mut usage {
        match numbers.next_text() {
            None => break,
            Some([]) => {}
            Some(text) => *place = Some(number(text)?),
        }
    }
    Some(usage)
}

fn usage_header(numbers: [u64; 10]) -> UsageHdr {
    let [cpu_ns, utime, stime, nvcsw, nivcsw, min_flt, maj_flt, read_bytes, write_bytes, max_rss] =
        numbers.map(Into::into);
    UsageHdr {
        cpu_ns,
        utime,
        stime,
        nvcsw,
        nivcsw,
        min_flt,
        maj_flt,
        read_bytes,
        write_bytes,
        max_rss,
    }
}

/// Appends a path as the kernel writes it: the last name first, each with a zero byte at its end.
fn read_path(path: &[u8], name: &mut Vec<u8>, out: &mut Vec<u8>) -> Option<()> {
    if path.is_empty() {
        return Some(());
    }
    for component in path.rsplit(|&byte| byte == b'/') {
        name.clear();
        read_bytes(component, name)?;
        if name.contains(&0) {
            return None;
        }
        out.extend_from_slice(name);
        out.push(0);
    }
    Some(())
}
