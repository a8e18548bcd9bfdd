//! Events as plain values, and their datagrams as the kernel writes them, for tests, replay and
//! fuzzing.

use core::mem::size_of;

use proc_connector_sys as sys;
use zerocopy::IntoBytes;
use zerocopy::byteorder::{ByteOrder, NativeEndian, U32};

use crate::cn_msg::CnMsgHdr;
use crate::error::EncodeError;
use crate::proc_event::{self, Ack, EVENT_DATA_LEN, Event, Headers, Payload, ProcEventHdr};

/// An event as plain values, independent of a byte order. An [`Event`] converts to it.
///
/// ```
/// use proc_connector_core::{BigEndian, EventData, EventRecord, Notification, Notifications};
///
/// let record = EventRecord {
///     seq: 1,
///     cpu: 0,
///     timestamp_ns: 5,
///     data: EventData::Exec { process_pid: 7, process_tgid: 7 },
/// };
/// let mut datagram = [0; EventRecord::MAX_KERNEL_LEN];
/// let len = record.encode::<BigEndian>(&mut datagram)?;
///
/// let mut read = Notifications::<BigEndian>::with_order(&datagram[..len]);
/// let Some(Ok(Notification::Event(event))) = read.next() else { panic!("an event") };
/// assert_eq!(EventRecord::from(event), record);
/// # Ok::<(), proc_connector_core::EncodeError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_structs)]
pub struct EventRecord<'a> {
    /// [`Event::seq`].
    pub seq: u32,
    /// [`Event::cpu`].
    pub cpu: u32,
    /// [`Event::timestamp_ns`].
    pub timestamp_ns: u64,
    /// The fields of the event, by kind.
    pub data: EventData<'a>,
}

/// The fields of an event as plain values, under the kernel's names.
///
/// The views in [`proc_event`] describe each field. A parent id of 0 means that the parent is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum EventData<'a> {
    /// [`proc_event::Fork`].
    Fork { parent_pid: u32, parent_tgid: u32, child_pid: u32, child_tgid: u32 },
    /// [`proc_event::Exec`].
    Exec { process_pid: u32, process_tgid: u32 },
    /// [`proc_event::Uid`].
    Uid { process_pid: u32, process_tgid: u32, ruid: u32, euid: u32 },
    /// [`proc_event::Gid`].
    Gid { process_pid: u32, process_tgid: u32, rgid: u32, egid: u32 },
    /// [`proc_event::Sid`].
    Sid { process_pid: u32, process_tgid: u32 },
    /// [`proc_event::Ptrace`].
    Ptrace { process_pid: u32, process_tgid: u32, tracer_pid: u32, tracer_tgid: u32 },
    /// [`proc_event::Comm`].
    Comm { process_pid: u32, process_tgid: u32, comm: [u8; 16] },
    /// [`proc_event::Coredump`].
    Coredump { process_pid: u32, process_tgid: u32, parent_pid: u32, parent_tgid: u32 },
    /// [`proc_event::Exit`].
    Exit {
        process_pid: u32,
        process_tgid: u32,
        exit_code: u32,
        exit_signal: u32,
        parent_pid: u32,
        parent_tgid: u32,
    },
    /// A kind that this crate does not know: its bit and the bytes of the union.
    Unknown { what: u32, data: &'a [u8] },
}

