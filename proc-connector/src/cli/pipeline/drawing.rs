//! A recording as a picture, where otherwise its events would be shown.

use std::io;
use std::time::SystemTime;

use proc_connector::{Filter, Received};

use super::follow::Follower;
use super::identify::Who;
use crate::cli::Failure;
use crate::cli::output::picture::{Files, Target};
use crate::cli::output::sink::Sink;

/// Takes the events of a recording, and draws its processes, or those of interest.
#[derive(Debug)]
pub(crate) struct Drawing<'a> {
    files: Files,
    follower: Follower,
    who: Who<'a>,
    /// For files of events: processes are not drawn without their beginnings and ends.
    filter: Filter,
}

impl<'a> Drawing<'a> {
    pub(crate) fn open(targets: &[Target], who: Who<'a>, filter: Filter) -> Result<Self, Failure> {
        let mut files = Files::open(targets)?;
        files.begin()?;
        Ok(Self { files, follower: Follower::of_recording(), who, filter })
    }

    /// What went wrong with a file, if it did.
    pub(crate) fn failure(&mut self) -> Option<Failure> {
        self.files.failure()
    }

    pub(crate) fn finish(self, title: &str) -> Result<(), Failure> {
        self.files.finish(&self.follower.into_forest(), title)
    }
}

impl Sink for Drawing<'_> {
    fn take(&mut self, received: &Received<'_>, time: Option<SystemTime>) -> io::Result<bool> {
        let is_wanted = self.who.update(received).is_wanted;
        self.follower.take(received);
        if is_wanted {
            self.follower.want();
        }
        match received {
            Received::Event(event) if !is_wanted || !self.filter.matches(event) => Ok(false),
            _ => {
                let taken = self.files.take(received, time);
                self.files.has_failed().map(|()| taken)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.files.flush();
        self.files.has_failed()
    }
}
