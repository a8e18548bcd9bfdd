//! A process that is killed while it appends and sends.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::support::{Received, Scratch, batch, parse, position, refused};
use crate::cli::export::otlp::http::{Answer, Deliver};
use crate::cli::export::otlp::sender::{Part, Sender};
use crate::cli::export::spool::{Queue, Spool};

const CAPACITY: u64 = 256 << 10;
const DIRECTORY: &str = "PROC_CONNECTOR_TEST_SPOOL";
/// A receiver accepts fewer events.
const LARGE: u32 = 300;

/// A receiver that writes what it accepts to a file.
struct Receiver(File);

impl Deliver for Receiver {
    fn deliver(&mut self, body: &[u8]) -> Answer {
        let (lost, numbers) = parse(body);
        let len = numbers.end - numbers.start;
        if len > LARGE {
            return Answer::TooLarge;
        }
        // The sender appends faster than this, so that the spool becomes full.
        std::thread::sleep(Duration::from_micros(100));
        let mut record = u32::try_from(body.len()).unwrap().to_le_bytes().to_vec();
        record.extend(body);
        self.0.write_all(&record).unwrap();
        match refused(body) {
            all if all == u64::from(len) + lost => Answer::Refused { reason: "test".to_owned() },
            rejected => Answer::Accepted { rejected, message: "test".to_owned() },
        }
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the type is `Split`")]
fn split(body: &[u8]) -> Option<[Part; 2]> {
    let (lost, numbers) = parse(body);
    let middle = numbers.start + (numbers.end - numbers.start) / 2;
    let part = |numbers, lost| {
        let batch = batch(numbers, lost);
        Part { body: batch.body, events: batch.content.events, lost }
    };
    Some([part(numbers.start..middle, lost), part(middle..numbers.end, 0)])
}

/// What the killed process does. In a normal run of the tests, this does nothing.
#[test]
fn role() {
    let Some(directory) = std::env::var_os(DIRECTORY).map(PathBuf::from) else { return };
    let (spool, opened) = Spool::open(&directory.join("spool"), CAPACITY).unwrap();
    let received = directory.join(format!("received-{}", std::process::id()));
    let deliver = Box::new(Receiver(File::create_new(received).unwrap()));
    let queue = Queue::new(spool);
    let _sender = Sender::start(queue.clone(), deliver, split, Box::new(|_| {})).unwrap();
    let mut next = position(&opened);
    loop {
        let numbers = next..next + 1 + next % 400;
        next = numbers.end;
        let report = queue.unreported();
        assert_eq!(report.damages, 0);
        queue.append(&batch(numbers, report.records), report).unwrap();
    }
}

fn read_received(directory: &Path) -> Received {
    let mut received = Received::picky();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            continue;
        }
        let bytes = fs::read(path).unwrap();
        let mut rest = &*bytes;
        while let Some((len, body)) = rest.split_first_chunk() {
            // The process may have ended while it wrote the last record.
            let Some(body) = body.get(..u32::from_le_bytes(*len) as usize) else { break };
            received.take(body);
            rest = &rest[4 + body.len()..];
        }
    }
    received
}

#[test]
fn a_killed_process_loses_nothing_without_a_count() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.path()).unwrap();
    let program = std::env::current_exe().unwrap();
    let role = concat!(module_path!(), "::role").split_once("::").unwrap().1;
    for round in 0..25 {
        let mut child = Command::new(&program)
            .args([role, "--exact"])
            .env(DIRECTORY, scratch.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_micros(30_000 + round * 3_137));
        assert!(child.try_wait().unwrap().is_none(), "the process has failed");
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let mut received = read_received(scratch.path());
    let (mut spool, opened) = Spool::open(&scratch.path().join("spool"), CAPACITY).unwrap();
    let appended = u64::from(position(&opened));
    let sent = received.records();
    while let Some(handed) = spool.next().unwrap() {
        let parts = match split(&handed.body) {
            Some(parts) if handed.events > u64::from(LARGE) => parts.map(|part| part.body).to_vec(),
            _ => vec![handed.body],
        };
        let refused = parts.iter().map(|body| received.take(body)).sum();
        spool.accepted(refused).unwrap();
    }
    let unreported = spool.unreported();
    assert!(sent > 0 && appended > sent, "{sent} of {appended}");
    assert_eq!(unreported.damages, 0);
    assert_eq!(received.records() + unreported.records, appended);
}
