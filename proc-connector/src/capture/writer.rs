//! Writes a capture.

use std::borrow::Cow;
use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::blocks::interface_statistics::{
    InterfaceStatisticsBlock, InterfaceStatisticsOption,
};
use pcap_file::pcapng::blocks::section_header::{SectionHeaderBlock, SectionHeaderOption};
use pcap_file::{DataLink, Endianness, PcapError};
use proc_connector_core::Event;

use super::comment::context::ContextWriter;
use super::loss;
use super::note::Note;
use super::origin::{Origin, RECORDED_ON};
use super::packet_block::{self, PacketBlock};
use crate::stream::{Lost, Received};

/// The number of bytes collected before they are written: more than a batch of a busy machine, because
/// two writes cost more than one of the same length.
const BUFFER: usize = 128 << 10;

/// The number of bytes of notes that a packet has. Readers have limits for packets.
const MAX_NOTES: usize = 32 << 10;

/// The maximum length of a text of an [`Origin`], in bytes.
const MAX_TEXT: usize = 1024;

/// `if_tsresol`: nanoseconds.
const NANOSECONDS: u8 = 9;

/// Records events and losses as a pcapng file.
///
/// The output receives whole blocks only. If the program is killed, the file can be read at least
/// up to the last [`flush`](Self::flush). The output needs no buffering.
///
/// ```no_run
/// use proc_connector::capture::Writer;
/// use proc_connector::{ProcConnector, Received, WallClock};
/// use std::fs::File;
/// use std::time::SystemTime;
///
/// let mut events = ProcConnector::builder().open()?;
/// let mut writer = Writer::new(File::create("events.pcapng")?)?;
/// for _ in 0..100 {
///     let batch = events.recv_batch()?;
///     let clock = WallClock::new();
///     for received in batch {
///         let time = match received {
///             Received::Event(event) => clock.time(event.timestamp_ns()),
///             Received::Lost(_) => SystemTime::now(),
///         };
///         writer.write(&received, time)?;
///     }
///     writer.flush()?;
/// }
/// writer.finish()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Writer<W: Write> {
    /// Whole blocks that are not yet written.
    blocks: PcapNgWriter<Vec<u8>>,
    output: W,
    /// A loss not yet written: the next packet or statistics block reports it.
    pending: Option<(Lost, SystemTime)>,
    /// The comments of notes that are not yet written, as options.
    notes: Vec<u8>,
    /// Whether these notes list processes.
    has_list: bool,
    /// The number of packets without an event.
    empty_packets: u32,
    contexts: ContextWriter,
    events: u64,
    lost: u64,
    /// The number of bytes that the output received.
    written: u64,
    /// The time of the last item.
    time: SystemTime,
}

impl<W: Write> Writer<W> {
    /// Starts a capture, with a description of this machine.
    ///
    /// # Errors
    ///
    /// Errors of the output.
    pub fn new(output: W) -> io::Result<Self> {
        Self::with_origin(output, &Origin::this_machine())
    }

    /// Starts a capture with the given origin.
    ///
    /// # Errors
    ///
    /// Errors of the output.
    pub fn with_origin(output: W, origin: &Origin) -> io::Result<Self> {
        let mut blocks =
            PcapNgWriter::with_section_header(Vec::with_capacity(BUFFER), section(origin))
                .map_err(into_io)?;
        blocks.write_pcapng_block(interface(origin)).map_err(into_io)?;
        let mut writer = Self {
            blocks,
            output,
            pending: None,
            notes: Vec::new(),
            has_list: false,
            empty_packets: 0,
            contexts: ContextWriter::default(),
            events: 0,
            lost: 0,
            written: 0,
            time: SystemTime::UNIX_EPOCH,
        };
        writer.flush()?;
        Ok(writer)
    }

    /// Records an event or a loss that happened at `time`, the time of day.
    ///
    /// # Errors
    ///
    /// Errors of the output. The capture then ends where writing failed.
    pub fn write(&mut self, received: &Received<'_>, time: SystemTime) -> io::Result<()> {
        match received {
            Received::Event(event) => self.write_event(event, time)?,
            Received::Lost(lost) => self.add_loss(*lost, time)?,
        }
        self.time = time;
        if self.blocks.get_ref().len() >= BUFFER { self.write_out() } else { Ok(()) }
    }

