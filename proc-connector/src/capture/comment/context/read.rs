//! Restores the context of an event from its comment.

use proc_connector_core::context::layout::{
    ExecHdr, ExitHdr, ExtensionHdr, IdentityHdr, Recorded, TaskHdr, UsageHdr,
};
use zerocopy::IntoBytes;

use super::super::VERSION;
use super::super::text::{is_special, read_bytes};
use super::INITIAL_PID_NS;
use super::common_ids::{self, CommonIds};
use super::value::{Place, Value, key as key_of};

/// Replaces `out` by the bytes of the context that a comment has, for
/// [`Event::with_context`](proc_connector_core::Event::with_context). `None` if the comment is damaged.
#[inline]
pub(in crate::capture) fn read(
    comment: &[u8],
    timestamp_ns: u64,
    ids: &mut CommonIds,
    out: &mut Vec<u8>,
) -> Option<()> {
    let mut parts = Parts::default();
    let mut value = Value::new(comment.get(VERSION.len()..)?);
    while let Some(key) = value.take_key() {
        if key != common_ids::FIRST || common_ids::among(parts.recorded) != 0 {
            parts.set(key, &mut value, timestamp_ns)?;
        } else if ids.skip_words(&mut value) {
            parts.recorded |= ids.restore(parts.identity.tgid.get(), &mut parts.task);
        } else {
            parts.set_ids(&mut value, timestamp_ns, ids)?;
        }
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
    has_own_ns_tgid: bool,
    usage: [u64; 10],
    /// Numbers that are left out are those of the thread.
    process_usage: [Option<u64>; 10],
    exec: ExecHdr,
    args: &'a [u8],
    filename: &'a [u8],
    /// Whether the file name is the path of the program.
    is_direct: bool,
    exe: &'a [u8],
    cwd: &'a [u8],
    env: &'a [u8],
}

impl<'a> Parts<'a> {
    /// Sets the user, the ids that follow, and the value of the next other key. Keeps the ids.
    #[cold]
    fn set_ids(
        &mut self,
        value: &mut Value<'a>,
        timestamp_ns: u64,
        ids: &mut CommonIds,
    ) -> Option<()> {
        let words = value.rest();
        let (mut key, mut left) = (common_ids::FIRST, words.len());
        let mut recorded = 0;
        loop {
            let part = self.set(key, value, timestamp_ns)?;
            let is_id = common_ids::contains(part);
            if is_id {
                left = value.rest().len();
                recorded |= part.bits();
            }
            let next = if is_id { value.take_key() } else { None };
            let Some(next) = next else { break };
            key = next;
        }
        if common_ids::among(self.recorded) == recorded {
            let words = &words[..words.len() - left];
            ids.keep(words, recorded, &self.task, self.has_own_ns_tgid);
        }
        Some(())
    }

    /// Sets the value of a key, and returns the parts of the context that it is. An unknown key has no
    /// effect.
    #[inline]
    fn set(&mut self, key: u64, value: &mut Value<'a>, timestamp_ns: u64) -> Option<Recorded> {
        let part = self.read_value(key, value, timestamp_ns)?;
        self.recorded |= part.bits();
        if !value.is_at_end() {
            // More numbers, of a later version.
            value.text();
        }
        Some(part)
    }

    /// Reads a value. Returns the parts of the context that it is.
    #[expect(clippy::too_many_lines, reason = "a table of keys")]
    #[inline]
    fn read_value(
        &mut self,
        key: u64,
        value: &mut Value<'a>,
        timestamp_ns: u64,
    ) -> Option<Recorded> {
        const P: u64 = key_of(b"p");
        const PP: u64 = key_of(b"pp");
        const CHILD: u64 = key_of(b"child");
        const OVER: u64 = key_of(b"over");
        const ENDING: u64 = key_of(b"ending");
        const ALIVE: u64 = key_of(b"alive");
        const T: u64 = key_of(b"t");
        const COMM: u64 = key_of(b"comm");
        const U: u64 = key_of(b"u");
        const E: u64 = key_of(b"e");
        const S: u64 = key_of(b"s");
        const TTY: u64 = key_of(b"tty");
        const AU: u64 = key_of(b"au");
        const NS: u64 = key_of(b"ns");
        const CG: u64 = key_of(b"cg");
        const CS: u64 = key_of(b"cs");
        const BOOT: u64 = key_of(b"boot");
        const RU: u64 = key_of(b"ru");
        const PU: u64 = key_of(b"pu");
        const FILE: u64 = key_of(b"file");
        const DELETED: u64 = key_of(b"deleted");
        const MEMFD: u64 = key_of(b"memfd");
        const ARGS: u64 = key_of(b"args");
        const CUT: u64 = key_of(b"cut");
        const FILENAME: u64 = key_of(b"filename");
        const DIRECT: u64 = key_of(b"direct");
        const EXE: u64 = key_of(b"exe");
        const CWD: u64 = key_of(b"cwd");
        const ENV: u64 = key_of(b"env");
        let Self { identity, task, exec, has_own_ns_tgid, .. } = self;
        Some(match key {
            P => {
                self.has_identity = true;
                identity.tgid = value.next32()?.into();
                identity.start_boottime = value.next()?.into();
                Recorded::empty()
            }
            PP => {
                identity.parent_tgid = value.next32()?.into();
                identity.parent_start_boottime = value.next()?.into();
                Recorded::empty()
            }
            CHILD => {
                identity.detail = value.next()?.into();
                Recorded::empty()
            }
            OVER => self.set_end(ExitHdr::OVER, value.next32()?),
            ENDING => self.set_end(ExitHdr::ENDING, value.next32()?),
            ALIVE => self.set_end(ExitHdr::CONTINUES, 0),
            T => {
                let own = identity.tgid.get();
                let (pid, tgid) =
                    if value.is_at_end() { (own, own) } else { (value.next32()?, value.next32()?) };
                task.pid_tgid = (u64::from(tgid) << 32 | u64::from(pid)).into();
                Recorded::PID_TGID
            }
            COMM => {
                task.comm = comm(value.text())?;
                Recorded::COMM
            }
            U => {
                task.uid_gid = id_pair(value)?.into();
                Recorded::UID_GID
            }
            E => {
                task.euid_egid =
                    if value.is_at_end() { task.uid_gid } else { id_pair(value)?.into() };
                Recorded::EUID_EGID
            }
            S => {
                task.session = value.next32()?.into();
                Recorded::SESSION
            }
            TTY => {
                task.tty = if value.is_at_end() { 0 } else { device(value)? }.into();
                Recorded::TTY
            }
            AU => {
                let mut next = || match value.next_or_empty()? {
                    Place::Empty => Some(u32::MAX),
                    Place::Number(id) => u32::try_from(id).ok(),
                };
                task.login_uid = next()?.into();
                task.audit_session = next()?.into();
                Recorded::AUDIT
            }
            NS => {
                let pid_ns = if value.is_at_end() { INITIAL_PID_NS } else { value.next32()? };
                task.pid_ns = pid_ns.into();
                *has_own_ns_tgid = value.is_at_end();
                task.ns_tgid =
                    if *has_own_ns_tgid { identity.tgid } else { value.next32()?.into() };
                Recorded::PID_NS
            }
            CG => {
                task.cgroup_id = value.next()?.into();
                Recorded::CGROUP_ID
            }
            CS => {
                task.css_set = value.next()?.into();
                Recorded::CSS_SET
            }
            BOOT => {
                task.boot_ns = timestamp_ns.wrapping_add(value.next()?).into();
                Recorded::BOOT_NS
            }
            RU => {
                self.usage = usage(value)?.map(Option::unwrap_or_default);
                Recorded::USAGE
            }
            PU => {
                self.process_usage = usage(value)?;
                Recorded::PROCESS_USAGE
            }
            FILE => {
                exec.dev = device(value)?.into();
                exec.ino = value.next()?.into();
                exec.ctime_sec = value.next()?.into();
                exec.ctime_nsec = value.next32()?.into();
                exec.nlink = value.next32()?.into();
                Recorded::EXEC | Recorded::PROGRAM
            }
            DELETED => self.add_flag(ExecHdr::UNHASHED),
            MEMFD => self.add_flag(ExecHdr::ROOT),
            ARGS => {
                self.args = value.text();
                Recorded::EXEC | Recorded::ARGS
            }
            CUT => Recorded::ARGS_CUT,
            FILENAME => {
                self.filename = value.text();
                Recorded::EXEC | Recorded::FILENAME
            }
            EXE => {
                self.exe = value.text();
                if !self.exe.starts_with(b"/") {
                    return None;
                }
                Recorded::EXEC | Recorded::EXE
            }
            DIRECT => {
                self.is_direct = true;
                Recorded::EXEC | Recorded::FILENAME
            }
            CWD => {
                self.cwd = value.text().strip_prefix(b"/")?;
                Recorded::EXEC | Recorded::CWD
            }
            ENV => {
                self.env = value.text();
                Recorded::EXEC | Recorded::ENV
            }
            _ => {
                value.text();
                Recorded::empty()
            }
        })
    }

    fn set_end(&mut self, state: u32, status: u32) -> Recorded {
        let exit = ExitHdr { state: state.into(), status: status.into() };
        self.identity.detail = zerocopy::transmute!(exit);
        Recorded::empty()
    }

    fn add_flag(&mut self, flag: u32) -> Recorded {
        self.exec.flags = (self.exec.flags.get() | flag).into();
        Recorded::empty()
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
        if self.is_direct {
            // Without a path, the comment is damaged.
            self.exe.first()?;
            self.filename = self.exe;
        }
        let exe = self.exe.get(1..).unwrap_or_default();
        let parts = [self.args, self.filename, exe, self.cwd, self.env];
        for (place, (part, len)) in parts.into_iter().zip(&mut lens).enumerate() {
            if matches!(place, 2 | 3) {
                read_path(part, out)?;
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

/// The user id in the lower half, the group id in the upper. They are equal if there is one number.
#[inline]
fn id_pair(value: &mut Value<'_>) -> Option<u64> {
    let uid = value.next32()?;
    let gid = if value.is_at_end() { uid } else { value.next32()? };
    Some(u64::from(gid) << 32 | u64::from(uid))
}

/// A device: 12 bits of major and 20 bits of minor number.
#[inline]
fn device(value: &mut Value<'_>) -> Option<u32> {
    let [major, minor] = [value.next32()?, value.next32()?];
    Some(major << 20 | (minor & 0xf_ffff))
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

/// The numbers of a usage. Numbers that equal their default are missing.
#[inline]
fn usage(value: &mut Value<'_>) -> Option<[Option<u64>; 10]> {
    let mut usage = [None; 10];
    for place in &mut usage {
        if let Place::Number(number) = value.next_or_empty()? {
            *place = Some(number);
        }
    }
    Some(usage)
}

fn usage_header(numbers: [u64; 10]) -> UsageHdr {
    let [cpu_ns, utime, stime, voluntary, involuntary, min_flt, maj_flt, read, written, max_rss] =
        numbers.map(Into::into);
    UsageHdr {
        cpu_ns,
        utime,
        stime,
        nvcsw: voluntary,
        nivcsw: involuntary,
        min_flt,
        maj_flt,
        read_bytes: read,
        write_bytes: written,
        max_rss,
    }
}

/// Appends a path as the kernel writes it: the last name first, each with a zero byte at its end.
fn read_path(path: &[u8], out: &mut Vec<u8>) -> Option<()> {
    if path.is_empty() {
        return Some(());
    }
    let is_plain = path.iter().fold(true, |is_plain, &byte| is_plain & !is_special(byte));
    out.reserve(path.len() + 1);
    for name in path.rsplit(|&byte| byte == b'/') {
        let start = out.len();
        if is_plain {
            out.extend_from_slice(name);
        } else {
            read_bytes(name, out)?;
            if out[start..].contains(&0) {
                return None;
            }
        }
        out.push(0);
    }
    Some(())
}
