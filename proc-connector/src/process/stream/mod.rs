//! One stream of processes: a connector joined with a table.

#[cfg(target_os = "linux")]
mod as_fd;
#[cfg(all(target_os = "linux", any(feature = "tokio", feature = "async-io")))]
mod asynchronous;
#[cfg_attr(not(target_os = "linux"), path = "no_descriptor.rs")]
mod descriptor;
mod item;
mod kinds;
mod process_stream;
mod tracker;
mod waiting;

#[cfg(all(target_os = "linux", any(feature = "tokio", feature = "async-io")))]
pub use self::asynchronous::AsyncProcessStream;
pub use self::item::{ProcessChange, ProcessItem};
pub use self::kinds::ChangeKinds;
pub use self::process_stream::ProcessStream;
