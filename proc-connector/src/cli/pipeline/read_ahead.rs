//! Reads a recording in a thread of its own, while another thread shows the events.

use std::collections::VecDeque;
use std::io::Read;
use std::panic;
use std::sync::mpsc::{Receiver, SendError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::SystemTime;

use proc_connector::capture::{Error, Note, Reader};
use proc_connector::parser::{Notification, Notifications};
use proc_connector::{Lost, Received};

use super::records::{Counts, Record, Records};

/// The size of a batch, in bytes of events: large enough that passing it on costs little for an event,
/// and small enough that a batch stays in the processor's cache.
const BATCH: usize = 128 << 10;

/// The number of items of a batch. Those that are not events have no bytes.
const MAX_ITEMS: usize = 2048;

/// The number of batches that may wait for the thread that shows them.
const WAITING: usize = 4;

/// Items that were read ahead, in order.
#[derive(Debug, Default)]
struct Batch {
    /// The datagrams and contexts of the events.
    bytes: Vec<u8>,
    items: Vec<Item>,
    /// What few items have, in order.
    extras: VecDeque<Extra>,
}

#[derive(Debug)]
struct Item {
    kind: Kind,
    time: Option<SystemTime>,
    has_extra: bool,
}

/// The notes before an item, and the counts after it.
#[derive(Debug, Default)]
struct Extra {
    notes: Vec<Note>,
    counts: Counts,
}

#[derive(Debug)]
enum Kind {
    /// An event, with the ends of its datagram and of its context in the bytes of the batch.
    Event(usize, usize),
    Lost(Lost),
    Failed(Option<Error>),
    End,
}

/// Records that another thread reads.
#[derive(Debug)]
pub(super) struct ReadAhead {
    batches: Receiver<Batch>,
    /// Returns batches to the reader, which uses their memory again.
    used: SyncSender<Batch>,
    thread: Option<JoinHandle<()>>,
    batch: Batch,
    /// The number of items of the batch that were taken, and the end of their bytes.
    taken: usize,
    start: usize,
    /// The notes before the last item, and the counts after it.
    extra: Extra,
}

impl ReadAhead {
    /// Starts to read. Returns the reader if no thread can be started.
    pub(super) fn new<R: Read + Send + 'static>(reader: Reader<R>) -> Result<Self, Box<Reader<R>>> {
        let reader = Box::new(reader);
        let (sender, batches) = sync_channel(WAITING);
        let (used, returned) = sync_channel(WAITING + 2);
        let (give, given) = sync_channel::<Box<Reader<R>>>(1);
        let read = move || {
            if let Ok(reader) = given.recv() {
                read(*reader, &sender, &returned);
            }
        };
        let Ok(thread) = thread::Builder::new().name("reader".to_owned()).spawn(read) else {
            return Err(reader);
        };
        give.send(reader).map_err(|SendError(reader)| reader)?;
        Ok(Self {
            batches,
            used,
            thread: Some(thread),
            batch: Batch::default(),
            taken: 0,
            start: 0,
            extra: Extra::default(),
        })
    }

    /// Receives the next batch. Returns false at the end.
    #[cold]
    fn receive(&mut self) -> bool {
        let Ok(batch) = self.batches.recv() else {
            if let Some(Err(cause)) = self.thread.take().map(JoinHandle::join) {
                panic::resume_unwind(cause);
            }
            return false;
        };
        let used = std::mem::replace(&mut self.batch, batch);
        // Memory that is not used again is freed.
        let _ = self.used.try_send(used);
        (self.taken, self.start) = (0, 0);
        true
    }
}

impl Records for ReadAhead {
    #[inline]
    fn next(&mut self) -> Result<Option<Record<'_>>, Error> {
        while self.taken == self.batch.items.len() {
            if !self.receive() {
                return Ok(None);
            }
        }
        let Self { batch: Batch { bytes, items, extras }, taken, start, extra, .. } = self;
        let item = &mut items[*taken];
        *taken += 1;
        if let Some(own) = if item.has_extra { extras.pop_front() } else { None } {
            *extra = own;
        } else if !extra.notes.is_empty() {
            extra.notes.clear();
        }
        let received = match &mut item.kind {
            Kind::Event(datagram, end) => {
                let all = bytes.get(*start..*end).unwrap_or_default();
                let (datagram, context) = all.split_at((*datagram - *start).min(all.len()));
                *start = *end;
                match Notifications::new(datagram).next() {
                    Some(Ok(Notification::Event(event))) => {
                        Received::Event(event.with_context(context))
                    }
                    _ => return Ok(None),
                }
            }
            Kind::Lost(lost) => Received::Lost(*lost),
            Kind::Failed(error) => return error.take().map_or(Ok(None), Err),
            Kind::End => return Ok(None),
        };
        Ok(Some(Record { received, time: item.time, notes: &extra.notes }))
    }

    #[inline]
    fn counts(&self) -> Counts {
        self.extra.counts
    }
}

