//! The reader of a ring, over memory that this target fills: as a kernel would, and then whatever is
//! committed comes out once and in order, and all losses are told; or as no kernel would. Whichever
//! it is, the reader gives what a naive one gives, and comes to an end.

#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use proc_connector::fuzzing::{FakeRing, Seen};
use proc_connector_core::testing::filters::Happening;
use proc_connector_core::{Context, EventRecord, NativeEndian, Notification, Notifications};
use proc_connector_fuzz::naive_ring::{Read, Ring};
use proc_connector_fuzz::shape::Kind;

#[derive(Arbitrary, Debug)]
struct Input {
    size: Size,
    start: Start,
    /// Whether there are things that no kernel does.
    wild: bool,
    steps: Vec<Step>,
}

#[derive(Arbitrary, Debug)]
enum Size {
    Smallest,
    Double,
    /// With batches as long as they get.
    Large,
}

/// Where positions start.
#[derive(Arbitrary, Debug)]
enum Start {
    Zero,
    /// So much before they wrap.
    BeforeTheEnd(u16),
    Anywhere(usize),
}

#[derive(Arbitrary, Debug)]
enum Step {
    /// Room for a record, whose writer is busy.
    Reserve(Content),
    /// A busy one is finished, with a look at the losses so far.
    Commit {
        which: u8,
        discarded: bool,
    },
    /// Both at once, so many times.
    Write(Content, u8),
    /// The reader is woken, if it asked for that.
    Wake,
    Lose(u16),
    /// As many as a reader loses that sleeps for a day.
    LoseMany(u32),

    Take,
    Read(u8),
    Pop,
    Arm,

    /// What no kernel does: a word so many words before or behind what is to be read next, a
    /// position so far from it, and any count.
    Scribble(i16, u32),
    Position(i32),
    Count(u32),
}

/// What a record holds.
#[derive(Arbitrary, Clone, Debug)]
enum Content {
    Event(Kind, u32),
    /// With so many words of one number behind it.
    Noted(Kind, u32, u8),
    Bytes(Vec<u8>),
    Long(u32),
}

impl Content {
    fn bytes(&self, lost: u32) -> Vec<u8> {
        let event = |kind: &Kind, number: u32, words: usize| {
            let happening = Happening { what: kind.what(), words: [number; 6] };
            let rest = number.to_ne_bytes().repeat(words);
            [&happening.datagram()[..], &lost.to_ne_bytes(), &rest].concat()
        };
        match self {
            Self::Event(kind, number) => event(kind, *number, 0),
            Self::Noted(kind, number, words) => event(kind, *number, (*words).into()),
            Self::Bytes(bytes) => {
                let mut bytes = bytes.clone();
                if let Some(count) = bytes.get_mut(76..80) {
                    count.copy_from_slice(&lost.to_ne_bytes());
                }
                bytes
            }
            Self::Long(len) => event(&Kind::Exec, *len, (*len % (1 << 13)) as usize),
        }
    }
}

fuzz_target!(|input: Input| {
    let start = match input.start {
        Start::Zero => 0,
        Start::BeforeTheEnd(by) => 0_usize.wrapping_sub(by.into()),
        Start::Anywhere(start) => start,
    };
    let size = match input.size {
        Size::Smallest => 4096,
        Size::Double => 8192,
        Size::Large => 512 << 10,
    };
    let mut line = Line::new(size, start & !7);
    for step in &input.steps {
        line.step(step, input.wild);
        line.compare();
    }
    line.drain(!input.wild);
});

/// A record that was reserved.
struct Reserved {
    position: usize,
    content: Content,
    state: State,
}

enum State {
    Busy,
    Discarded,
    /// With this datagram.
    Committed(Vec<u8>),
}

/// Both rings, and the kernel that writes to them.
struct Line {
    fake: FakeRing,
    naive: Ring,
    written: usize,
    lost: u32,
    reserved: Vec<Reserved>,
    /// All datagrams that came, and the losses that were told, modulo 2^32.
    received: Vec<Vec<u8>>,
    told: u32,
}

