//! Reads a capture.

use std::io::Read;
use std::ops::Range;
use std::time::SystemTime;

use proc_connector_core::cn_msg::CnMsg;
use proc_connector_core::netlink::{Kind, Messages};
use proc_connector_core::{
    ByteOrder, Control, Event, Filter, NativeEndian, Notification, Notifications, ParseError,
    Request,
};

use super::byte_order::{self, Foreign, Order};
use super::comment;
use super::error::Error;
use super::format::{Format, Packets};
use super::input::Input;
use super::note::Note;
use super::packet::Packet;
use crate::selector::{Selector, UnknownTasks};
use crate::stream::{LossCause, Lost, Received};

/// Reads a capture: a file of [`Writer`](super::Writer), any other pcap or pcapng file of netlink
/// packets, or consecutive netlink messages.
///
/// The input can be a file, a pipe or memory, and needs no buffering. The reader keeps the largest
/// packet in memory, at most 16 MiB, and a few bytes for each interface. The byte orders of the
/// file and of the recording machine may differ from this machine's. Packets of other protocols are
/// skipped, as are requests and acknowledgements.
///
/// ```
/// use proc_connector::capture::Reader;
/// use proc_connector::{EventMask, Filter, ProcEvent, Received};
///
/// # let file = &include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/demo/build.pcapng"))[..];
/// // `file` is anything that implements `Read`.
/// let failed = Filter::new(EventMask::EXIT).failures_only();
/// let mut reader = Reader::new(file)?.with_filter(failed);
/// while let Some(recorded) = reader.next()? {
///     match recorded.received {
///         Received::Event(event) => println!("{:?} {}", recorded.time, ProcEvent::from(event)),
///         Received::Lost(lost) => println!("lost {lost}"),
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Reader<R> {
    input: Input<R>,
    packets: Packets,
    filter: Filter,
    /// Evaluates a filter with conditions on the acting task, instead of `filter`.
    selector: Option<Box<Selector>>,
    /// The current packet, and the number of bytes already read from its messages.
    packet: Option<Packet>,
    read: usize,
    current: Current,
    /// An event converted from the other byte order.
    native: Vec<u8>,
    /// The context of the current event.
    context: Vec<u8>,
    ids: comment::context::CommonIds,
    /// The notes before the current item.
    notes: Vec<Note>,
    /// The name of the machine in the last note of it.
    host: Option<Vec<u8>>,
    skipped: u64,
    cut: u64,
    unread_comments: u64,
}

/// The number of notes that are kept for an item. It exceeds the number of processes of any machine with
/// the default `pid_max`.
const MAX_NOTES: usize = 1 << 18;

/// An event or a loss from a capture.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Recorded<'a> {
    /// An event, in the byte order of this machine, or a loss.
    pub received: Received<'a>,
    /// The time of day. For an event, by the recording machine's clock; for a loss, the time of the
    /// next packet. `None` if the capture has no times.
    pub time: Option<SystemTime>,
    /// What the recorder noted before this item: apply it to a
    /// [`ProcessTable`](crate::process::ProcessTable::apply_notes) before the item.
    pub notes: &'a [Note],
}

/// The location of the current item.
#[derive(Debug)]
enum Current {
    Lost(Lost),
    /// An event at this range of the input's window.
    Window(Range<usize>),
    /// An event in the first bytes of `native`: their number.
    Native(usize),
}

impl<R: Read> Reader<R> {
    /// Opens a capture and detects its format.
    ///
    /// # Errors
    ///
    /// [`Error::Empty`], [`Error::Compressed`], [`Error::OtherFile`] and [`Error::UnknownFormat`]
    /// if the input is not a capture, [`Error::Truncated`] if it ends in its header, [`Error::Io`]
    /// if reading fails.
    pub fn new(input: R) -> Result<Self, Error> {
        let mut input = Input::new(input);
        let packets = Packets::open(&mut input)?;
        Ok(Self {
            input,
            packets,
            filter: Filter::default(),
            selector: None,
            packet: None,
            read: 0,
            current: Current::Native(0),
            native: Vec::new(),
            context: Vec::new(),
            ids: comment::context::CommonIds::default(),
            notes: Vec::new(),
            host: None,
            skipped: 0,
            cut: 0,
            unread_comments: 0,
        })
    }

