//! A glob import of the crate does not shadow names of the language. This file only has to compile.

#![allow(unused_imports, clippy::wildcard_imports, reason = "the glob import is tested")]

use proc_connector::*;

const _: usize = core::mem::size_of::<u8>() + std::mem::size_of::<u8>();

#[test]
fn names_of_the_language_are_not_shadowed() {
    let fits = |length: usize| -> core::result::Result<u8, core::num::TryFromIntError> {
        core::convert::TryFrom::try_from(length)
    };
    assert_eq!(fits(core::mem::size_of::<parser::EventMask>()).ok(), Some(4));
}

/// The struct of each payload can be named.
const _: fn(Payload<'_>) = |payload| match payload {
    Payload::Fork(view) => {
        let _: &Fork = view;
    }
    Payload::Exec(view) => {
        let _: &Exec = view;
    }
    Payload::Uid(view) => {
        let _: &Uid = view;
    }
    Payload::Gid(view) => {
        let _: &Gid = view;
    }
    Payload::Sid(view) => {
        let _: &Sid = view;
    }
    Payload::Ptrace(view) => {
        let _: &Ptrace = view;
    }
    Payload::Comm(view) => {
        let _: &Comm = view;
    }
    Payload::Coredump(view) => {
        let _: Coredump<'_> = view;
    }
    Payload::Exit(view) => {
        let _: Exit<'_> = view;
    }
    _ => {}
};