impl EventRecord<'_> {
    /// The length of the datagram of a named kind, in bytes.
    pub const MAX_KERNEL_LEN: usize = Headers::<NativeEndian>::LEN + EVENT_DATA_LEN;

    /// Writes the datagram in the host's byte order and returns its length in bytes.
    ///
    /// # Errors
    ///
    /// As [`encode`](Self::encode).
    pub fn encode_native(&self, buffer: &mut [u8]) -> Result<usize, EncodeError> {
        self.encode::<NativeEndian>(buffer)
    }

    /// Writes the datagram in the byte order `O` and returns its length in bytes.
    ///
    /// The union is zero-filled after the struct of a named kind, as in the kernel's datagrams. The
    /// union of an unknown kind has only the bytes given.
    ///
    /// # Errors
    ///
    /// [`EncodeError::BufferTooSmall`] if `buffer` cannot hold the datagram, and
    /// [`EncodeError::DataTooLong`] or [`EncodeError::KnownKind`] for an [`EventData::Unknown`] that
    /// no datagram can express.
    pub fn encode<O: ByteOrder>(&self, buffer: &mut [u8]) -> Result<usize, EncodeError> {
        let words = |values: &[u32]| words::<O>(values);
        match self.data {
            EventData::Fork { parent_pid, parent_tgid, child_pid, child_tgid } => {
                let data = words(&[parent_pid, parent_tgid, child_pid, child_tgid]);
                self.write::<O>(sys::PROC_EVENT_FORK, &data, buffer)
            }
            EventData::Exec { process_pid, process_tgid } => {
                self.write::<O>(sys::PROC_EVENT_EXEC, &words(&[process_pid, process_tgid]), buffer)
            }
            EventData::Uid { process_pid, process_tgid, ruid, euid } => {
                let data = words(&[process_pid, process_tgid, ruid, euid]);
                self.write::<O>(sys::PROC_EVENT_UID, &data, buffer)
            }
            EventData::Gid { process_pid, process_tgid, rgid, egid } => {
                let data = words(&[process_pid, process_tgid, rgid, egid]);
                self.write::<O>(sys::PROC_EVENT_GID, &data, buffer)
            }
            EventData::Sid { process_pid, process_tgid } => {
                self.write::<O>(sys::PROC_EVENT_SID, &words(&[process_pid, process_tgid]), buffer)
            }
            EventData::Ptrace { process_pid, process_tgid, tracer_pid, tracer_tgid } => {
                let data = words(&[process_pid, process_tgid, tracer_pid, tracer_tgid]);
                self.write::<O>(sys::PROC_EVENT_PTRACE, &data, buffer)
            }
            EventData::Comm { process_pid, process_tgid, comm } => {
                let mut data = words(&[process_pid, process_tgid]);
                data[8..].copy_from_slice(&comm);
                self.write::<O>(sys::PROC_EVENT_COMM, &data, buffer)
            }
            EventData::Coredump { process_pid, process_tgid, parent_pid, parent_tgid } => {
                let data = words(&[process_pid, process_tgid, parent_pid, parent_tgid]);
                self.write::<O>(sys::PROC_EVENT_COREDUMP, &data, buffer)
            }
            EventData::Exit {
                process_pid,
                process_tgid,
                exit_code,
                exit_signal,
                parent_pid,
                parent_tgid,
            } => {
                #[rustfmt::skip]
                let data = words(&[
                    process_pid, process_tgid, exit_code, exit_signal, parent_pid, parent_tgid,
                ]);
                self.write::<O>(sys::PROC_EVENT_EXIT, &data, buffer)
            }
            EventData::Unknown { what, data } => {
                if what == sys::PROC_EVENT_NONE || is_named(what) {
                    return Err(EncodeError::KnownKind { what });
                }
                self.write::<O>(what, data, buffer)
            }
        }
    }

    fn write<O: ByteOrder>(
        &self,
        what: u32,
        data: &[u8],
        buffer: &mut [u8],
    ) -> Result<usize, EncodeError> {
        let cn_msg = CnMsgHdr::proc_events(self.seq, 0, payload_len(data)?);
        let event = ProcEventHdr::new(what, self.cpu, self.timestamp_ns);
        Headers::<O>::new(cn_msg, event).emit(data, buffer)
    }
}