    /// Skips events that do not match a filter, like a connector with this filter.
    ///
    /// Conditions on the acting task use the recorded context of each event. An event without a context
    /// can only meet those on descendants of processes given by id, on users after a change of the
    /// user, and on names after a change of the name.
    #[must_use]
    pub fn with_filter(self, filter: Filter) -> Self {
        if filter.selects_tasks() {
            let selector = Some(Box::new(Selector::new(&filter)));
            return Self { filter: Filter::default(), selector, ..self };
        }
        Self { filter, selector: None, ..self }
    }

    /// Returns the next event or loss; `None` at the end.
    ///
    /// The result borrows from the reader: no event is copied or allocated, unless its byte order
    /// is converted.
    ///
    /// # Errors
    ///
    /// Every error contains its position in the capture. After an error [of one
    /// packet](Error::is_of_one_packet), such as [`Error::Message`], the next call continues with
    /// the next packet. After [`Error::Io`], the next call retries. After any other error, the
    /// start of the next packet is unknown and the next call returns `None`.
    #[expect(
        clippy::should_implement_trait,
        reason = "the items of an iterator cannot borrow from it"
    )]
    #[inline]
    pub fn next(&mut self) -> Result<Option<Recorded<'_>>, Error> {
        self.notes.clear();
        while self.advance()? {
            if self.selector.is_none() || self.is_selected() {
                return Ok(self.current());
            }
        }
        Ok(None)
    }

    /// Whether the selector selects the current item. Losses are always selected.
    fn is_selected(&mut self) -> bool {
        let Some(mut selector) = self.selector.take() else { return true };
        let is_selected = match self.current() {
            Some(Recorded { received: Received::Event(event), .. }) => {
                selector.matches(&event, &mut UnknownTasks)
            }
            _ => true,
        };
        self.selector = Some(selector);
        is_selected
    }

    /// Advances to the next event or loss; returns false at the end.
    fn advance(&mut self) -> Result<bool, Error> {
        loop {
            let Some(packet) = &mut self.packet else {
                let Some(mut packet) = self.packets.next(&mut self.input)? else {
                    return Ok(false);
                };
                self.skipped += u64::from(packet.is_unrelated);
                self.unread_comments += u64::from(packet.unread_comments);
                if !packet.notes.is_empty() && self.notes.len() < MAX_NOTES {
                    let Self { notes, host, .. } = self;
                    notes.extend(packet.notes.drain(..).filter(|note| is_news(note, host)));
                }
                self.packet = Some(packet);
                self.read = 0;
                continue;
            };
            if let Some(lost) = packet.lost.take() {
                self.current = Current::Lost(lost);
                return Ok(true);
            }
            let (start, is_cut) = (packet.messages.start, packet.is_cut);
            let error = if let Some(fault) = packet.fault.take() {
                *fault
            } else if self.read >= packet.messages.len() {
                // Most packets have one message, and need no search for another.
                self.end_packet();
                continue;
            } else {
                match self.find_in_packet() {
                    Ok(Some(current)) => {
                        self.current = current;
                        return Ok(true);
                    }
                    Ok(None) => {
                        self.end_packet();
                        continue;
                    }
                    Err(source) => {
                        Error::Message { offset: self.input.offset() + start as u64, source }
                    }
                }
            };
            self.end_packet();
            self.cut += u64::from(is_cut);
            return Err(error);
        }
    }

    /// Moves the window behind the current packet.
    #[inline]
    fn end_packet(&mut self) {
        if let Some(packet) = self.packet.take() {
            self.input.consume(packet.len);
        }
    }

    /// Finds the next item in the current packet; `None` at its end.
    #[inline]
    fn find_in_packet(&mut self) -> Result<Option<Current>, ParseError> {
        let Some(packet) = &mut self.packet else { return Ok(None) };
        self.context.clear();
        let messages = self.input.bytes().get(packet.messages.clone()).unwrap_or_default();
        let start = packet.messages.start;
        match byte_order::detect_packet_order(messages) {
            Order::Native => match find::<NativeEndian>(messages, &mut self.read, &self.filter)? {
                Some(Found::Event(event, at)) => {
                    let time = event.timestamp_ns();
                    self.find_context(time);
                    Ok(Some(Current::Window(start + at.start..start + at.end)))
                }
                Some(Found::Lost(lost)) => Ok(Some(Current::Lost(lost))),
                None => Ok(None),
            },
            Order::Foreign => match find::<Foreign>(messages, &mut self.read, &self.filter)? {
                Some(Found::Event(event, _)) => {
                    let time = event.timestamp_ns();
                    let len = byte_order::to_native(event, &mut self.native);
                    self.find_context(time);
                    Ok(Some(Current::Native(len)))
                }
                Some(Found::Lost(lost)) => Ok(Some(Current::Lost(lost))),
                None => Ok(None),
            },
        }
    }

    /// Reads the context of the first event of the current packet, which happened at `time`.
    #[inline]
    fn find_context(&mut self, time: u64) {
        let Some(packet) = &mut self.packet else { return };
        if packet.context.is_empty() {
            return;
        }
        let comment = std::mem::take(&mut packet.context);
        let comment = self.input.bytes().get(comment).unwrap_or_default();
        if comment::context::read(comment, time, &mut self.ids, &mut self.context).is_none() {
            self.context.clear();
            self.unread_comments += 1;
        }
    }

    /// The current item.
    #[inline]
    fn current(&self) -> Option<Recorded<'_>> {
        let time = self.packet.as_ref().and_then(|packet| packet.time);
        let notes = &self.notes;
        let bytes = match &self.current {
            Current::Lost(lost) => {
                return Some(Recorded { received: Received::Lost(*lost), time, notes });
            }
            Current::Window(range) => self.input.bytes().get(range.clone())?,
            Current::Native(len) => self.native.get(..*len)?,
        };
        match Notifications::new(bytes).next()? {
            Ok(Notification::Event(event)) => {
                let received = Received::Event(event.with_context(&self.context));
                Some(Recorded { received, time, notes })
            }
            _ => None,
        }
    }
}

