//! Opens a connector with the options of a command.

use std::fs;
use std::time::Duration;

use proc_connector::program::end_on_signals;
use proc_connector::{Builder, Filter, ProcConnector, WallClock};
use sd_notify::NotifyState;

use crate::cli::cause::Cause;
use crate::cli::failure::Failure;
use crate::cli::options::listen::{ListenOptions, ReceiveOptions};
use crate::cli::shown::complain;

/// The pause between two batches, which a reader of the output does not notice. A wake-up for each
/// event costs more than all other work.
const COALESCE: Duration = Duration::from_millis(20);
const SOCKET_COALESCE: Duration = Duration::from_millis(1);

/// Opens a connector that signals shut down, and reports readiness to the service manager. `context`
/// requests the context of each event.
pub(crate) fn open(
    options: &ListenOptions,
    filter: &Filter,
    context: bool,
) -> Result<ProcConnector, Failure> {
    listen(options, ProcConnector::builder().filter(filter.clone()).context(context))
}

/// The same with the context of each event, and the working directory of each exec.
#[cfg(feature = "otlp")]
pub(crate) fn open_with_directories(
    options: &ListenOptions,
    filter: Filter,
) -> Result<ProcConnector, Failure> {
    let builder = ProcConnector::builder().filter(filter).context(true);
    listen(options, builder.working_directory(true))
}

fn listen(options: &ListenOptions, builder: Builder) -> Result<ProcConnector, Failure> {
    let builder = match options.coalesce {
        Some(time) => builder.coalesce(time),
        // Over the socket, arguments must be read from `/proc` before the process ends.
        None => builder.coalesce(COALESCE).socket_coalesce(SOCKET_COALESCE),
    };
    let builder = match options.share {
        Some(share) => builder.share(share),
        None => builder,
    };
    let events = open_with(&options.receive, builder)?;
    if let (Some(_), Some(reason)) = (options.share, events.stats().no_ring) {
        complain(format_args!("--share has no effect, because it requires the ring: {reason}"));
    }
    end_on_signals(&events.shutdown_handle()).map_err(Failure::Signals)?;
    if let Err(error) = sd_notify::notify(&[NotifyState::Ready]) {
        let error = Cause(&error);
        complain(format_args!("cannot report to the service manager: {error}"));
    }
    Ok(events)
}

/// Opens a connector for the processes of a command, with the working directory of each exec if it is
/// wanted. Signals do not shut it down, because the command decides how to handle them.
pub(crate) fn open_for_trace(
    options: &ReceiveOptions,
    filter: Filter,
    working_directory: bool,
) -> Result<ProcConnector, Failure> {
    let builder = ProcConnector::builder().filter(filter).context(true);
    let builder = builder.working_directory(working_directory);
    // The socket has no contexts, so arguments must be read from `/proc` before the process ends.
    open_with(options, builder.socket_coalesce(Duration::ZERO))
}

/// Opens a connector for the ends of processes. Signals do not shut it down yet.
pub(crate) fn open_for_wait(
    options: &ReceiveOptions,
    filter: Filter,
) -> Result<ProcConnector, Failure> {
    open_with(options, ProcConnector::builder().filter(filter).context(true))
}

/// Reports that this process chooses by the acting task, which costs more than in the kernel.
pub(crate) fn report_user_space(events: &ProcConnector) {
    let stats = events.stats();
    if stats.user_space_filter {
        let reason = stats.no_ring.map(|reason| format!(": {reason}")).unwrap_or_default();
        complain(format_args!(
            "processes are chosen in user space, which requires all events of the machine{reason}"
        ));
    }
}

fn open_with(options: &ReceiveOptions, mut builder: Builder) -> Result<ProcConnector, Failure> {
    WallClock::try_new().map_err(Failure::Clock)?;
    if let Some(events) = options.buffer {
        builder = builder.receive_buffer_events(events);
    }
    let events = builder.transport(options.transport.into()).open()?;
    report_granted(options.buffer, &events);
    Ok(events)
}

/// Reports a buffer that holds fewer events than requested.
fn report_granted(requested: Option<usize>, events: &ProcConnector) {
    let stats = events.stats();
    let holds = stats.receive_buffer_events;
    let Some(requested) = requested.filter(|&requested| holds < requested) else { return };
    let limit = fs::read_to_string("/proc/sys/net/core/rmem_max").unwrap_or_default();
    let limit = limit.trim();
    // The kernel doubles the requested size, and the limit applies to the requested one.
    let is_limited = limit.parse().is_ok_and(|limit: usize| stats.receive_buffer <= 2 * limit);
    let reason = if is_limited {
        format!("net.core.rmem_max is {limit}; raise it, or grant CAP_NET_ADMIN")
    } else {
        "a socket buffer cannot be larger".to_owned()
    };
    complain(format_args!(
        "the receive buffer holds {holds} events, not the requested {requested}: {reason}"
    ));
}
