//! An input that has to be waited for, such as a pipe: everything read before is shown first, and a
//! request to end ends it.

use std::cell::{Cell, RefCell};
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

    /// What a flush said, if it failed. The input ended there.
    pub(super) fn failure(&self) -> Option<io::Error> {
        self.failure.take()
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
    waiting: Rc<Waiting<'a>>,
    request: Rc<EndRequest>,
    is_file: bool,
    /// When the request to end was noticed.
    asked: Option<Instant>,
}

impl<'a, R: Read + AsFd> LiveInput<'a, R> {
    /// From a source of which it says whether it is a regular file, which is all there.
    pub(super) fn new(
        source: R,
        (is_file, waiting, request): (bool, Rc<Waiting<'a>>, Rc<EndRequest>),
    ) -> Self {
        Self { source, waiting, request, is_file, asked: None }
    }

    /// Waits for something to read; false if there is no use in that any more.
    fn wait(&mut self) -> io::Result<bool> {
        if self.request.is_made() && self.asked.is_none() {
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
                readable(&self.source, Some(&self.request), None)?
            };
            if came {
                return Ok(true);
            }
            if self.asked.is_none() && self.request.is_made() {
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
