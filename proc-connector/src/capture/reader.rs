//! Reading a capture.

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
use super::error::Error;
use super::format::{Format, Packets};
use super::input::Input;
use super::packet::Packet;
use crate::stream::{LossCause, Lost, Received};

/// Reads a capture: what [`Writer`](super::Writer) wrote, any other file of netlink packets (pcap or
/// pcapng), or netlink messages one after the other.
///
/// It reads as it goes, from a file, a pipe or memory, and needs no buffering around the input. It
/// keeps the largest packet in memory, 16 MiB at most, and a few bytes for each interface. The
/// byte orders of the file and of the machine that the events come from do not matter. Packets of
/// other protocols are left out, as are requests and acknowledgements.
///
/// ```no_run
/// use proc_connector::capture::Reader;
/// use proc_connector::{EventMask, Filter, ProcEvent, Received};
/// use std::fs::File;
///
/// let deaths = Filter::new(EventMask::EXIT).failures_only();
/// let mut reader = Reader::new(File::open("events.pcapng")?)?.with_filter(deaths);
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
    /// The packet being read, and how many bytes of its messages are.
    packet: Option<Packet>,
    read: usize,
    current: Current,
    /// An event of the other byte order, in this machine's.
    native: Vec<u8>,
    skipped: u64,
    cut: u64,
}

/// What a capture has next.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Recorded<'a> {
    /// An event, in the byte order of this machine, or a loss.
    pub received: Received<'a>,
    /// The time of day: of an event as the recording machine's clock had it, of a loss that of the
    /// packet after it. `None` where the capture has no times.
    pub time: Option<SystemTime>,
}

/// Where what was found is.
#[derive(Debug)]
enum Current {
    Lost(Lost),
    /// An event in the input's window.
    Window(Range<usize>),
    /// An event of so many bytes in `native`.
    Native(usize),
}

impl<R: Read> Reader<R> {
    /// Reads the start of a capture and finds out which format it has.
    ///
    /// # Errors
    ///
    /// [`Error::Empty`], [`Error::Compressed`], [`Error::OtherFile`] and [`Error::UnknownFormat`] for
    /// what is no capture, [`Error::Truncated`] for one that ends in its header, [`Error::Io`] for
    /// what the system says.
    pub fn new(input: R) -> Result<Self, Error> {
        let mut input = Input::new(input);
        let packets = Packets::open(&mut input)?;
        Ok(Self {
            input,
            packets,
            filter: Filter::default(),
            packet: None,
            read: 0,
            current: Current::Native(0),
            native: Vec::new(),
            skipped: 0,
            cut: 0,
        })
    }

    /// Leaves out the events that do not pass a filter, as a connector with it would have.
    #[must_use]
    pub fn with_filter(self, filter: Filter) -> Self {
        Self { filter, ..self }
    }

