//! What a process really did, by its creator and by `wait4`. The generator prints one record for
//! each process that it creates.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use nix::time::{ClockId, clock_gettime};
use nix::unistd::write;
use serde::{Deserialize, Serialize};

use super::sys::{self, Usage};

/// One process. A field is `None` if nothing outside of the library knows its value.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Truth {
    pub(crate) behaviour: String,
    pub(crate) tgid: u32,
    /// The process id in its own pid namespace.
    pub(crate) ns_tgid: u32,
    /// `CLOCK_MONOTONIC` before and after its creation. For the process that a later owner of the
    /// id replaces, `over_ns` is before the later creation.
    pub(crate) created_ns: (u64, u64),
    /// Field 22 of `/proc/PID/stat`: its creation in ticks of 10 ms of `CLOCK_BOOTTIME`.
    pub(crate) start_ticks: Option<u64>,
    /// `CLOCK_MONOTONIC` at which it was certainly alive, and at which it had certainly ended.
    pub(crate) alive_ns: u64,
    pub(crate) over_ns: Option<u64>,
    /// The process whose thread created it.
    pub(crate) creator: u32,
    /// The parent at its creation.
    pub(crate) parent: u32,
    /// The parent at its end.
    pub(crate) last_parent: Option<u32>,
    /// The wait status.
    pub(crate) status: Option<i32>,
    /// `None` also if the process reaped children, whose usage `wait4` adds.
    pub(crate) usage: Option<Usage>,
    /// The image at its creation, and one for each exec.
    pub(crate) images: Vec<Image>,
    /// The real and effective ids, the session and the name of the first thread, at its end.
    pub(crate) uid: Option<(u32, u32)>,
    pub(crate) gid: Option<(u32, u32)>,
    pub(crate) session: Option<u32>,
    pub(crate) comm: Option<String>,
}

/// A program with its arguments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Image {
    /// As the kernel stores them: each ends with a NUL. A character is a byte.
    pub(crate) args: String,
    /// The path of the executable file, without the suffix of a deleted one.
    pub(crate) exe: String,
    /// The path that was passed to `execve`; empty if unknown.
    pub(crate) filename: String,
    pub(crate) device: u64,
    pub(crate) inode: u64,
    /// When the file was removed.
    pub(crate) deleted: Deleted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Deleted {
    Never,
    /// Before the exec: the path always ends with ` (deleted)`.
    Before,
    /// After the exec: it ends with that if it is read too late.
    After,
}

impl Truth {
    /// Waits for the end of a child that reaps no children, and prints its record.
    pub(crate) fn reap(mut self) {
        self.start_ticks = start_ticks(self.tgid);
        self.wait();
        self.print();
    }

    /// Waits for the end of a child that reaps no children, and does nothing else.
    pub(crate) fn wait(&mut self) {
        let (status, usage) = sys::wait4(self.tgid).expect("a child");
        self.status = Some(status);
        self.usage = Some(usage);
        self.over_ns = Some(now_ns());
    }

    /// The same for a child that reaped children, so that its own usage is unknown.
    pub(crate) fn reap_parent(mut self) {
        self.start_ticks = start_ticks(self.tgid);
        let (status, _) = sys::wait4(self.tgid).expect("a child");
        self.status = Some(status);
        self.over_ns = Some(now_ns());
        self.print();
    }

    /// Prints the record. Records of up to 4 KiB may be printed by several processes at a time.
    pub(crate) fn print(&self) {
        assert_ne!(self.status, Some(sys::PANICKED), "{self:?}");
        let mut line = serde_json::to_vec(self).expect("no maps");
        line.push(b'\n');
        let mut rest = &line[..];
        while !rest.is_empty() {
            rest = &rest[write(std::io::stdout(), rest).expect("the oracle reads")..];
        }
    }

    /// Records an exec.
    pub(crate) fn executes(mut self, image: Image) -> Self {
        let name = image.filename.rsplit('/').next().expect("a name");
        self.comm = Some(name.chars().take(15).collect());
        self.images.push(image);
        self
    }

    /// Records that it was alive until now.
    pub(crate) fn alive(mut self) -> Self {
        self.alive_ns = now_ns();
        self
    }

    /// Records an exit status that no `wait4` of the generator will report.
    pub(crate) fn exits(mut self, code: i32) -> Self {
        self.status = Some(code << 8);
        self
    }
}

impl Image {
    pub(crate) fn deleted(mut self, deleted: Deleted) -> Self {
        self.deleted = deleted;
        self
    }
}

/// The creation of a process that was not yet reaped.
fn start_ticks(tgid: u32) -> Option<u64> {
    let stat = text(&std::fs::read(format!("/proc/{tgid}/stat")).ok()?);
    let (_, fields) = stat.rsplit_once(") ")?;
    fields.split(' ').nth(19)?.parse().ok()
}

/// Bytes as text that JSON can hold: one character a byte.
pub(crate) fn text(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// Arguments as the kernel stores them.
pub(crate) fn joined<Word: AsRef<OsStr>>(words: impl IntoIterator<Item = Word>) -> String {
    words.into_iter().map(|word| text(word.as_ref().as_bytes()) + "\0").collect()
}

/// `CLOCK_MONOTONIC`, the clock of the events.
pub(crate) fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("a clock of every system");
    let number = |number| u64::try_from(number).expect("not negative");
    number(now.tv_sec()) * 1_000_000_000 + number(now.tv_nsec())
}