impl<R> Reader<R> {
    /// The format of the capture.
    pub fn format(&self) -> Format {
        self.packets.format()
    }

    /// The number of bytes already processed.
    pub fn offset(&self) -> u64 {
        self.input.offset()
    }

    /// The number of packets skipped because they belong to other protocols or link types.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// The number of comments with contexts or notes that could not be read: they are damaged, or of
    /// another version of the format. Their events are complete otherwise.
    pub fn unread_comments(&self) -> u64 {
        self.unread_comments
    }

    /// The number of packets that could not be read because the capturing program truncated them to
    /// its snap length.
    pub fn cut(&self) -> u64 {
        self.cut
    }
}

/// An item in a packet.
enum Found<'a, O: ByteOrder> {
    /// An event, and its range in the messages.
    Event(Event<'a, O>, Range<usize>),
    Lost(Lost),
}

/// Finds the next event or loss at or after `read`, and moves `read` behind it.
#[inline]
fn find<'a, O: ByteOrder + 'static>(
    messages: &'a [u8],
    read: &mut usize,
    filter: &Filter,
) -> Result<Option<Found<'a, O>>, ParseError> {
    let start = *read;
    let mut notifications =
        Notifications::<O>::with_order(messages.get(start..).unwrap_or_default());
    loop {
        let before = start + notifications.offset();
        let Some(notification) = notifications.next() else { return Ok(None) };
        *read = start + notifications.offset();
        match notification {
            Ok(Notification::Event(event)) if filter.matches(&event) => {
                return Ok(Some(Found::Event(event, before..*read)));
            }
            Ok(Notification::Control(Control::Overrun)) => {
                let lost = Lost { count: None, cause: LossCause::Overrun };
                return Ok(Some(Found::Lost(lost)));
            }
            // Excluded by the filter, or not a message about processes.
            Ok(_) | Err(ParseError::UnexpectedConnector { .. }) => {}
            Err(_) if is_request::<O>(messages.get(before..*read).unwrap_or_default()) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Whether a note is to be reported. A copy of a recording names the machine in its section, and again
/// in the note that was copied.
fn is_news(note: &Note, host: &mut Option<Vec<u8>>) -> bool {
    let Some(name) = note.host() else { return true };
    if host.as_deref() == Some(name) {
        return false;
    }
    *host = Some(name.to_vec());
    true
}

/// Whether a message is a request, which listeners send to the kernel.
#[cold]
fn is_request<O: ByteOrder + 'static>(bytes: &[u8]) -> bool {
    let message = Messages::<O>::with_order(bytes).next();
    let Some(Ok(Kind::Data(payload))) = message.and_then(Result::ok).map(|message| message.kind())
    else {
        return false;
    };
    let Ok(cn_msg) = CnMsg::<O>::parse(payload) else { return false };
    // Requires the exact length: the length field of a damaged event could match by chance.
    let is_whole =
        payload.len() == proc_connector_core::cn_msg::HEADER_LEN + cn_msg.payload().len();
    is_whole && !matches!(Request::parse(&cn_msg), Err(ParseError::RequestLength { .. }))
}
