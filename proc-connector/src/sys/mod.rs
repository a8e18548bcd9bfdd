//! System calls behind safe functions. All unsafe code of the project is in this module.
//!
//! Each unsafe block holds one operation and the proof that it is sound.

mod batch;
#[cfg(feature = "testing")]
pub mod behaviour;
mod bpf;
mod call;
#[cfg(feature = "cli")]
mod child;
mod clock;
mod cpu_buffers;
#[cfg(feature = "cli")]
mod end_request;
mod epoll;
mod event_fd;
#[cfg(any(test, fuzzing))]
mod fake;
#[cfg(test)]
mod fork;
#[cfg(any(feature = "tokio", feature = "async-io"))]
mod gate;
mod hash_table;
mod host;
mod mapping;
mod netlink;
#[cfg(feature = "process")]
mod pid_fd;
mod poll;
mod proc_dir;
mod program_slot;
mod ring_buffer;
mod shared_words;
#[cfg(feature = "cli")]
mod signals;
#[cfg(feature = "cli")]
mod started_with;
#[cfg(any(feature = "async-io", feature = "process", feature = "tokio"))]
mod timer_fd;
mod wakeup;

pub(crate) use self::batch::{RecvBatch, SLOT_LEN};
pub(crate) use self::bpf::{Instruction, Program};
pub(crate) use self::call::retry_on_interrupt;
#[cfg(feature = "cli")]
pub use self::child::TracedChild;
pub(crate) use self::clock::{own_boottime, own_monotonic};
pub(crate) use self::cpu_buffers::CpuBuffers;
#[cfg(feature = "cli")]
pub use self::end_request::EndRequest;
#[cfg(feature = "cli")]
pub(crate) use self::end_request::end_on_signals;
pub(crate) use self::epoll::Epoll;
pub(crate) use self::event_fd::EventFd;
#[cfg(test)]
pub(crate) use self::fork::run_in_child;
#[cfg(any(feature = "tokio", feature = "async-io"))]
pub(crate) use self::gate::{Gate, OpenReason};
pub(crate) use self::hash_table::{HashTable, WhenFull};
pub(crate) use self::host::{FileSystem, exists, hides_architecture, uname};
pub(crate) use self::mapping::page_size;
pub(crate) use self::netlink::{Datagram, MemInfo, NetlinkSocket, RecvMode, Sender};
#[cfg(feature = "process")]
pub(crate) use self::pid_fd::{PidFd, Reaped, poll_ended, poll_reaped};
pub(crate) use self::poll::{poll_readable, sleep_unless_readable};
pub(crate) use self::proc_dir::ProcDir;
pub(crate) use self::program_slot::ProgramSlot;
pub(crate) use self::ring_buffer::{RecordState, RingBuffer};
pub(crate) use self::shared_words::SharedWords;
#[cfg(feature = "cli")]
pub use self::started_with::was_closed;
#[cfg(feature = "process")]
pub(crate) use self::timer_fd::TimerFd;
pub(crate) use self::wakeup::Wakeup;