impl Line {
    fn new(size: usize, start: usize) -> Self {
        Self {
            fake: FakeRing::new(size, start).expect("memory"),
            naive: Ring::new(size, start),
            written: start,
            lost: 0,
            reserved: Vec::new(),
            received: Vec::new(),
            told: 0,
        }
    }

    fn step(&mut self, step: &Step, wild: bool) {
        match step {
            Step::Reserve(content) => drop(self.reserve(content.clone())),
            Step::Commit { which, discarded } => {
                let busy = |reserved: &Reserved| matches!(reserved.state, State::Busy);
                let busy: Vec<usize> =
                    (0..self.reserved.len()).filter(|&n| busy(&self.reserved[n])).collect();
                if let Some(&one) = busy.get(usize::from(*which) % busy.len().max(1)) {
                    self.commit(one, *discarded);
                }
            }
            Step::Write(content, times) => {
                for _ in 0..=*times % 64 {
                    let Some(one) = self.reserve(content.clone()) else { break };
                    self.commit(one, false);
                }
            }
            Step::Wake => {
                if self.fake.disarm() {
                    if let Some(one) = self.reserve(Content::Bytes(vec![0; 8])) {
                        self.commit(one, true);
                    }
                }
            }
            Step::Lose(count) => self.lose((*count).into()),
            // No program is interrupted for as long as that takes.
            Step::LoseMany(count) if !self.is_any_busy() => self.lose(*count),
            Step::LoseMany(_) => {}
            Step::Take => drop(self.take()),
            Step::Read(times) => {
                (0..*times).all(|_| self.read());
            }
            Step::Pop => drop(self.pop()),
            Step::Arm => assert_eq!(self.fake.arm(), self.naive.waits()),
            _ if !wild => {}
            Step::Scribble(ahead, word) => {
                let at = self.naive.position().wrapping_add_signed(4 * isize::from(*ahead));
                self.write(at, &word.to_ne_bytes());
            }
            Step::Position(ahead) => {
                self.written = self.naive.position().wrapping_add_signed(*ahead as isize);
                self.set_written();
            }
            Step::Count(count) => {
                self.lost = *count;
                self.lose(0);
            }
        }
    }

    /// As `__bpf_ringbuf_reserve`: room for a record, unless there is none, which is a loss.
    fn reserve(&mut self, content: Content) -> Option<usize> {
        let len = content.bytes(0).len();
        let position = self.written;
        let written = position.wrapping_add((8 + len).next_multiple_of(8));
        let published = self.fake.published().expect("memory");
        if written.wrapping_sub(published) >= self.naive.size() {
            self.lose(1);
            return None;
        }
        self.write(position, &[len as u32 | 1 << 31, 7].map(u32::to_ne_bytes).concat());
        self.written = written;
        self.set_written();
        self.reserved.push(Reserved { position, content, state: State::Busy });
        Some(self.reserved.len() - 1)
    }

    /// As `bpf_ringbuf_commit`.
    fn commit(&mut self, one: usize, discarded: bool) {
        let Reserved { position, content, state } = &mut self.reserved[one];
        let (position, bytes) = (*position, content.bytes(self.lost));
        let discard = if discarded { 1 << 30 } else { 0 };
        *state = match discarded {
            true => State::Discarded,
            false => State::Committed(bytes[..bytes.len().min(76)].to_vec()),
        };
        self.write(position.wrapping_add(8), &bytes);
        self.write(position, &(bytes.len() as u32 | discard).to_ne_bytes());
    }

    fn is_any_busy(&self) -> bool {
        self.reserved.iter().any(|reserved| matches!(reserved.state, State::Busy))
    }

    fn lose(&mut self, count: u32) {
        self.lost = self.lost.wrapping_add(count);
        self.fake.set_lost(self.lost);
        self.naive.set_lost(self.lost);
    }

    fn write(&mut self, position: usize, bytes: &[u8]) {
        self.fake.write(position, bytes).expect("memory");
        self.naive.write(position, bytes);
    }

