//! A stream in event loops.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use super::process_stream::ProcessStream;

/// The descriptor to poll. It is readable while the stream has anything to yield, also if the last
/// call left changes queued, and when `/proc` must be read again. It can only be polled.
///
/// After it is readable, call [`try_next`](ProcessStream::try_next) until that returns `None`. The
/// descriptor may also be readable although nothing changed.
impl AsFd for ProcessStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // From now on the connector keeps its own descriptor readable while it has unread events.
        let _ = self.connector.as_fd();
        let fd = self.descriptor.expose();
        self.update_descriptor();
        fd
    }
}

impl AsRawFd for ProcessStream {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}
