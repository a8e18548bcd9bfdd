//! Options that select events by their processes.

use std::fmt;

use glob::Pattern;

use crate::cli::failure::Failure;
use crate::cli::host::present;
use crate::cli::shown::word;
use crate::cli::values::{self, Root, User};

/// Selects the events of some processes.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct ProcessOptions {
    /// Select only this process and its descendants, or all processes that run or execute a program of
    /// this name, and their descendants. For live events, a process given by id must exist, and a later
    /// process with the same id does not match.
    #[arg(long, value_name = "PID|NAME", value_parser = values::root, allow_negative_numbers = true)]
    pub(crate) tree: Vec<Root>,

    /// Select only events of threads whose name matches this pattern, such as make or 'python*'. The
    /// name is that of the executed file, cut to 15 bytes, until the thread changes it. For a script that
    /// starts with `#!/usr/bin/env`, it is the name of the interpreter.
    #[arg(long, value_name = "GLOB", value_parser = values::name_pattern)]
    pub(crate) comm: Vec<Pattern>,

    /// Select only events of threads whose real or effective user is this user, given by name or id. A
    /// name is looked up once, at the start; a recording requires an id.
    #[arg(long, value_name = "USER", value_parser = values::user, allow_negative_numbers = true)]
    #[arg(value_hint = clap::ValueHint::Username)]
    pub(crate) user: Vec<User>,

    /// Select only processes in this cgroup or below it (a path or a glob), or in the container whose
    /// id starts with this text. A cgroup that exists at the start is identified once: if it is removed
    /// and created again, for example by the restart of a service, the new cgroup does not match. A glob
    /// matches both.
    #[arg(long, value_name = "PATH|GLOB|ID", value_parser = values::cgroup)]
    pub(crate) cgroup: Vec<Pattern>,
}

impl ProcessOptions {
    /// Whether any of these options is given.
    pub(crate) fn is_any_given(&self) -> bool {
        let Self { tree, comm, user, cgroup } = self;
        !(tree.is_empty() && comm.is_empty() && user.is_empty() && cgroup.is_empty())
    }

    /// The ids of the selected users on this machine. Call it before opening the connector, whose
    /// buffer could overflow during a slow lookup.
    pub(crate) fn uids(&self) -> Result<Vec<u32>, Failure> {
        Ok(self.user.iter().map(present::user).collect::<Result<_, _>>()?)
    }

    /// The ids of the selected users of a recording.
    ///
    /// Fails for a user given by name.
    pub(crate) fn recorded_uids(&self) -> Result<Vec<u32>, Failure> {
        Ok(self.user.iter().map(present::recorded_user).collect::<Result<_, _>>()?)
    }

    /// Refuses processes and cgroups that do not exist. Those selected by name may appear later.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        for root in &self.tree {
            if let Root::Pid(pid) = root {
                present::process(*pid)?;
            }
        }
        self.cgroup.iter().try_for_each(|cgroup| present::cgroup(cgroup.as_str()))?;
        Ok(())
    }
}

/// The options as typed on a command line, for the description of a capture.
impl fmt::Display for ProcessOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tree, comm, user, cgroup } = self;
        let tree = tree.iter().map(|root| match root {
            Root::Pid(pid) => ("--tree", pid.to_string()),
            Root::Name(name) => ("--tree", name.clone()),
        });
        let comm = comm.iter().map(|pattern| ("--comm", pattern.as_str().to_owned()));
        let user = user.iter().map(|user| match user {
            User::Id(id) => ("--user", id.to_string()),
            User::Name(name) => ("--user", name.clone()),
        });
        let cgroup = cgroup.iter().map(|pattern| ("--cgroup", pattern.as_str().to_owned()));
        let options = tree.chain(comm).chain(user).chain(cgroup);
        let options: Vec<String> =
            options.map(|(option, value)| format!("{option} {}", word(value.as_bytes()))).collect();
        f.write_str(&options.join(" "))
    }
}