impl Ack {
    /// Writes the acknowledgement as the kernel multicasts it, and returns its length in bytes.
    ///
    /// # Errors
    ///
    /// [`EncodeError::BufferTooSmall`] if `buffer` cannot hold the datagram.
    pub fn encode<O: ByteOrder>(&self, buffer: &mut [u8]) -> Result<usize, EncodeError> {
        let data = words::<O>(&[self.err]);
        let cn_msg = CnMsgHdr::proc_events(self.seq, self.ack, payload_len(&data)?);
        let event = ProcEventHdr::new(sys::PROC_EVENT_NONE, self.cpu, 0);
        Headers::<O>::new(cn_msg, event).emit(&data, buffer)
    }
}

/// Copies the values of an event, for example to write it in another byte order.
impl<'a, O: ByteOrder> From<Event<'a, O>> for EventRecord<'a> {
    fn from(event: Event<'a, O>) -> Self {
        let data = match event.payload() {
            Payload::Fork(fork) => EventData::Fork {
                parent_pid: fork.parent_pid(),
                parent_tgid: fork.parent_tgid(),
                child_pid: fork.child_pid(),
                child_tgid: fork.child_tgid(),
            },
            Payload::Exec(exec) => EventData::Exec {
                process_pid: exec.process_pid(),
                process_tgid: exec.process_tgid(),
            },
            Payload::Uid(uid) => EventData::Uid {
                process_pid: uid.process_pid(),
                process_tgid: uid.process_tgid(),
                ruid: uid.ruid(),
                euid: uid.euid(),
            },
            Payload::Gid(gid) => EventData::Gid {
                process_pid: gid.process_pid(),
                process_tgid: gid.process_tgid(),
                rgid: gid.rgid(),
                egid: gid.egid(),
            },
            Payload::Sid(sid) => {
                EventData::Sid { process_pid: sid.process_pid(), process_tgid: sid.process_tgid() }
            }
            Payload::Ptrace(ptrace) => EventData::Ptrace {
                process_pid: ptrace.process_pid(),
                process_tgid: ptrace.process_tgid(),
                tracer_pid: ptrace.tracer_pid(),
                tracer_tgid: ptrace.tracer_tgid(),
            },
            Payload::Comm(comm) => EventData::Comm {
                process_pid: comm.process_pid(),
                process_tgid: comm.process_tgid(),
                comm: *comm.comm(),
            },
            Payload::Coredump(dump) => EventData::Coredump {
                process_pid: dump.process_pid(),
                process_tgid: dump.process_tgid(),
                parent_pid: dump.parent_pid().unwrap_or_default(),
                parent_tgid: dump.parent_tgid().unwrap_or_default(),
            },
            Payload::Exit(exit) => EventData::Exit {
                process_pid: exit.process_pid(),
                process_tgid: exit.process_tgid(),
                exit_code: exit.exit_code(),
                exit_signal: exit.exit_signal(),
                parent_pid: exit.parent_pid().unwrap_or_default(),
                parent_tgid: exit.parent_tgid().unwrap_or_default(),
            },
            Payload::Unknown(data) => EventData::Unknown { what: event.what(), data },
        };
        Self { seq: event.seq(), cpu: event.cpu(), timestamp_ns: event.timestamp_ns(), data }
    }
}

/// The value of `cn_msg.len` for an event whose union is `data`.
fn payload_len(data: &[u8]) -> Result<u16, EncodeError> {
    let max = usize::from(u16::MAX) - proc_event::HEADER_LEN;
    let too_long = EncodeError::DataTooLong { max, actual: data.len() };
    u16::try_from(proc_event::HEADER_LEN + data.len()).map_err(|_| too_long)
}

fn words<O: ByteOrder>(values: &[u32]) -> [u8; EVENT_DATA_LEN] {
    let mut data = [0; EVENT_DATA_LEN];
    for (bytes, &value) in data.chunks_exact_mut(size_of::<u32>()).zip(values) {
        bytes.copy_from_slice(U32::<O>::new(value).as_bytes());
    }
    data
}

fn is_named(what: u32) -> bool {
    !matches!(Payload::<NativeEndian>::parse(what, &[0; EVENT_DATA_LEN]), Ok(Payload::Unknown(_)))
}
