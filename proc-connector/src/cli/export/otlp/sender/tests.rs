//! Answers of a receiver, and what the sender makes of them.

use std::sync::mpsc::{Receiver, Sender as Tell, channel};
use std::time::Duration;

use super::{Answer, Deliver, Notice, Part, Queue, Sender};
use crate::cli::export::spool::{Batch, Content, Spool, Unreported};

/// Each request goes to the test, which answers it.
struct Asked {
    requests: Tell<Vec<u8>>,
    answers: Receiver<Answer>,
}

impl Deliver for Asked {
    fn deliver(&mut self, body: &[u8]) -> Answer {
        let _ = self.requests.send(body.to_vec());
        self.answers.recv().unwrap_or(Answer::Retry { after: None, reason: "gone".to_owned() })
    }
}

struct Fixture {
    queue: Queue,
    sender: Sender,
    requests: Receiver<Vec<u8>>,
    answers: Tell<Answer>,
    notices: Receiver<String>,
    directory: std::path::PathBuf,
}

impl Fixture {
    fn new(name: &str) -> Self {
        let directory =
            std::env::temp_dir().join(format!("proc-connector-{}-{name}", std::process::id()));
        let (spool, _) = Spool::open(&directory, 1 << 20).unwrap();
        let queue = Queue::new(spool);
        let (requests_in, requests) = channel();
        let (answers, answers_out) = channel();
        let (notices_in, notices) = channel();
        let asked = Box::new(Asked { requests: requests_in, answers: answers_out });
        let report = Box::new(move |notice: &Notice| {
            let _ = notices_in.send(notice.to_string());
        });
        let sender = Sender::start(queue.clone(), asked, split, report).unwrap();
        Self { queue, sender, requests, answers, notices, directory }
    }

    fn append(&self, body: &[u8], lost: u64) {
        let content = Content { events: body.len() as u64, lost, ..Content::default() };
        self.queue.append(&Batch { body: body.to_vec(), content }, Unreported::default()).unwrap();
    }

    /// Answers a request, which must have this body.
    fn answer(&self, body: &[u8], answer: Answer) {
        assert_eq!(self.requests.recv().unwrap(), body);
        self.answers.send(answer).unwrap();
    }

    /// Ends the sender. Returns the remaining records and the notices.
    fn finish(self, grace: Duration) -> (u64, Vec<String>, Queue) {
        let left = self.sender.finish(grace);
        drop(self.answers);
        let _ = std::fs::remove_dir_all(&self.directory);
        (left, self.notices.try_iter().collect(), self.queue)
    }
}

/// One event a byte.
fn split(body: &[u8]) -> Option<[Part; 2]> {
    let part = |body: &[u8]| Part { body: body.to_vec(), events: body.len() as u64, lost: 0 };
    let (first, second) = body.split_at(body.len() / 2);
    (body.len() > 1).then(|| [part(first), part(second)])
}

fn accepted() -> Answer {
    Answer::Accepted { rejected: 0, message: String::new() }
}

fn rejected(rejected: u64) -> Answer {
    Answer::Accepted { rejected, message: "some".to_owned() }
}

fn retry(reason: &str) -> Answer {
    Answer::Retry { after: None, reason: reason.to_owned() }
}

const LONG: Duration = Duration::from_secs(60);

#[test]
fn a_batch_is_sent_until_it_is_accepted_and_trouble_is_reported_once() {
    let fixture = Fixture::new("sender-retry");
    fixture.append(b"abc", 0);
    fixture.append(b"de", 0);
    fixture.answer(b"abc", retry("no\nconnection"));
    fixture.answer(b"abc", retry("503"));
    let after = Some(Duration::ZERO);
    fixture.answer(b"abc", Answer::Misconfigured { after, reason: "401".to_owned() });
    fixture.answer(b"abc", accepted());
    fixture.answer(b"de", accepted());
    let (left, notices, _) = fixture.finish(LONG);
    assert_eq!(left, 0);
    let [trouble, end] = &*notices else { panic!("{notices:?}") };
    assert!(trouble.contains("no\\nconnection"), "{trouble}");
    assert!(end.contains("accepts records again") && end.contains("5 records"), "{end}");
}

#[test]
fn a_batch_at_which_the_receiver_always_fails_does_not_block_others() {
    let fixture = Fixture::new("sender-failing");
    let failed = || Answer::Failed { reason: "500".to_owned() };
    for (body, failures) in [(b"abc", 4), (b"def", 5)] {
        fixture.append(body, 0);
        (0..failures).for_each(|_| fixture.answer(body, failed()));
        if failures < 5 {
            fixture.answer(body, accepted());
        }
    }
    fixture.append(b"ghi", 0);
    fixture.answer(b"ghi", accepted());
    let (left, _, queue) = fixture.finish(LONG);
    assert_eq!((left, queue.discards().refused), (0, 3));
}

#[test]
fn refused_records_are_counted_and_their_reasons_are_reported_once() {
    let fixture = Fixture::new("sender-refused");
    for (body, answer) in [
        (b"abc", Answer::Refused { reason: "bad".to_owned() }),
        (b"def", Answer::Refused { reason: "bad".to_owned() }),
        (b"ghi", rejected(2)),
        (b"jkl", accepted()),
    ] {
        fixture.append(body, 0);
        fixture.answer(body, answer);
    }
    let (left, notices, queue) = fixture.finish(LONG);
    assert_eq!((left, queue.discards().refused, queue.unreported().records), (0, 8, 8));
    let [bad, some] = &*notices else { panic!("{notices:?}") };
    assert!(
        bad.contains("bad") && some.contains("2 records, which are reported as lost: some"),
        "{notices:?}"
    );
}

#[test]
fn a_rejected_report_of_a_loss_is_counted_with_the_loss() {
    let fixture = Fixture::new("sender-lost");
    fixture.append(b"abc", 500);
    // Three events and the report.
    fixture.answer(b"abc", rejected(4));
    let (_, _, queue) = fixture.finish(LONG);
    assert_eq!(queue.unreported().records, 503);
}

#[test]
fn a_batch_that_is_too_large_is_split_down_to_single_records() {
    let fixture = Fixture::new("sender-split");
    fixture.append(b"abcd", 0);
    fixture.answer(b"abcd", Answer::TooLarge);
    fixture.answer(b"ab", retry("busy"));
    fixture.answer(b"ab", accepted());
    fixture.answer(b"cd", Answer::TooLarge);
    fixture.answer(b"c", Answer::TooLarge);
    fixture.answer(b"d", accepted());
    let (left, notices, queue) = fixture.finish(LONG);
    assert_eq!((left, queue.discards().refused), (0, 1));
    assert!(notices.iter().any(|notice| notice.contains("too large")), "{notices:?}");
}

#[test]
fn records_that_cannot_be_sent_in_time_remain() {
    let fixture = Fixture::new("sender-grace");
    fixture.append(b"abc", 0);
    fixture.answer(b"abc", retry("down"));
    fixture.append(b"de", 0);
    // The end makes the sender try at once; it gets no answer.
    let (left, _, _) = fixture.finish(Duration::from_millis(50));
    assert_eq!(left, 5);
}

#[test]
fn the_end_does_not_wait_for_the_next_attempt() {
    let fixture = Fixture::new("sender-end");
    fixture.append(b"abc", 0);
    let after = Some(Duration::from_secs(200));
    fixture.answer(b"abc", Answer::Retry { after, reason: "429".to_owned() });
    fixture.queue.end();
    fixture.answer(b"abc", accepted());
    let (left, _, _) = fixture.finish(LONG);
    assert_eq!(left, 0);
}
