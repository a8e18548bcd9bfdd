//! The ring transport: a BPF program, attached to the connector's socket, writes each event to a
//! ring buffer that this process maps.
//!
//! | file | contents |
//! |---|---|
//! | `queue` | the reader's side: the ring and the shared words as a queue |
//! | `records` | iterating over records and the losses between them |
//! | `arming` | the protocol by which a reader requests a wake-up |
//! | `layout` | the layout of a record and of the shared words |
//! | `program` | the program: check, filter, record, wake |
//! | `translate` | a filter's classic BPF as part of the program |
//! | `choice` | the part of the program that evaluates conditions on the acting task |
//! | `context` | the part of the program that records the acting task |
//! | `memory` | reading values of the task from kernel memory |
//! | `helpers`, `btf` | which BPF helpers and kernel structs this kernel offers |
//! | `asm`, `load` | assembling and loading BPF instructions |
//! | `reason` | why the ring is unavailable |
//! | `fake` | a ring without a kernel, for tests and fuzzing |

mod arming;
mod asm;
mod btf;
mod choice;
mod context;
#[cfg(any(test, fuzzing))]
mod fake;
mod helpers;
mod layout;
mod load;
mod memory;
mod program;
mod queue;
mod reason;
mod records;
#[cfg(test)]
mod tests;
mod translate;

pub(crate) use self::choice::Limits;
pub(crate) use self::context::Wants;
#[cfg(any(test, fuzzing))]
pub use self::fake::{FakeRing, Seen};
pub(crate) use self::helpers::SenderCheck;
pub(crate) use self::queue::{Popped, RingOptions, RingQueue};
pub(crate) use self::reason::RingError;
pub(crate) use self::records::Records;
