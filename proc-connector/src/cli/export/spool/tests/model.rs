//! Random uses of a small spool, and the end of the program at any change of a file.

use proptest::prelude::*;

use super::support::{NOTHING, Received, Scratch, batch, position, segment_bytes};
use crate::cli::export::spool::disk::fate;
use crate::cli::export::spool::{Opened, Spool};

const CAPACITY: u64 = 16 << 10;

#[derive(Debug, Clone)]
enum Step {
    /// Appends a batch with events and losses of its own. It may report the discards.
    Append {
        events: u32,
        lost: u64,
        reports: bool,
    },
    /// Sends batches.
    Send {
        batches: u32,
    },
    /// Sends a batch, but the answer does not arrive.
    SendInVain,
    Reopen,
    /// Ends the program at a later change of a file, after a part of a write.
    Kill {
        changes: u32,
        part: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (1..200_u32, 0..3_u64, any::<bool>())
            .prop_map(|(events, lost, reports)| Step::Append { events, lost, reports }),
        3 => (1..8_u32).prop_map(|batches| Step::Send { batches }),
        1 => Just(Step::SendInVain),
        1 => Just(Step::Reopen),
        2 => (0..6_u32, 0..2000_usize).prop_map(|(changes, part)| Step::Kill { changes, part }),
    ]
}

/// What happened outside the spool.
struct Account {
    spool: Option<Spool>,
    scratch: Scratch,
    /// The number of the next event.
    next: u32,
    /// The end and the records of the batch that was being appended when the program ended.
    pending: Option<(u32, u64)>,
    /// The events and losses that were put into the spool.
    appended: u64,
    received: Received,
}

impl Account {
    fn new() -> Self {
        fate::begin();
        let scratch = Scratch::new();
        let (spool, opened) = scratch.open(CAPACITY);
        assert_eq!(opened, Opened::default());
        let received = Received::picky();
        Self { spool: Some(spool), scratch, next: 0, pending: None, appended: 0, received }
    }

    fn spool(&mut self) -> &mut Spool {
        self.spool.as_mut().unwrap()
    }

    fn run(&mut self, step: &Step) {
        match *step {
            Step::Append { events, lost, reports } => {
                let report = if reports { self.spool().unreported() } else { NOTHING };
                assert_eq!(report.damages, 0);
                let numbers = self.next..self.next + events;
                let batch = batch(numbers.clone(), lost + report.records);
                let records = u64::from(events) + lost;
                if self.spool().append_reporting(&batch, report).is_ok() {
                    (self.next, self.appended) = (numbers.end, self.appended + records);
                } else {
                    // The only failure of this disk is the end of the program.
                    self.pending = Some((numbers.end, records));
                    self.reopen();
                }
            }
            Step::Send { batches } => {
                for _ in 0..batches {
                    let Ok(Some(handed)) = self.spool().next() else { break };
                    let refused = self.received.take(&handed.body);
                    if self.spool().accepted(refused).is_err() {
                        self.reopen();
                    }
                }
            }
            Step::SendInVain => {
                if let Ok(Some(handed)) = self.spool().next() {
                    self.received.take(&handed.body);
                }
            }
            Step::Reopen => self.reopen(),
            Step::Kill { changes, part } => fate::end_after(changes, part),
        }
        assert!(segment_bytes(self.scratch.path()) <= CAPACITY);
    }

    /// Opens the spool again. The program may end again while it does so.
    fn reopen(&mut self) {
        self.spool = None;
        let is_over = fate::begin();
        let opened = if is_over { None } else { Spool::open(self.scratch.path(), CAPACITY).ok() };
        fate::begin();
        let (spool, opened) = opened.unwrap_or_else(|| self.scratch.open(CAPACITY));
        if let Some((end, records)) = self.pending.take() {
            if position(&opened) == end {
                (self.next, self.appended) = (end, self.appended + records);
            }
        }
        assert_eq!(position(&opened), self.next);
        assert_eq!(opened.damaged, 0);
        self.spool = Some(spool);
    }

    /// Sends the rest.
    fn finish(&mut self) {
        self.reopen();
        let mut spool = self.spool.take().unwrap();
        self.received.drain(&mut spool);
        let unreported = spool.unreported();
        assert_eq!(unreported.damages, 0);
        assert_eq!(self.received.records() + unreported.records, self.appended);
        // The last report leaves nothing.
        let last = batch(self.next..self.next + 1, unreported.records);
        spool.append_reporting(&last, unreported).unwrap();
        assert_eq!(spool.unreported(), NOTHING);
    }
}

#[test]
fn a_new_spool_is_whole_wherever_the_program_ends() {
    for changes in 0..4 {
        let scratch = Scratch::new();
        fate::end_after(changes, 0);
        let _ = Spool::open(scratch.path(), CAPACITY)
            .map(|(mut spool, _)| spool.append(&batch(0..9, 0)));
        fate::begin();
        let (spool, opened) = scratch.open(CAPACITY);
        assert_eq!((opened, spool.unreported()), (Opened::default(), NOTHING), "{changes}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_record_is_received_or_counted_whenever_the_program_ends(
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let mut account = Account::new();
        for step in &steps {
            account.run(step);
        }
        account.finish();
    }
}

#[test]
fn every_record_is_received_or_counted_at_each_single_end() {
    let steps: Vec<Step> = (0..60)
        .map(|number| match number % 9 {
            4 => Step::Send { batches: 2 },
            8 => Step::SendInVain,
            _ => Step::Append { events: 20 + number * 2, lost: 1, reports: number % 3 == 0 },
        })
        .collect();
    // The steps make fewer changes than this.
    for changes in 0..120 {
        for part in [0, 36, 120, usize::MAX - 1] {
            let mut account = Account::new();
            fate::end_after(changes, part);
            for step in &steps {
                account.run(step);
            }
            account.finish();
        }
    }
}
