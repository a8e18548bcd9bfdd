//! The guide: how to use the program and the library, and what to expect of them.
//!
//! | chapter | contents |
//! |---|---|
//! | [`commands`] | the program: commands, options, files, exit status |
//! | [`json`] | keys of the JSON output |
//! | [`coming_from`] | replacements for `forkstat`, `extrace` and other crates |
//! | [`events`] | kinds of events, fields, filters |
//! | [`receiving`] | opening a connector, batches, wake-ups, event loops, runtimes |
//! | [`transports`] | the ring and the socket |
//! | [`losses`] | how losses are reported and avoided |
//! | [`containers`] | permissions, namespaces, cgroups |
//! | [`processes`] | the table of processes |
//! | [`captures`] | recordings: format, other programs' files, damage |
//! | [`performance`] | figures, methods, commands that repeat them |
//! | [`limits`] | what does not work |
//!
//! The chapters are Markdown files in the directory `docs` of the crate.

// Chapters link to items of all features.
#![cfg_attr(
    not(all(
        target_os = "linux",
        feature = "async-io",
        feature = "capture",
        feature = "process",
        feature = "serde",
        feature = "tokio"
    )),
    allow(rustdoc::broken_intra_doc_links)
)]

#[allow(unused_imports, reason = "the chapters link to these")]
use crate::{
    Builder, Error, Event, EventMask, ExitStatus, Filter, Lost, ProcConnector, ProcEvent, Received,
    Shutdown, Transport, WallClock, diagnose,
};

/// Where links between chapters lead in rustdoc. The files end with the same references for readers
/// of the files; in Markdown, the first definition of a reference is the one that counts.
macro_rules! references {
    () => {
        "\
[captures]: crate::guide::captures
[commands]: crate::guide::commands
[containers]: crate::guide::containers
[events]: crate::guide::events
[json]: crate::guide::json
[limits]: crate::guide::limits
[losses]: crate::guide::losses
[performance]: crate::guide::performance
[processes]: crate::guide::processes
[receiving]: crate::guide::receiving
[transports]: crate::guide::transports
"
    };
}

#[doc = references!()]
#[doc = include_str!("../docs/commands.md")]
pub mod commands {}

#[doc = references!()]
#[doc = include_str!("../docs/json.md")]
pub mod json {}

#[doc = references!()]
#[doc = include_str!("../docs/coming-from.md")]
pub mod coming_from {}

#[doc = references!()]
#[doc = include_str!("../docs/events.md")]
pub mod events {}

#[doc = references!()]
#[doc = include_str!("../docs/receiving.md")]
pub mod receiving {}

#[doc = references!()]
#[doc = include_str!("../docs/transports.md")]
pub mod transports {}

#[doc = references!()]
#[doc = include_str!("../docs/losses.md")]
pub mod losses {}

#[doc = references!()]
#[doc = include_str!("../docs/containers.md")]
pub mod containers {}

// The examples of these two chapters compile with their feature only.
#[doc = references!()]
#[cfg_attr(any(not(doctest), feature = "process"), doc = include_str!("../docs/processes.md"))]
pub mod processes {}

#[doc = references!()]
#[cfg_attr(any(not(doctest), feature = "capture"), doc = include_str!("../docs/captures.md"))]
pub mod captures {}

#[doc = references!()]
#[doc = include_str!("../docs/performance.md")]
pub mod performance {}

#[doc = references!()]
#[doc = include_str!("../docs/limits.md")]
pub mod limits {}

/// Compiles the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub mod readme {}