/// Reads batches until the end of the recording, damage, or the end of the receiver.
fn read(mut reader: Reader<impl Read>, batches: &SyncSender<Batch>, returned: &Receiver<Batch>) {
    let (mut batch, mut counts) = (Batch::default(), Counts::default());
    loop {
        let is_last = batch.add(&mut reader, &mut counts);
        if is_last || batch.bytes.len() >= BATCH || batch.items.len() >= MAX_ITEMS {
            if batches.send(batch).is_err() || is_last {
                return;
            }
            batch = returned.try_recv().unwrap_or_default();
            batch.clear();
        }
    }
}

impl Batch {
    fn clear(&mut self) {
        self.bytes.clear();
        self.items.clear();
        self.extras.clear();
    }

    /// Adds the next item. Returns whether it is the last.
    #[inline]
    fn add(&mut self, reader: &mut Reader<impl Read>, counts: &mut Counts) -> bool {
        let (mut time, mut notes) = (None, Vec::new());
        let kind = match reader.next() {
            Ok(Some(recorded)) => {
                time = recorded.time;
                notes.extend_from_slice(recorded.notes);
                self.kind(&recorded.received)
            }
            Ok(None) => Kind::End,
            Err(error) => Kind::Failed(Some(error)),
        };
        let is_last = match &kind {
            Kind::Failed(error) => error.as_ref().is_none_or(|error| !error.is_of_one_packet()),
            kind => matches!(kind, Kind::End),
        };
        let has_extra = !notes.is_empty() || reader.counts() != *counts;
        if has_extra {
            *counts = reader.counts();
            self.extras.push_back(Extra { notes, counts: *counts });
        }
        self.items.push(Item { kind, time, has_extra });
        is_last
    }

    #[inline]
    fn kind(&mut self, received: &Received<'_>) -> Kind {
        let event = match received {
            Received::Event(event) => event,
            Received::Lost(lost) => return Kind::Lost(*lost),
        };
        let start = self.bytes.len();
        self.bytes.resize(start + event.encoded_len(), 0);
        if event.encode(&mut self.bytes[start..]).is_err() {
            // The buffer is large enough.
            return Kind::End;
        }
        let datagram = self.bytes.len();
        if let Some(context) = event.context() {
            self.bytes.extend_from_slice(context.bytes());
        }
        Kind::Event(datagram, self.bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use proc_connector::capture::Reader;

    use super::ReadAhead;
    use crate::cli::pipeline::records::Records;

    /// All items as text: of a reader, and of a thread that reads ahead.
    fn items(mut records: impl Records) -> Vec<String> {
        let mut items = Vec::new();
        loop {
            let item = match records.next() {
                Ok(None) => {
                    items.push(format!("{:?}", records.counts()));
                    return items;
                }
                Ok(Some(record)) => {
                    let context = match record.received {
                        proc_connector::Received::Event(event) => {
                            event.context().map(|context| context.bytes().to_vec())
                        }
                        proc_connector::Received::Lost(_) => None,
                    };
                    format!("{record:?} {context:?}")
                }
                Err(error) => format!("{error:?}"),
            };
            items.push(format!("{item} {:?}", records.counts()));
        }
    }

    fn ahead(file: impl Read + Send + 'static) -> ReadAhead {
        let reader = Reader::new(file).unwrap_or_else(|error| panic!("{error}"));
        ReadAhead::new(reader).unwrap_or_else(|_| panic!("a thread"))
    }

    #[test]
    fn items_are_the_same_and_in_the_same_order() {
        let demo = include_bytes!("../../../demo/build.pcapng");
        // Several batches, with notes at the start of each section.
        let whole = demo.repeat(200);
        let mut damaged = whole.clone();
        // Bytes in the middle of packets, and of a length that hides all later packets.
        for place in (5_000..whole.len() / 2).step_by(4_999) {
            damaged[place] ^= 0x55;
        }
        let cut = whole[..whole.len() - 7].to_vec();
        for file in [whole, damaged, cut] {
            let expected = items(Reader::new(&file[..]).expect("a capture"));
            assert_eq!(items(ahead(std::io::Cursor::new(file))), expected);
        }
    }

    #[test]
    fn the_thread_ends_with_its_receiver() {
        let file = std::io::repeat(0).take(0);
        let demo = include_bytes!("../../../demo/build.pcapng").repeat(1_000);
        let mut records = ahead(std::io::Cursor::new(demo).chain(file));
        assert!(records.next().expect("no damage").is_some());
        let thread = records.thread.take().expect("it runs");
        drop(records);
        thread.join().expect("no panic");
    }
}
