//! What every behaviour uses: the creation of a process with its record, and the end of both.

use std::convert::Infallible;
use std::ffi::CString;
use std::fs;
use std::path::Path;

use nix::unistd::{execve, getegid, geteuid, getgid, getpid, getppid, getsid, getuid};

use super::programs::{Programs, c_string, c_strings, image};
use super::sys;
use super::truth::{Image, Truth, now_ns, text};

/// The state of the generator, which its children inherit.
#[derive(Clone, Debug)]
pub(crate) struct Stage {
    pub(crate) behaviour: &'static str,
    /// Differs from one run of a behaviour to the next.
    pub(crate) number: u32,
    pub(crate) programs: Programs,
    /// The image of this process.
    image: Image,
    comm: String,
}

impl Stage {
    /// The stage of this process. The programs are in `directory`.
    pub(crate) fn new(directory: &Path) -> Self {
        let args = fs::read("/proc/self/cmdline").expect("/proc is mounted");
        let exe = fs::read_link("/proc/self/exe").expect("/proc is mounted");
        let comm = fs::read("/proc/self/comm").expect("/proc is mounted");
        Self {
            behaviour: "",
            number: 0,
            programs: Programs::in_directory(directory),
            image: Image { args: text(&args), ..image(exe.to_str().expect("UTF-8"), &[]) },
            comm: text(comm.trim_ascii_end()),
        }
    }

    /// Records a creation by this process.
    pub(crate) fn created(&self, create: impl FnOnce() -> u32) -> Truth {
        let before = now_ns();
        let tgid = create();
        self.truth(tgid, (before, now_ns()))
    }

    /// The record of a process that this one created, and that behaves as this one so far.
    pub(crate) fn truth(&self, tgid: u32, created_ns: (u64, u64)) -> Truth {
        let this = std::process::id();
        let session = getsid(None).expect("this process").as_raw();
        Truth {
            behaviour: self.behaviour.to_owned(),
            tgid,
            ns_tgid: tgid,
            created_ns,
            start_ticks: None,
            alive_ns: created_ns.0,
            over_ns: None,
            creator: this,
            parent: this,
            last_parent: Some(this),
            status: None,
            usage: None,
            images: vec![self.image.clone()],
            uid: Some((getuid().as_raw(), geteuid().as_raw())),
            gid: Some((getgid().as_raw(), getegid().as_raw())),
            session: u32::try_from(session).ok(),
            comm: Some(self.comm.clone()),
        }
    }

    /// Forks a child, and records its creation.
    pub(crate) fn fork(&self, child: impl FnOnce()) -> Truth {
        self.created(|| sys::fork(child))
    }

    /// Forks a child, waits for its end, and prints its record.
    pub(crate) fn run(&self, child: impl FnOnce()) {
        self.fork(child).reap();
    }

    /// Executes a program of the [`Programs`] with an empty environment. The first word names it.
    pub(crate) fn exec(&self, words: &[&str]) -> Infallible {
        exec_at(&self.programs.path(words[0]), words)
    }

    /// The image of [`exec`](Self::exec).
    pub(crate) fn image(&self, words: &[&str]) -> Image {
        image(&self.programs.path(words[0]), words)
    }

    /// The path of the program that executes its arguments.
    pub(crate) fn chain(&self) -> String {
        self.programs.path("chain")
    }
}

/// Executes the program at a path with an empty environment.
pub(crate) fn exec_at(path: &str, words: &[&str]) -> Infallible {
    let error = execve(&c_string(path), &c_strings(words), &[] as &[CString]);
    panic!("{path}: {error:?}")
}

/// The process id of the current parent.
pub(crate) fn parent() -> u32 {
    getppid().as_raw().try_into().expect("not negative")
}

/// The process id of this process, without the cache of a library.
pub(crate) fn this() -> u32 {
    getpid().as_raw().try_into().expect("positive")
}
