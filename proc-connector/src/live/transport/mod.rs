//! The transports, which carry events from the kernel to this process.
//!
//! | file | contents |
//! |---|---|
//! | `intake` | a bound socket and its queue: the interface to the rest of the crate |
//! | `socket` | the socket transport: events are queued at the socket |
//! | `ring` | the ring transport: a BPF program writes events to a ring buffer |
//! | `moderation` | when the reader polls, sleeps or requests a wake-up |
//! | `readiness` | the descriptor that callers poll |
//! | `selection` | the filter, and counting missing sequence numbers |
//! | `user_space`, `tasks` | filters with conditions on tasks, over the socket |
//! | `item`, `wait` | shared types: an item of a batch, a receive's deadline |

mod intake;
mod item;
mod moderation;
mod readiness;
mod ring;
mod selection;
mod socket;
mod tasks;
mod user_space;
mod wait;

pub(crate) use self::intake::{Intake, Items};
pub(crate) use self::item::Item;
#[cfg(any(feature = "tokio", feature = "async-io"))]
pub(crate) use self::moderation::Step;
pub(crate) use self::readiness::{Notice, PollFd, Unread};
#[cfg(any(test, fuzzing))]
pub use self::ring::{FakeRing, Seen};
pub(crate) use self::ring::{
    Limits, Popped, RingError, RingOptions, RingQueue, SenderCheck, Wants,
};
pub(crate) use self::selection::Selection;
pub(crate) use self::socket::QUEUED_EVENT;
pub(crate) use self::wait::Deadline;
