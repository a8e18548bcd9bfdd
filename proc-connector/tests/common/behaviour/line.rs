//! A pipe for numbers between the processes of one behaviour.

use std::fs::File;
use std::io::{Read, Write};

use nix::fcntl::OFlag;
use nix::unistd::pipe2;

/// Created before a fork; both processes then have both ends.
#[derive(Debug)]
pub(crate) struct Line {
    reader: File,
    writer: Option<File>,
}

impl Line {
    pub(crate) fn new() -> Self {
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC).expect("a pipe");
        Self { reader: reader.into(), writer: Some(writer.into()) }
    }

    pub(crate) fn send(&self, numbers: &[u64]) {
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_ne_bytes()).collect();
        let mut writer = self.writer.as_ref().expect("an open end");
        writer.write_all(&bytes).expect("the reader reads");
    }

    /// Receives a number.
    pub(crate) fn receive(&self) -> u64 {
        let mut bytes = [0; 8];
        (&self.reader).read_exact(&mut bytes).expect("the writer writes");
        u64::from_ne_bytes(bytes)
    }

    /// Receives a process id.
    pub(crate) fn receive_pid(&self) -> u32 {
        self.receive().try_into().expect("a pid")
    }

    /// Waits until every other process that can write has ended or executed a program.
    pub(crate) fn wait_for_writers(mut self) {
        self.writer = None;
        let rest = self.reader.read_to_end(&mut Vec::new()).expect("a pipe");
        assert_eq!(rest, 0, "all numbers were received");
    }
}