    /// The next event or loss; `None` at the end.
    ///
    /// Borrows from the reader: nothing is copied or allocated for an event.
    ///
    /// # Errors
    ///
    /// All say where in the capture. After an error [of one packet](Error::is_of_one_packet), such as
    /// [`Error::Message`], the next call goes on with the next packet, and after [`Error::Io`] it
    /// tries again. After any other, it is unknown where the next packet starts, and the capture is
    /// at its end.
    #[expect(
        clippy::should_implement_trait,
        reason = "what an iterator gives cannot borrow from it"
    )]
    #[inline]
    pub fn next(&mut self) -> Result<Option<Recorded<'_>>, Error> {
        if self.advance()? { Ok(self.current()) } else { Ok(None) }
    }

    /// Finds what comes next; false at the end.
    fn advance(&mut self) -> Result<bool, Error> {
        loop {
            let Some(packet) = &mut self.packet else {
                let Some(packet) = self.packets.next(&mut self.input)? else { return Ok(false) };
                self.skipped += u64::from(packet.is_other);
                self.packet = Some(packet);
                self.read = 0;
                continue;
            };
            if let Some(lost) = packet.lost.take() {
                self.current = Current::Lost(lost);
                return Ok(true);
            }
            let (start, len, is_cut) = (packet.messages.start, packet.len, packet.is_cut);
            if let Some(fault) = packet.fault.take() {
                self.input.consume(len);
                self.packet = None;
                self.cut += u64::from(is_cut);
                return Err(*fault);
            }
            // Most packets have one message: this spares them the search for a second.
            if self.read >= packet.messages.len() {
                self.input.consume(len);
                self.packet = None;
                continue;
            }
            match self.search() {
                Ok(Some(current)) => {
                    self.current = current;
                    return Ok(true);
                }
                Ok(None) => {
                    self.input.consume(len);
                    self.packet = None;
                }
                Err(source) => {
                    let offset = self.input.offset() + start as u64;
                    self.input.consume(len);
                    self.packet = None;
                    self.cut += u64::from(is_cut);
                    return Err(Error::Message { offset, source });
                }
            }
        }
    }

    /// Finds what the packet has next; `None` at its end.
    #[inline]
    fn search(&mut self) -> Result<Option<Current>, ParseError> {
        let Some(packet) = &self.packet else { return Ok(None) };
        let messages = self.input.bytes().get(packet.messages.clone()).unwrap_or_default();
        match byte_order::of_packet(messages) {
            Order::Native => {
                let found = search::<NativeEndian>(messages, &mut self.read, &self.filter)?;
                let start = packet.messages.start;
                Ok(found.map(|found| match found {
                    Found::Event(_, at) => Current::Window(start + at.start..start + at.end),
                    Found::Lost(lost) => Current::Lost(lost),
                }))
            }
            Order::Foreign => {
                let found = search::<Foreign>(messages, &mut self.read, &self.filter)?;
                Ok(found.map(|found| match found {
                    Found::Event(event, _) => {
                        Current::Native(byte_order::to_native(event, &mut self.native))
                    }
                    Found::Lost(lost) => Current::Lost(lost),
                }))
            }
        }
    }

    /// What was found.
    #[inline]
    fn current(&self) -> Option<Recorded<'_>> {
        let time = self.packet.as_ref().and_then(|packet| packet.time);
        let bytes = match &self.current {
            Current::Lost(lost) => return Some(Recorded { received: Received::Lost(*lost), time }),
            Current::Window(range) => self.input.bytes().get(range.clone())?,
            Current::Native(len) => self.native.get(..*len)?,
        };
        match Notifications::new(bytes).next()? {
            Ok(Notification::Event(event)) => {
                Some(Recorded { received: Received::Event(event), time })
            }
            _ => None,
        }
    }
}

impl<R> Reader<R> {
    /// The capture's format.
    pub fn format(&self) -> Format {
        self.packets.format()
    }

    /// How many bytes of the capture were read and done with.
    pub fn offset(&self) -> u64 {
        self.input.offset()
    }

    /// How many packets were left out because they are of other protocols or link types.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// How many packets could not be read because a part of them only was captured: the program that
    /// captured them had a limit for the length of a packet, a snap length.
    pub fn cut(&self) -> u64 {
        self.cut
    }
}

/// Something in a packet.
enum Found<'a, O: ByteOrder> {
    /// An event, and where among the messages it is.
    Event(Event<'a, O>, Range<usize>),
    Lost(Lost),
}

/// Finds the next event or loss from `read` on, which is moved behind it.
#[inline]
fn search<'a, O: ByteOrder + 'static>(
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
            // Not wanted, or not about processes.
            Ok(_) | Err(ParseError::UnexpectedConnector { .. }) => {}
            Err(_) if is_request::<O>(messages.get(before..*read).unwrap_or_default()) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Whether a message is what a listener sends to the kernel.
#[cold]
fn is_request<O: ByteOrder + 'static>(bytes: &[u8]) -> bool {
    let message = Messages::<O>::with_order(bytes).next();
    let Some(Ok(Kind::Data(payload))) = message.and_then(Result::ok).map(|message| message.kind())
    else {
        return false;
    };
    let Ok(cn_msg) = CnMsg::<O>::parse(payload) else { return false };
    // One that nothing follows: in a damaged event the length could say so by chance.
    let is_whole =
        payload.len() == proc_connector_core::cn_msg::HEADER_LEN + cn_msg.payload().len();
    is_whole && !matches!(Request::parse(&cn_msg), Err(ParseError::RequestLength { .. }))
}
