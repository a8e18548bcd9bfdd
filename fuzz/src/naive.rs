//! An independent decoder: it reads each field at its offset in the structs of the bindings, and
//! shares no code with the parser.

use std::mem::offset_of;

use proc_connector_sys as sys;

/// A message; `None` if it cannot be read.
pub type Read = Option<(Head, Body)>;

/// The fields before the union; zero in a message without them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    pub what: u32,
    pub seq: u32,
    pub ack: u32,
    pub cpu: u32,
    pub timestamp_ns: u64,
}

/// The fields of the union, or a message without an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// The fields of the struct of the kind. A parent of 0 is unknown.
    Fields(Vec<u32>),
    Comm([u32; 2], [u8; 16]),
    /// All bytes of the union.
    Unknown(Vec<u8>),
    /// A netlink message of this type without a connector message, and its error.
    Control(u32, i32),
}

/// A byte order.
#[derive(Clone, Copy, Debug)]
pub enum Order {
    Little,
    Big,
    Native,
}

impl Order {
    fn u16(self, bytes: &[u8], at: usize) -> Option<u16> {
        let bytes = bytes.get(at..at + 2)?.try_into().ok()?;
        Some(match self {
            Self::Little => u16::from_le_bytes(bytes),
            Self::Big => u16::from_be_bytes(bytes),
            Self::Native => u16::from_ne_bytes(bytes),
        })
    }

    fn u32(self, bytes: &[u8], at: usize) -> Option<u32> {
        let bytes = bytes.get(at..at + 4)?.try_into().ok()?;
        Some(match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
            Self::Native => u32::from_ne_bytes(bytes),
        })
    }

    fn u64(self, bytes: &[u8], at: usize) -> Option<u64> {
        let bytes = bytes.get(at..at + 8)?.try_into().ok()?;
        Some(match self {
            Self::Little => u64::from_le_bytes(bytes),
            Self::Big => u64::from_be_bytes(bytes),
            Self::Native => u64::from_ne_bytes(bytes),
        })
    }

    fn u32s(self, bytes: &[u8], at: &[usize]) -> Option<Vec<u32>> {
        at.iter().map(|&at| self.u32(bytes, at)).collect()
    }
}

const NLMSGHDR: usize = size_of::<sys::nlmsghdr>();
const CN_MSG: usize = size_of::<sys::cn_msg>();
const EVENT_DATA: usize = offset_of!(sys::proc_event, event_data);

/// Every message of a buffer.
pub fn messages(mut rest: &[u8], order: Order) -> Vec<Read> {
    let mut messages = Vec::new();
    while !rest.is_empty() {
        let len = order.u32(rest, offset_of!(sys::nlmsghdr, nlmsg_len)).unwrap_or_default();
        let len = len as usize;
        if rest.len() < NLMSGHDR || len < NLMSGHDR || rest.len() < len {
            // The start of the next message is unknown.
            messages.push(None);
            break;
        }
        messages.push(message(&rest[..len], order));
        let aligned = len.next_multiple_of(sys::NLMSG_ALIGNTO as usize);
        rest = rest.get(aligned..).unwrap_or_default();
    }
    messages
}

fn message(message: &[u8], order: Order) -> Read {
    let kind = order.u16(message, offset_of!(sys::nlmsghdr, nlmsg_type))?;
    let payload = &message[NLMSGHDR..];
    let error = match u32::from(kind) {
        sys::NLMSG_NOOP | sys::NLMSG_OVERRUN => 0,
        sys::NLMSG_DONE if payload.is_empty() => 0,
        sys::NLMSG_ERROR => {
            let error = order.u32(payload, offset_of!(sys::nlmsgerr, error))?;
            i32::from_ne_bytes(error.to_ne_bytes())
        }
        _ => return connector_message(payload, order),
    };
    Some((Head::default(), Body::Control(kind.into(), error)))
}

