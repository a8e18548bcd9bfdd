//! Datagrams in the host's byte order.

#![allow(unused_imports, reason = "every test binary that includes this file uses a part of it")]

pub(crate) use proc_connector_core::testing::kinds::{
    COMM, COREDUMP, EXEC, EXIT, FORK, GID, NEW_KIND, NONE, PTRACE, SID, UID,
};
pub(crate) use proc_connector_core::testing::wire::{
    EVENT_LEN, NLMSG_DONE, NLMSG_ERROR, NLMSG_NOOP, NLMSG_OVERRUN, TIMESTAMP_NS, cn_msg, event,
    message, proc_event,
};
