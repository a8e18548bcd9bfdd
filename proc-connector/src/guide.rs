//! The guide: how to use the program and the library, and what to expect of them.
//!
//! | chapter | contents |
//! |---|---|
//! | [`commands`] | the program: commands, options, files, exit status |
//! | [`json`] | keys of the JSON output |
//! | [`ocsf`] | attributes of the OCSF output, for security pipelines |
//! | [`coming_from`] | replacements for `forkstat`, `extrace` and other crates |
//! | [`migration`] | edits that code for 0.1 and 0.3 of this crate needs |
//! | [`events`] | kinds of events, fields, filters |
//! | [`receiving`] | opening a connector, batches, wake-ups, event loops, runtimes |
//! | [`transports`] | the ring and the socket |
//! | [`losses`] | how losses are reported and avoided |
//! | [`containers`] | permissions, namespaces, cgroups |
//! | [`processes`] | the stream and the table of processes, waiting for exits |
//! | [`pipelines`] | `export`: OTLP and Prometheus, receivers, services, many hosts |
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

/// Targets of the chapters' links in rustdoc. The files define those to other chapters again, at their
/// end, for readers of the files: in Markdown the first definition of a reference wins.
macro_rules! references {
    () => {
        "\
[captures]: crate::guide::captures
[commands]: crate::guide::commands
[containers]: crate::guide::containers
[events]: crate::guide::events
[json]: crate::guide::json
[limits]: crate::guide::limits
[migration]: crate::guide::migration
[ocsf]: crate::guide::ocsf
[losses]: crate::guide::losses
[performance]: crate::guide::performance
[pipelines]: crate::guide::pipelines
[processes]: crate::guide::processes
[receiving]: crate::guide::receiving
[transports]: crate::guide::transports
[`Builder::coalesce`]: crate::Builder::coalesce
[`Builder::context`]: crate::Builder::context
[`Builder::environment`]: crate::Builder::environment
[`Builder::open`]: crate::Builder::open
[`Builder::receive_buffer_events`]: crate::Builder::receive_buffer_events
[`Builder::working_directory`]: crate::Builder::working_directory
[`Context`]: crate::Context
[`Context::cgroup_id`]: crate::Context::cgroup_id
[`Context::process_usage`]: crate::Context::process_usage
[`Context::usage`]: crate::Context::usage
[`Error::NotLinux`]: crate::Error::NotLinux
[`Event`]: crate::Event
[`Event::context`]: crate::Event::context
[`EventMask`]: crate::EventMask
[`ExitStatus`]: crate::ExitStatus
[`Filter`]: crate::Filter
[`Error::NoSuchProcess`]: crate::Error::NoSuchProcess
[`Filter::descendants_of`]: crate::Filter::descendants_of
[`Filter::descendants_of_programs`]: crate::Filter::descendants_of_programs
[`Filter::except_tgids`]: crate::Filter::except_tgids
[`Filter::failures_only`]: crate::Filter::failures_only
[`Filter::in_cgroups`]: crate::Filter::in_cgroups
[`Filter::named`]: crate::Filter::named
[`Filter::new`]: crate::Filter::new
[`Filter::of_users`]: crate::Filter::of_users
[`Filter::only_tgids`]: crate::Filter::only_tgids
[`Filter::processes_only`]: crate::Filter::processes_only
[`LossCause`]: crate::LossCause
[`Lost`]: crate::Lost
[`Lost::count`]: crate::Lost::count
[`OwnedEvent`]: crate::OwnedEvent
[`ProcConnector`]: crate::ProcConnector
[`ProcConnector::builder`]: crate::ProcConnector::builder
[`ProcConnector::new`]: crate::ProcConnector::new
[`ProcConnector::recv_batch`]: crate::ProcConnector::recv_batch
[`ProcConnector::recv_batch_timeout`]: crate::ProcConnector::recv_batch_timeout
[`ProcConnector::set_filter`]: crate::ProcConnector::set_filter
[`ProcConnector::stats`]: crate::ProcConnector::stats
[`ProcEvent`]: crate::ProcEvent
[`Received::Lost`]: crate::Received::Lost
[`Shutdown`]: crate::Shutdown
[`Selector`]: crate::Selector
[`Stats::refused`]: crate::Stats::refused
[`Stats::user_space_filter`]: crate::Stats::user_space_filter
[`Transport::Auto`]: crate::Transport::Auto
[`Transport::Ring`]: crate::Transport::Ring
[`Transport::Socket`]: crate::Transport::Socket
[`WallClock`]: crate::WallClock
[`WallClock::try_new`]: crate::WallClock::try_new
[`diagnose`]: crate::diagnose
[`Reader::skipped`]: crate::capture::Reader::skipped
[`Reader::unread_comments`]: crate::capture::Reader::unread_comments
[`Recorded::notes`]: crate::capture::Recorded::notes
[`ProcessTable::apply_notes`]: crate::process::ProcessTable::apply_notes
[`Survey`]: crate::process::Survey
[`capture`]: crate::capture
[`Error::is_of_one_packet`]: crate::capture::Error::is_of_one_packet
[`parser`]: crate::parser
[`process`]: crate::process
[`rescan_in`]: crate::process::ProcessTable::rescan_in
[`Builder::open_processes`]: crate::Builder::open_processes
[`ExitWaiter`]: crate::process::ExitWaiter
[`ProcessStream`]: crate::process::ProcessStream
[`ProcessStream::only`]: crate::process::ProcessStream::only
[`ProcessStream::open`]: crate::process::ProcessStream::open
[`ProcessStream::wait_for_exit`]: crate::process::ProcessStream::wait_for_exit
[`ProcessTable`]: crate::process::ProcessTable
[`next_change_timeout`]: crate::process::ProcessStream::next_change_timeout
[`try_next`]: crate::process::ProcessStream::try_next
[`wait_for_exit`]: crate::process::wait_for_exit
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
#[doc = include_str!("../docs/ocsf.md")]
pub mod ocsf {}

#[doc = references!()]
#[doc = include_str!("../docs/coming-from.md")]
pub mod coming_from {}

#[doc = references!()]
#[doc = include_str!("../docs/migration.md")]
pub mod migration {}

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
#[doc = include_str!("../docs/pipelines.md")]
pub mod pipelines {}

#[doc = references!()]
#[doc = include_str!("../docs/performance.md")]
pub mod performance {}

#[doc = references!()]
#[doc = include_str!("../docs/limits.md")]
pub mod limits {}

/// Compiles the README's example.
#[cfg(all(doctest, feature = "process"))]
#[doc = include_str!("../README.md")]
pub mod readme {}
