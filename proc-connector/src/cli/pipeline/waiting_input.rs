//! An input that has to be waited for, such as a pipe: everything read before is shown first, and a
//! request to end ends it.

use std::cell::{Cell, OnceCell, RefCell};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use proc_connector::capture;
use proc_connector::program::EndRequest;

use crate::cli::output::sink::Sink;

/// After a request to end, how long nothing must have come. The writer at the other end may have got
/// the same request, as Ctrl-C does to a whole pipeline, and still write its last events.
const QUIET: Duration = Duration::from_secs(1);

/// How long to go on after a request to end where the writer goes on. The time in which the reader of
/// the output makes this program wait does not count: what it gets late must not be less.
const AT_MOST: Duration = Duration::from_secs(3);

/// What to do before waiting, and how waiting ended: shared between an input and the loop that reads
/// it.
#[derive(Default)]
pub(crate) struct Waiting<'a> {
    sink: RefCell<Option<Rc<RefCell<dyn Sink + 'a>>>>,
    failure: RefCell<Option<io::Error>>,
    /// Set once an input exists.
    request: OnceCell<EndRequest>,
    is_cut_short: Cell<bool>,
    /// How long the output has taken.
    writing: Rc<Cell<Duration>>,
}

impl<'a> Waiting<'a> {
    /// An output that notes how long it takes.
    pub(crate) fn timed<W: Write>(&self, output: W) -> Timed<W> {
        Timed { output, writing: Rc::clone(&self.writing) }
    }

    /// Flushes this sink before each wait from now on.
    pub(crate) fn flush_before(&self, sink: Option<Rc<RefCell<dyn Sink + 'a>>>) {
        self.sink.replace(sink);
    }

    /// Whether the input ended because of a request, and not by itself.
    pub(crate) fn is_cut_short(&self) -> bool {
        self.is_cut_short.get()
    }

    /// Whether a request to end is the reason why a capture is cut short: this program stopped reading in
    /// the middle of a block, or the writer stopped writing, which the same Ctrl-C may have ended.
    pub(crate) fn explains(&self, error: &capture::Error) -> bool {
        let is_short = matches!(error, capture::Error::Empty | capture::Error::Truncated { .. });
        is_short && self.is_asked_to_end()
    }

    /// Ends the program by the signal that asked for it, if one did.
    pub(crate) fn end_by_signal(&self) {
        if let Some(request) = self.request.get() {
            request.end_by_signal();
        }
    }

    /// What a flush said, if it failed. The input ended there.
    pub(crate) fn failure(&self) -> Option<io::Error> {
        self.failure.take()
    }

    fn is_asked_to_end(&self) -> bool {
        self.request.get().is_some_and(EndRequest::is_made)
    }

    /// Whether that worked.
    fn flush(&self) -> bool {
        let flushed = match &*self.sink.borrow() {
            Some(sink) => sink.borrow_mut().flush(),
            None => Ok(()),
        };
        let worked = flushed.is_ok();
        if let Err(error) = flushed {
            self.failure.replace(Some(error));
        }
        worked
    }
}

/// An output that notes how long it takes.
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

/// The input.
pub(crate) struct LiveInput<'a, R> {
    source: R,
    /// A regular file: its end does not depend on a writer.
    is_file: bool,
    waiting: Rc<Waiting<'a>>,
    /// When the request to end was noticed, and how long the output had taken by then.
    asked: Option<(Instant, Duration)>,
}

impl<'a, R: Read + AsFd> LiveInput<'a, R> {
    /// From now on a request to end ends this input, and no longer the program.
    pub(crate) fn new(source: R, is_file: bool, waiting: Rc<Waiting<'a>>) -> io::Result<Self> {
        if waiting.request.get().is_none() {
            let _ = waiting.request.set(EndRequest::new()?);
        }
        Ok(Self { source, is_file, waiting, asked: None })
    }

    /// Waits for something to read. False ends the input.
    fn wait(&mut self) -> io::Result<bool> {
        self.notice_request();
        if self.is_late() {
            self.waiting.is_cut_short.set(true);
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
            let came = if self.asked.is_some() {
                readable(&self.source, None, Some(QUIET.saturating_sub(quiet_since.elapsed())))?
            } else {
                readable(&self.source, self.waiting.request.get(), None)?
            };
            if came {
                return Ok(true);
            }
            if self.notice_request() {
                quiet_since = Instant::now();
            }
            if self.asked.is_some() && quiet_since.elapsed() >= QUIET {
                self.waiting.is_cut_short.set(true);
                return Ok(false);
            }
        }
    }

    /// Takes note of a request; true the first time.
    fn notice_request(&mut self) -> bool {
        let is_new = self.asked.is_none() && self.waiting.is_asked_to_end();
        if is_new {
            self.asked = Some((Instant::now(), self.waiting.writing.get()));
        }
        is_new
    }

    /// Whether the request was made so long ago that the input ends even if more can be read.
    fn is_late(&self) -> bool {
        self.asked.is_some_and(|(asked, before)| {
            let writing = self.waiting.writing.get().saturating_sub(before);
            self.is_file || asked.elapsed().saturating_sub(writing) > AT_MOST
        })
    }
}

impl<R: Read + AsFd> Read for LiveInput<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.wait()? { self.source.read(buffer) } else { Ok(0) }
    }
}

/// Waits until something can be read, its end included, or a request to end is made.
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
        // The caller asks whether the signal was a request.
        Err(Errno::EINTR) => Ok(false),
        Err(error) => Err(error.into()),
        Ok(_) => Ok(polled[0].any().unwrap_or(true)),
    }
}
