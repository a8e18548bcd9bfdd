//! Starts the program and waits until it listens.

use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command};

use super::scratch::ScratchFile;

/// Starts a command that listens, and returns once it receives all further events.
pub(crate) fn listening(mut command: Command) -> Child {
    let scratch = ScratchFile::new("notify");
    let manager = UnixDatagram::bind(scratch.path()).expect("a socket");
    manager.set_read_timeout(Some(super::PATIENCE)).expect("a socket");
    let child = command.env("NOTIFY_SOCKET", scratch.path()).spawn().expect("the program runs");
    manager.recv(&mut [0; 100]).expect("a notification that it listens");
    child
}