fn connector_message(message: &[u8], order: Order) -> Read {
    let id = offset_of!(sys::cn_msg, id);
    let idx = order.u32(message, id + offset_of!(sys::cb_id, idx))?;
    let val = order.u32(message, id + offset_of!(sys::cb_id, val))?;
    if (idx, val) != (sys::CN_IDX_PROC, sys::CN_VAL_PROC) {
        return None;
    }
    let len = order.u16(message, offset_of!(sys::cn_msg, len))?;
    let event = message.get(CN_MSG..CN_MSG + usize::from(len))?;
    let mut head = Head {
        what: order.u32(event, offset_of!(sys::proc_event, what))?,
        seq: order.u32(message, offset_of!(sys::cn_msg, seq))?,
        ack: 0,
        cpu: order.u32(event, offset_of!(sys::proc_event, cpu))?,
        timestamp_ns: order.u64(event, offset_of!(sys::proc_event, timestamp_ns))?,
    };
    let data = event.get(EVENT_DATA..)?;
    let body = match head.what {
        sys::PROC_EVENT_NONE => {
            head.ack = order.u32(message, offset_of!(sys::cn_msg, ack))?;
            // The parser does not report the timestamp of an acknowledgement.
            head.timestamp_ns = 0;
            Body::Fields(order.u32s(data, &[offset_of!(sys::ack_proc_event, err)])?)
        }
        sys::PROC_EVENT_COMM => {
            let at = offset_of!(sys::comm_proc_event, comm);
            let comm = data.get(at..at + 16)?.try_into().ok()?;
            let pid = order.u32(data, offset_of!(sys::comm_proc_event, process_pid))?;
            let tgid = order.u32(data, offset_of!(sys::comm_proc_event, process_tgid))?;
            Body::Comm([pid, tgid], comm)
        }
        what => match fields(what) {
            Some((needed, optional)) => {
                let mut fields = order.u32s(data, needed)?;
                let unknown = || vec![0; optional.len()];
                fields.extend(order.u32s(data, optional).unwrap_or_else(unknown));
                Body::Fields(fields)
            }
            None => Body::Unknown(data.to_vec()),
        },
    };
    Some((head, body))
}

/// Offsets of the fields of a kind: those that every kernel sends, and those added in Linux 4.18.
fn fields(what: u32) -> Option<(&'static [usize], &'static [usize])> {
    Some(match what {
        sys::PROC_EVENT_FORK => (
            &[
                offset_of!(sys::fork_proc_event, parent_pid),
                offset_of!(sys::fork_proc_event, parent_tgid),
                offset_of!(sys::fork_proc_event, child_pid),
                offset_of!(sys::fork_proc_event, child_tgid),
            ],
            &[],
        ),
        sys::PROC_EVENT_EXEC => (
            &[
                offset_of!(sys::exec_proc_event, process_pid),
                offset_of!(sys::exec_proc_event, process_tgid),
            ],
            &[],
        ),
        sys::PROC_EVENT_UID | sys::PROC_EVENT_GID => (
            &[
                offset_of!(sys::id_proc_event, process_pid),
                offset_of!(sys::id_proc_event, process_tgid),
                offset_of!(sys::id_proc_event, r),
                offset_of!(sys::id_proc_event, e),
            ],
            &[],
        ),
        sys::PROC_EVENT_SID => (
            &[
                offset_of!(sys::sid_proc_event, process_pid),
                offset_of!(sys::sid_proc_event, process_tgid),
            ],
            &[],
        ),
        sys::PROC_EVENT_PTRACE => (
            &[
                offset_of!(sys::ptrace_proc_event, process_pid),
                offset_of!(sys::ptrace_proc_event, process_tgid),
                offset_of!(sys::ptrace_proc_event, tracer_pid),
                offset_of!(sys::ptrace_proc_event, tracer_tgid),
            ],
            &[],
        ),
        sys::PROC_EVENT_COREDUMP => (
            &[
                offset_of!(sys::coredump_proc_event, process_pid),
                offset_of!(sys::coredump_proc_event, process_tgid),
            ],
            &[
                offset_of!(sys::coredump_proc_event, parent_pid),
                offset_of!(sys::coredump_proc_event, parent_tgid),
            ],
        ),
        sys::PROC_EVENT_EXIT => (
            &[
                offset_of!(sys::exit_proc_event, process_pid),
                offset_of!(sys::exit_proc_event, process_tgid),
                offset_of!(sys::exit_proc_event, exit_code),
                offset_of!(sys::exit_proc_event, exit_signal),
            ],
            &[
                offset_of!(sys::exit_proc_event, parent_pid),
                offset_of!(sys::exit_proc_event, parent_tgid),
            ],
        ),
        _ => return None,
    })
}
