//! Raw bindings to the Linux process events connector, with the names of the kernel's UAPI headers.
//!
//! `cargo xtask bindgen` generates the bindings. They are checked in, so building this crate requires
//! neither headers nor a C compiler. They cover what a program needs to use the connector:
//!
//! | header | content |
//! |---|---|
//! | `linux/cn_proc.h` | [`proc_event`] and its payloads, [`proc_input`], `PROC_EVENT_*`, `PROC_CN_MCAST_*` |
//! | `linux/connector.h` | [`cn_msg`], [`cb_id`], `CN_*` |
//! | `linux/netlink.h` | [`nlmsghdr`], [`nlmsgerr`], [`sockaddr_nl`], `NLMSG_*`, `NLM_F_*`, socket options |
//! | `linux/filter.h` | [`sock_filter`], [`sock_fprog`], `BPF_*` of classic BPF |
//! | `linux/bpf.h` | [`bpf_attr_map_create`], [`bpf_attr_prog_load`], and the `BPF_*` for a ring buffer and its program |
//! | `linux/sock_diag.h` | `SK_MEMINFO_*` |
//!
//! Enumerations are integers with constants, because a newer kernel may send an unknown value. Sizes
//! and offsets are asserted at compile time.
//!
//! A struct nested in another keeps its own name ([`fork_proc_event`]). An unnamed struct is named
//! after its field ([`ack_proc_event`], [`proc_event_data`], [`id_proc_event_r`]). Members of the union
//! `bpf_attr` are named after their commands ([`bpf_attr_map_create`]).
//!
//! For parsing, use `proc-connector-core`; for live events, `proc-connector`.
//!
//! ```
//! use proc_connector_sys as sys;
//!
//! let request = sys::proc_input {
//!     mcast_op: sys::PROC_CN_MCAST_LISTEN,
//!     event_type: sys::PROC_EVENT_EXEC | sys::PROC_EVENT_EXIT,
//! };
//! assert_eq!(request.event_type & !sys::PROC_EVENT_ALL, 0);
//! ```

#![no_std]
#![forbid(unsafe_code)]

#[allow(
    missing_docs,
    non_camel_case_types,
    non_upper_case_globals,
    clippy::pedantic,
    clippy::exhaustive_structs,
    reason = "generated: the names are those of C, documented in the kernel's headers"
)]
mod bindings;

pub use bindings::*;
