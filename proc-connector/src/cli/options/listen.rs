//! Options for receiving events from the kernel.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::cli::values;

/// How to receive events, for all commands that listen.
#[derive(Debug, clap::Args)]
pub(crate) struct ReceiveOptions {
    /// Select how the kernel passes events to this program.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) transport: Transport,

    /// Set the capacity of the receive buffer, in events. If the kernel grants less, a message on
    /// standard error reports the actual capacity.
    #[arg(long, value_name = "EVENTS", value_parser = values::capacity, allow_negative_numbers = true)]
    pub(crate) buffer: Option<usize>,
}

/// How to receive events, and for how long, for the commands that listen until they are stopped.
#[derive(Debug, clap::Args)]
pub(crate) struct ListenOptions {
    #[command(flatten)]
    pub(crate) receive: ReceiveOptions,

    /// Wait this long between batches while events keep arriving, such as 5ms. A longer time costs
    /// less CPU time, but delays events. The default is 20ms over the ring and 1ms over the socket.
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    pub(crate) coalesce: Option<Duration>,

    /// Drop the events of a cgroup that exceed this number per second, so that a busy container does not
    /// fill the buffer. The output reports them as losses. Requires the ring and cgroups of version 2.
    #[arg(long, value_name = "N", value_parser = values::share, allow_negative_numbers = true)]
    pub(crate) share: Option<NonZeroU32>,

    /// Stop after this time, such as 10s, 500ms or 1m30s.
    #[arg(long, value_name = "TIME", value_parser = values::positive_duration)]
    pub(crate) duration: Option<Duration>,
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
pub(crate) enum Transport {
    /// The ring where it works, otherwise the socket.
    #[default]
    Auto,
    /// Shared memory, filled by a BPF program in the kernel.
    Ring,
    /// The receive queue of a netlink socket.
    Socket,
}

impl From<Transport> for proc_connector::Transport {
    fn from(transport: Transport) -> Self {
        match transport {
            Transport::Auto => Self::Auto,
            Transport::Ring => Self::Ring,
            Transport::Socket => Self::Socket,
        }
    }
}