    /// The number of bytes of the capture so far, including those that are not yet written.
    pub fn len(&self) -> u64 {
        self.written + self.blocks.get_ref().len() as u64
    }

    /// Whether the capture has no event and no loss.
    pub fn is_empty(&self) -> bool {
        self.events == 0 && self.lost == 0 && self.pending.is_none()
    }

    /// Records a note that was made at `time`, the time of day: before the events that are recorded
    /// later.
    ///
    /// # Errors
    ///
    /// Errors of the output. The capture then ends where writing failed.
    pub fn write_note(&mut self, note: &Note, time: SystemTime) -> io::Result<()> {
        if let Some((lost, time)) = self.pending.take() {
            // The loss precedes the note.
            self.empty_packets = self.empty_packets.wrapping_add(1);
            let mut block =
                PacketBlock::empty(self.blocks.get_mut(), since_epoch(time), self.empty_packets);
            add_loss_options(&mut block, &lost);
            block.finish();
        }
        let is_list = note.is_list();
        if self.has_list && !is_list {
            self.write_pending_notes(time);
        }
        self.has_list = is_list;
        packet_block::comment_option(&mut self.notes, |out| note.write(out));
        if self.notes.len() < MAX_NOTES {
            return Ok(());
        }
        self.write_pending_notes(time);
        if self.blocks.get_ref().len() >= BUFFER { self.write_out() } else { Ok(()) }
    }

    /// Writes everything recorded so far to the output.
    ///
    /// # Errors
    ///
    /// Errors of the output.
    pub fn flush(&mut self) -> io::Result<()> {
        self.write_pending_notes(self.time);
        self.write_pending_loss()?;
        self.write_out()?;
        self.output.flush()
    }

    /// Writes everything recorded so far, and the totals, which end the capture.
    ///
    /// # Errors
    ///
    /// Errors of the output.
    pub fn finish(mut self) -> io::Result<()> {
        self.write_pending_notes(self.time);
        self.write_pending_loss()?;
        self.write_statistics(self.time, None)?;
        self.write_out()?;
        self.output.flush()
    }

    fn write_event(&mut self, event: &Event<'_>, time: SystemTime) -> io::Result<()> {
        if self.has_list {
            // A list has packets of its own, so that it can be left out of a copy.
            self.write_pending_notes(time);
        }
        let out = self.blocks.get_mut();
        let mut block = PacketBlock::new(out, since_epoch(time), |out| {
            let start = out.len();
            out.resize(start + event.encoded_len(), 0);
            event.encode(&mut out[start..]).map(|_| ())
        })
        .map_err(io::Error::other)?;
        if let Some((lost, _)) = self.pending.take() {
            add_loss_options(&mut block, &lost);
        }
        if !self.notes.is_empty() {
            block.options(&self.notes);
            self.notes.clear();
        }
        block.comment(|out| self.contexts.write(event, out));
        block.finish();
        self.events += 1;
        Ok(())
    }

    /// Writes the pending notes in a packet without an event.
    fn write_pending_notes(&mut self, time: SystemTime) {
        if !self.notes.is_empty() {
            self.empty_packets = self.empty_packets.wrapping_add(1);
            let mut block =
                PacketBlock::empty(self.blocks.get_mut(), since_epoch(time), self.empty_packets);
            block.options(&self.notes);
            block.finish();
            self.notes.clear();
            self.has_list = false;
        }
    }

    fn add_loss(&mut self, lost: Lost, time: SystemTime) -> io::Result<()> {
        self.write_pending_notes(time);
        // A packet can report only one loss.
        self.write_pending_loss()?;
        self.lost = self.lost.saturating_add(lost.count.unwrap_or_default());
        self.pending = Some((lost, time));
        Ok(())
    }

    /// Writes the pending loss in a statistics block.
    fn write_pending_loss(&mut self) -> io::Result<()> {
        match self.pending.take() {
            Some((lost, time)) => self.write_statistics(time, Some(loss::comment(&lost))),
            None => Ok(()),
        }
    }