    fn set_written(&mut self) {
        self.fake.set_written(self.written).expect("memory");
        self.naive.set_written(self.written);
    }

    /// Whether there is something; `None` if the ring is corrupt.
    fn take(&mut self) -> Option<bool> {
        let taken = self.fake.take().ok();
        assert_eq!(taken, self.naive.take().ok());
        taken
    }

    /// Whether the batch goes on.
    fn read(&mut self) -> bool {
        match (self.fake.read(), self.naive.read()) {
            (Some(Seen::Message(message)), Some(Read::Message(datagram, noted))) => {
                let expected = Notifications::<NativeEndian>::new(&datagram).next();
                is_same(&message, &expected.expect("a message"), noted.as_deref());
                self.received.push(datagram);
                true
            }
            (Some(Seen::Lost(count)), Some(Read::Lost(expected))) => {
                assert_eq!(count, expected.into());
                self.told = self.told.wrapping_add(expected);
                true
            }
            (None, None) => false,
            (seen, expected) => panic!("{seen:?} is not {expected:?}"),
        }
    }

    /// Whether there was something; `None` if the ring is corrupt.
    fn pop(&mut self) -> Option<bool> {
        let mut buffer = [0; 76];
        let popped = self.fake.pop(&mut buffer).ok();
        let popped = popped.map(|popped| popped.map(|len| len.map(|len| buffer[..len].to_vec())));
        assert_eq!(popped, self.naive.pop().ok());
        match popped? {
            Some(Ok(datagram)) => self.received.push(datagram),
            Some(Err(lost)) => self.told = self.told.wrapping_add(lost),
            None => return Some(false),
        }
        Some(true)
    }

    fn compare(&self) {
        assert_eq!(self.fake.published().expect("memory"), self.naive.published());
        assert_eq!(self.fake.has_more(), self.naive.has_more());
        assert_eq!(self.fake.is_filling(), self.naive.is_filling());
    }

    /// Reads to the end, which is where the first writer is still busy, or the ring is corrupt.
    fn drain(mut self, is_lawful: bool) {
        let mut rounds = 0;
        while let Some(true) = self.take() {
            while self.read() {}
            if self.naive.is_busy() {
                break;
            }
            rounds += 1;
            assert!(rounds <= self.naive.size() / 8 + 2, "it stands still");
        }
        self.compare();
        if !is_lawful {
            return;
        }
        assert!(self.fake.take().is_ok());
        let committed = self.reserved.iter().map_while(|reserved| match &reserved.state {
            State::Busy => None,
            State::Discarded => Some(None),
            State::Committed(datagram) => Some(Some(datagram)),
        });
        // A record without a byte is no message; alone it comes as an empty one.
        let is_any = |datagram: &&Vec<u8>| !datagram.is_empty();
        assert!(committed.flatten().filter(is_any).eq(self.received.iter().filter(is_any)));
        assert!(self.is_any_busy() || self.told == self.lost);
    }
}

fn is_same(
    one: &Result<Notification<'_>, proc_connector_core::ParseError>,
    other: &Result<Notification<'_>, proc_connector_core::ParseError>,
    noted: Option<&[u8]>,
) {
    match (one, other) {
        (Ok(Notification::Event(one)), Ok(Notification::Event(other))) => {
            assert_eq!(EventRecord::from(*one), EventRecord::from(*other));
            let expected = noted.and_then(Context::parse);
            let context = one.context();
            assert_eq!(format!("{context:?}"), format!("{expected:?}"));
            let args = |context: Option<Context<'_>>| {
                context.and_then(|context| context.args()).map(|args| args.iter().count())
            };
            assert_eq!(args(context), args(expected));
        }
        (Ok(Notification::Ack(one)), Ok(Notification::Ack(other))) => assert_eq!(one, other),
        (Ok(Notification::Control(one)), Ok(Notification::Control(other))) => {
            assert_eq!(one, other);
        }
        (Err(one), Err(other)) => assert_eq!(one, other),
        (one, other) => panic!("{one:?} is not {other:?}"),
    }
}
