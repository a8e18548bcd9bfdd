//! The loop that receives live events.

use std::cmp::Reverse;
use std::time::{Duration, Instant, SystemTime};

use proc_connector::{Error, ProcConnector, Received, WallClock};

use super::stage::Stage;
use super::summary::Summary;
use crate::cli::failure::Failure;
use crate::cli::host::{cgroups, privileges};
use crate::cli::shown::complain;

/// Why receiving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The stage has enough.
    Enough,
    /// The deadline has passed, or the connector was shut down: by a signal, or because the traced
    /// command has ended.
    Stopped,
}

/// Drops privileges, and passes events to the stage until `duration` has passed, a signal arrives, or
/// the stage has enough.
pub(crate) fn listen(
    events: &mut ProcConnector,
    duration: Option<Duration>,
    stage: &mut impl Stage,
) -> Result<Summary, Failure> {
    privileges::drop_most();
    let started = Instant::now();
    stage.start(started);
    let deadline = duration.and_then(|duration| started.checked_add(duration));
    if receive(events, deadline, stage)? == End::Stopped {
        receive_rest(events, stage)?;
        stage.finish()?;
    }
    report_shares(events);
    Ok(Summary { events: stage.shown(), lost: events.stats().lost, time: started.elapsed() })
}

/// Reports the cgroups that exceeded their share, the one with the most losses first.
fn report_shares(events: &ProcConnector) {
    const MOST: usize = 10;
    let mut losses = events.share_losses();
    losses.sort_by_key(|loss| Reverse(loss.lost));
    for loss in losses.iter().take(MOST).filter(|loss| loss.lost > 0) {
        let (id, lost) = (loss.cgroup_id, loss.lost);
        let path = cgroups::path(id).unwrap_or_else(|| "which was removed".to_owned());
        complain(format_args!("cgroup {id}, {path}: {lost} events over its share were lost"));
    }
    if let Some(others) = losses.len().checked_sub(MOST).filter(|&others| others > 0) {
        complain(format_args!("{others} other cgroups lost events over their share"));
    }
}

/// Passes events to the stage until one of the [reasons to end](End).
pub(crate) fn receive(
    events: &mut ProcConnector,
    deadline: Option<Instant>,
    stage: &mut impl Stage,
) -> Result<End, Failure> {
    let mut now = Instant::now();
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(now));
        if left == Some(Duration::ZERO) {
            return Ok(End::Stopped);
        }
        let batch = match left.into_iter().chain(stage.due_in()).min() {
            Some(time) => events.recv_batch_timeout(time),
            None => events.recv_batch(),
        };
        let batch = match batch {
            Err(Error::Shutdown) => return Ok(End::Stopped),
            batch => batch?,
        };
        let (_, wants_more) = pass_batch(batch, stage)?;
        now = Instant::now();
        // Otherwise `after_batch` and `finish` would both report an interval that ends at the deadline.
        let is_over = deadline.is_some_and(|deadline| deadline <= now);
        if wants_more && is_over {
            return Ok(End::Stopped);
        }
        if !(stage.after_batch(now)? && wants_more) {
            return Ok(End::Enough);
        }
    }
}

/// Passes a batch to the stage. Returns the number of events and losses, and whether the stage wants
/// more.
pub(crate) fn pass_batch<'a>(
    batch: impl Iterator<Item = Received<'a>>,
    stage: &mut impl Stage,
) -> Result<(usize, bool), Failure> {
    let clock = WallClock::new();
    let mut count = 0;
    for received in batch {
        count += 1;
        if !stage.take(&received, Some(time_of_day(&received, &clock)))? {
            return Ok((count, false));
        }
    }
    Ok((count, true))
}

/// Passes the queued events that happened before this call to the stage. Leaves the connector
/// nonblocking.
pub(crate) fn receive_rest(
    events: &mut ProcConnector,
    stage: &mut impl Stage,
) -> Result<(), Failure> {
    let now = WallClock::now_ns();
    let clock = WallClock::new();
    events.set_nonblocking()?;
    loop {
        let batch = match events.recv_batch() {
            Err(Error::WouldBlock) => return Ok(()),
            batch => batch?,
        };
        let (mut has_earlier, mut has_later) = (false, false);
        for received in batch {
            if matches!(&received, Received::Event(event) if event.timestamp_ns() > now) {
                has_later = true;
                continue;
            }
            has_earlier = true;
            if !stage.take(&received, Some(time_of_day(&received, &clock)))? {
                return Ok(());
            }
        }
        // On a busy machine the queue may never be empty, so only later events end the loop. A batch
        // without events, for example of acknowledgements to other listeners, does not.
        if has_later && !has_earlier {
            return Ok(());
        }
    }
}

fn time_of_day(received: &Received<'_>, clock: &WallClock) -> SystemTime {
    match received {
        Received::Event(event) => clock.time(event.timestamp_ns()),
        Received::Lost(_) => SystemTime::now(),
    }
}
