//! Options for the batches of records, and for their spool.

use std::path::PathBuf;
use std::time::Duration;

use nix::unistd::geteuid;

use crate::cli::export::spool::LEAST_CAPACITY;
use crate::cli::failure::Failure;
use crate::cli::values;

/// How to batch records, and where to keep them until the receiver has accepted them.
#[derive(Debug, clap::Args)]
pub(crate) struct SpoolOptions {
    /// Keep records in this directory until the receiver has accepted them. The default is
    /// `$STATE_DIRECTORY`, or else /var/lib/proc-connector/otlp for root, and
    /// ~/.local/state/proc-connector/otlp for others.
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    spool: Option<PathBuf>,

    /// Discard the oldest records, and report how many, if the spool would exceed this number of
    /// bytes, such as 64M or 2G. It must be at least 32M.
    #[arg(long, value_name = "BYTES", value_parser = capacity, default_value = "256M")]
    #[arg(allow_negative_numbers = true)]
    pub(crate) spool_size: u64,

    /// Send records in batches of at most this many.
    #[arg(long, value_name = "N", value_parser = values::count, default_value = "4096")]
    #[arg(allow_negative_numbers = true)]
    pub(crate) batch_size: u64,

    /// Send a batch this long after its first record, even if it is not full.
    #[arg(long, value_name = "TIME", value_parser = values::positive_duration, default_value = "5s")]
    pub(crate) batch_age: Duration,
}

impl SpoolOptions {
    /// The directory of the spool.
    pub(crate) fn directory(&self) -> Result<PathBuf, Failure> {
        if let Some(directory) = &self.spool {
            return Ok(directory.clone());
        }
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        if let Some(directories) = variable("STATE_DIRECTORY") {
            // systemd separates several directories by colons.
            let first = std::env::split_paths(&directories).next();
            return Ok(first.unwrap_or_default());
        }
        if geteuid().is_root() {
            return Ok("/var/lib/proc-connector/otlp".into());
        }
        let state = variable("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        let home = || Some(PathBuf::from(variable("HOME")?).join(".local/state"));
        let state = state.or_else(home).ok_or_else(|| {
            Failure::Setting("HOME is not set: choose a directory for records with --spool".into())
        })?;
        Ok(state.join("proc-connector/otlp"))
    }
}

/// Reads the capacity of a spool.
fn capacity(text: &str) -> Result<u64, String> {
    let bytes = values::bytes(text)?;
    if bytes < LEAST_CAPACITY {
        return Err(format!("the spool needs at least {}M", LEAST_CAPACITY >> 20));
    }
    Ok(bytes)
}
