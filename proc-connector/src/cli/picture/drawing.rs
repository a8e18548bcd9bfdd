//! A recording as a picture, where otherwise its events would be shown.

use std::io;
use std::time::SystemTime;

use proc_connector::Received;

use super::super::Failure;
use super::super::sink::Sink;
use super::files::{Files, Target};
use super::follow::Follower;

/// Takes the events of a recording, and draws all of its processes.
#[derive(Debug)]
pub(crate) struct Drawing {
    files: Files,
    follower: Follower,
}

impl Drawing {
    pub(crate) fn open(targets: &[Target]) -> Result<Self, Failure> {
        let mut files = Files::open(targets)?;
        files.begin()?;
        Ok(Self { files, follower: Follower::of_recording() })
    }

    pub(crate) fn finish(self, title: &str) -> Result<(), Failure> {
        self.files.finish(&self.follower.into_forest(), title)
    }
}

impl Sink for Drawing {
    fn take(&mut self, received: &Received<'_>, time: Option<SystemTime>) -> io::Result<bool> {
        self.follower.take(received);
        self.files.take(received, time)?;
        Ok(matches!(received, Received::Event(_)))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