    fn write_statistics(&mut self, time: SystemTime, comment: Option<String>) -> io::Result<()> {
        let timestamp = u64::try_from(since_epoch(time).as_nanos()).unwrap_or(u64::MAX);
        let mut options = vec![
            InterfaceStatisticsOption::IsbIfRecv(self.events.saturating_add(self.lost)),
            InterfaceStatisticsOption::IsbIfDrop(self.lost),
        ];
        options.extend(comment.map(|comment| InterfaceStatisticsOption::Comment(comment.into())));
        let block = InterfaceStatisticsBlock {
            interface_id: 0,
            // In both byte orders, the format stores the upper half first. `pcap_file` writes a
            // 64-bit integer.
            timestamp: match Endianness::native() {
                Endianness::Big => timestamp,
                Endianness::Little => timestamp.rotate_left(32),
            },
            options,
        };
        self.blocks.write_pcapng_block(block).map_err(into_io)?;
        Ok(())
    }

    fn write_out(&mut self) -> io::Result<()> {
        let blocks = self.blocks.get_mut();
        let written = self.output.write_all(blocks);
        self.written += blocks.len() as u64;
        // After a partial write, writing the blocks again would repeat some of their bytes.
        blocks.clear();
        written
    }
}

/// Writes everything recorded so far, without the totals. [`finish`](Self::finish) writes the
/// totals and reports errors.
impl<W: Write> Drop for Writer<W> {
    fn drop(&mut self) {
        // The panic may come from the output.
        if !std::thread::panicking() {
            let _ = self.flush();
        }
    }
}

impl<W: Write> std::fmt::Debug for Writer<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer")
            .field("events", &self.events)
            .field("lost", &self.lost)
            .finish_non_exhaustive()
    }
}

fn add_loss_options(block: &mut PacketBlock<'_>, lost: &Lost) {
    if let Some(count) = lost.count {
        block.drop_count(count);
    }
    block.comment(|out| {
        out.extend_from_slice(loss::comment(lost).as_bytes());
        true
    });
}

fn section(origin: &Origin) -> SectionHeaderBlock<'static> {
    let mut options = Vec::new();
    if let Some(host) = &origin.host {
        options.push(SectionHeaderOption::Comment(text(&format!("{RECORDED_ON}{host}"))));
    }
    options.extend(origin.hardware.as_deref().map(|it| SectionHeaderOption::Hardware(text(it))));
    options.extend(origin.os.as_deref().map(|it| SectionHeaderOption::OS(text(it))));
    let application = origin.application.as_deref();
    options.extend(application.map(|it| SectionHeaderOption::UserApplication(text(it))));
    SectionHeaderBlock { endianness: Endianness::native(), options, ..Default::default() }
}

fn interface(origin: &Origin) -> InterfaceDescriptionBlock<'static> {
    let description = "process events of the netlink connector";
    let mut options = vec![
        InterfaceDescriptionOption::IfName("cn_proc".into()),
        InterfaceDescriptionOption::IfDescription(description.into()),
        InterfaceDescriptionOption::IfTsResol(NANOSECONDS),
    ];
    if let Some(filter) = &origin.filter {
        // The first byte marks the filter as a text.
        let filter = [&[0], text(filter).as_bytes()].concat();
        options.push(InterfaceDescriptionOption::IfFilter(filter.into()));
    }
    options.extend(origin.os.as_deref().map(|it| InterfaceDescriptionOption::IfOs(text(it))));
    InterfaceDescriptionBlock { linktype: DataLink::NETLINK, snaplen: 0, options }
}

/// The longest prefix of a text that fits into an option, whose length has 16 bits.
fn text(text: &str) -> Cow<'static, str> {
    let fits = (0..=text.len().min(MAX_TEXT)).rev().find(|&end| text.is_char_boundary(end));
    text[..fits.unwrap_or_default()].to_owned().into()
}

#[inline]
fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

fn into_io(error: PcapError) -> io::Error {
    match error {
        PcapError::IoError(error) => error,
        other => io::Error::other(other),
    }
}
