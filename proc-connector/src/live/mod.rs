//! Receiving events, which requires Linux. The module `unsupported` has the same public items for
//! other systems.

mod batch;
mod builder;
mod connector;
mod diagnose;
mod handshake;
pub(crate) mod host;
#[cfg(feature = "process")]
mod process_handle;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod program;
#[cfg(any(feature = "tokio", feature = "async-io"))]
mod runtime;
mod shutdown;
mod single;
mod stash;
mod transport;

pub use self::batch::Batch;
pub use self::builder::Builder;
pub use self::connector::ProcConnector;
pub use self::diagnose::diagnose;
#[cfg(feature = "capture")]
pub(crate) use self::host::host_names;
pub(crate) use self::host::{check_clock, clock_ns};
#[cfg(feature = "process")]
pub(crate) use self::process_handle::{HandleError, ProcessHandle};
#[cfg(feature = "async-io")]
pub use self::runtime::AsyncIo;
#[cfg(feature = "tokio")]
pub use self::runtime::Tokio;
#[cfg(any(feature = "tokio", feature = "async-io"))]
pub use self::runtime::{AsyncConnector, Readiness};
pub use self::shutdown::Shutdown;
#[cfg(any(test, fuzzing))]
pub use self::transport::{FakeRing, Seen};
