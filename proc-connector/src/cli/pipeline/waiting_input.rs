//! An input that may block, such as a pipe. Before it blocks, all events that were read are shown. A
//! request to end, such as Ctrl-C, ends the input.

use std::cell::{Cell, OnceCell, RefCell};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use proc_connector::capture;
use proc_connector::program::EndRequest;

use super::stage::Stage;
use crate::cli::failure::Failure;

/// How long the input must be quiet after a request to end. Ctrl-C goes to a whole pipeline, so the
/// writer at the other end may still write its last events.
const QUIET: Duration = Duration::from_secs(1);

/// How long to read after a request to end while the writer keeps writing. The time that this
/// program waits for the reader of its output does not count: a slow reader gets the same events.
const AT_MOST: Duration = Duration::from_secs(3);

/// The state that an input shares with the loop that reads it.
#[derive(Default)]
pub(crate) struct Waiting<'a> {
    stage: RefCell<Option<Rc<RefCell<dyn Stage + 'a>>>>,
    failure: RefCell<Option<Failure>>,
    /// Set once an input exists.
    request: OnceCell<EndRequest>,
    is_cut_short: Cell<bool>,
    /// The time spent writing the output.
    writing: Rc<Cell<Duration>>,
}

impl<'a> Waiting<'a> {
    /// Measures the time spent writing to this output.
    pub(crate) fn timed<W: Write>(&self, output: W) -> Timed<W> {
        Timed { output, writing: Rc::clone(&self.writing) }
    }

    /// From now on, flushes this stage before each wait.
    pub(crate) fn flush_before(&self, stage: Option<Rc<RefCell<dyn Stage + 'a>>>) {
        self.stage.replace(stage);
    }

    /// From now on, a request to end ends the input instead of the program.
    pub(crate) fn begin(&self) -> Result<(), Failure> {
        if self.request.get().is_none() {
            let _ = self.request.set(EndRequest::new().map_err(Failure::Signals)?);
        }
        Ok(())
    }

    /// Records that a request ends the input before its end.
    pub(crate) fn cut_short(&self) {
        self.is_cut_short.set(true);
    }

    /// Whether a request ended the input before its end.
    pub(crate) fn is_cut_short(&self) -> bool {
        self.is_cut_short.get()
    }

    /// Whether a request to end explains that a capture is cut short: this program stopped reading in
    /// the middle of a block, or the same Ctrl-C has ended the writer.
    pub(crate) fn explains(&self, error: &capture::Error) -> bool {
        let is_short = matches!(error, capture::Error::Empty | capture::Error::Truncated { .. });
        is_short && self.is_requested_to_end()
    }

    /// Ends the program by the signal that requested its end, if a signal did.
    pub(crate) fn end_by_signal(&self) {
        if let Some(request) = self.request.get() {
            request.end_by_signal();
        }
    }

    /// Takes the failure of a flush, which has ended the input.
    pub(crate) fn take_failure(&self) -> Option<Failure> {
        self.failure.take()
    }

    /// Whether a request to end was made.
    #[inline]
    pub(crate) fn is_requested_to_end(&self) -> bool {
        self.request.get().is_some_and(EndRequest::is_made)
    }

    /// Flushes the stage. Returns whether that succeeded.
    fn flush(&self) -> bool {
        let Some(stage) = &*self.stage.borrow() else { return true };
        match stage.borrow_mut().after_batch(Instant::now()) {
            Ok(_) => true,
            Err(failure) => {
                self.failure.replace(Some(failure));
                false
            }
        }
    }
}

/// An output that measures the time spent writing to it.
pub(crate) struct Timed<W> {
    output: W,
    writing: Rc<Cell<Duration>>,
}

impl<W: Write> Timed<W> {
    fn time<T>(&mut self, write: impl FnOnce(&mut W) -> T) -> T {
        let started = Instant::now();
        let written = write(&mut self.output);
        self.writing.set(self.writing.get().saturating_add(started.elapsed()));
        written
    }
}

impl<W: Write> Write for Timed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.time(|output| output.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.time(W::flush)
    }
}

/// A pipe, a terminal or a device as input.
pub(crate) struct WaitingInput<'a, R> {
    source: R,
    waiting: Rc<Waiting<'a>>,
    /// When the request to end was noticed, and the time spent writing the output until then.
    requested: Option<(Instant, Duration)>,
}

impl<'a, R: Read + AsFd> WaitingInput<'a, R> {
    /// From now on, a request to end ends this input instead of the program.
    pub(crate) fn new(source: R, waiting: Rc<Waiting<'a>>) -> Result<Self, Failure> {
        waiting.begin()?;
        Ok(Self { source, waiting, requested: None })
    }

    /// Waits until something can be read. Returns false at the end of the input.
    fn wait(&mut self) -> io::Result<bool> {
        self.notice_request();
        if self.is_late() {
            self.waiting.cut_short();
            return Ok(false);
        }
        if readable(&self.source, None, Some(Duration::ZERO))? {
            return Ok(true);
        }
        if !self.waiting.flush() {
            return Ok(false);
        }
        let mut quiet_since = Instant::now();
        loop {
            let is_readable = if self.requested.is_some() {
                readable(&self.source, None, Some(QUIET.saturating_sub(quiet_since.elapsed())))?
            } else {
                readable(&self.source, self.waiting.request.get(), None)?
            };
            if is_readable {
                return Ok(true);
            }
            if self.notice_request() {
                quiet_since = Instant::now();
            }
            if self.requested.is_some() && quiet_since.elapsed() >= QUIET {
                self.waiting.cut_short();
                return Ok(false);
            }
        }
    }

    /// Records a request to end. Returns true the first time.
    fn notice_request(&mut self) -> bool {
        let is_new = self.requested.is_none() && self.waiting.is_requested_to_end();
        if is_new {
            self.requested = Some((Instant::now(), self.waiting.writing.get()));
        }
        is_new
    }

    /// Whether the request is so old that the input ends even if more can be read.
    fn is_late(&self) -> bool {
        self.requested.is_some_and(|(requested, before)| {
            let writing = self.waiting.writing.get().saturating_sub(before);
            requested.elapsed().saturating_sub(writing) > AT_MOST
        })
    }
}

impl<R: Read + AsFd> Read for WaitingInput<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.wait()? { self.source.read(buffer) } else { Ok(0) }
    }
}

/// Waits until the source can be read or is at its end, or a request to end is made.
fn readable(
    source: &impl AsFd,
    request: Option<&EndRequest>,
    time: Option<Duration>,
) -> io::Result<bool> {
    let source = PollFd::new(source.as_fd(), PollFlags::POLLIN);
    let request = request.map(|request| PollFd::new(request.as_fd(), PollFlags::POLLIN));
    let mut polled: Vec<PollFd<'_>> = [source].into_iter().chain(request).collect();
    let time = time.map_or(PollTimeout::NONE, |time| time.try_into().unwrap_or(PollTimeout::MAX));
    match poll(&mut polled, time) {
        // The caller checks whether the signal was a request.
        Err(Errno::EINTR) => Ok(false),
        Err(error) => Err(error.into()),
        Ok(_) => Ok(polled[0].any().unwrap_or(true)),
    }
}
