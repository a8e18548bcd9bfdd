//! An input that has to be waited for, such as a pipe: everything read before is shown first, and a
//! request to end ends it.

use std::cell::{Cell, OnceCell, RefCell};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use proc_connector::program::EndRequest;

use super::sink::Sink;

/// After a request to end, how long nothing must have come. The writer at the other end may have got
/// the same request, as Ctrl-C does to a whole pipeline, and still write its last events.
const QUIET: Duration = Duration::from_secs(1);

/// How long to go on after a request to end where the writer goes on.
const AT_MOST: Duration = Duration::from_secs(3);

/// What to do before waiting, and how waiting ended: shared between an input and the loop that reads
/// it.
#[derive(Default)]
pub(super) struct Waiting<'a> {
    sink: RefCell<Option<Rc<RefCell<dyn Sink + 'a>>>>,
    failure: RefCell<Option<io::Error>>,
    /// Of an input that is there.
    request: OnceCell<EndRequest>,
    is_cut_short: Cell<bool>,
}

impl<'a> Waiting<'a> {
    /// Flushes this sink before each wait from now on.
    pub(super) fn flush_before(&self, sink: Option<Rc<RefCell<dyn Sink + 'a>>>) {
        self.sink.replace(sink);
    }

    /// Whether the input ended because of a request, and not by itself.
    pub(super) fn is_cut_short(&self) -> bool {
        self.is_cut_short.get()
    }

    /// Ends the program by the signal that asked for it, if one did.
    pub(super) fn end_by_signal(&self) {
        if let Some(request) = self.request.get() {
            request.end_by_signal();
        }
    }

    /// What a flush said, if it failed. The input ended there.
    pub(super) fn failure(&self) -> Option<io::Error> {
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

/// The input.
pub(super) struct LiveInput<'a, R> {
    source: R,
    /// Whether it is a regular file, which is all there.
    is_file: bool,
    waiting: Rc<Waiting<'a>>,
    /// When the request to end was noticed.
    asked: Option<Instant>,
}

impl<'a, R: Read + AsFd> LiveInput<'a, R> {
    /// From now on a request to end ends this input, and no longer the program.
    pub(super) fn new(source: R, is_file: bool, waiting: Rc<Waiting<'a>>) -> io::Result<Self> {
        if waiting.request.get().is_none() {
            let _ = waiting.request.set(EndRequest::new()?);
        }
        Ok(Self { source, is_file, waiting, asked: None })
    }

    /// Waits for something to read; false if there is no use in that any more.
    fn wait(&mut self) -> io::Result<bool> {
        if self.waiting.is_asked_to_end() && self.asked.is_none() {
            self.asked = Some(Instant::now());
        }
        let is_late = self.asked.is_some_and(|asked| self.is_file || asked.elapsed() > AT_MOST);
        if is_late {
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
            if self.asked.is_none() && self.waiting.is_asked_to_end() {
                quiet_since = Instant::now();
                self.asked = Some(quiet_since);
            }
            if self.asked.is_some() && quiet_since.elapsed() >= QUIET {
                self.waiting.is_cut_short.set(true);
                return Ok(false);
            }
        }
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
