//! The reader of a ring, over memory that this target fills. If it fills the memory as a kernel
//! does, each committed record is delivered once and in order, and all losses are reported. For any
//! memory, the reader returns the same as a naive reader, and ends.

#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use proc_connector::fuzzing::{FakeRing, Seen};
use proc_connector_core::testing::filters::RawEvent;
use proc_connector_core::{
    Args, Context, EventRecord, KernelPath, NativeEndian, Notification, Notifications, Usage,
};
use proc_connector_fuzz::naive_ring::{Read, Ring, datagram};
use proc_connector_fuzz::shape::Kind;

#[derive(Arbitrary, Debug)]
struct Input {
    size: Size,
    start: Start,
    /// Whether to perform steps that no kernel makes.
    wild: bool,
    steps: Vec<Step>,
}

#[derive(Arbitrary, Debug)]
enum Size {
    Smallest,
    Double,
    /// Large enough for the longest batches.
    Large,
}

/// The first position.
#[derive(Arbitrary, Debug)]
enum Start {
    Zero,
    /// This distance before the wrap.
    BeforeTheEnd(u16),
    Anywhere(usize),
}

#[derive(Arbitrary, Debug)]
enum Step {
    /// Reserve a record; its writer stays busy.
    Reserve(Content),
    /// Commit a busy record, with the current count of losses.
    Commit {
        which: u8,
        discarded: bool,
    },
    /// Reserve and commit a record, this many times.
    Write(Content, u8),
    /// Wake the reader, if it waits for that.
    Wake,
    Lose(u16),
    /// As many losses as occur while a reader sleeps for a day.
    LoseMany(u32),

    Take,
    Read(u8),
    Pop,
    Arm,

    /// Steps that no kernel makes: write a word at this distance from the next record, set a
    /// position at this distance from it, and set any count.
    Scribble(i16, u32),
    Position(i32),
    Count(u32),
}

/// The content of a record.
#[derive(Arbitrary, Clone, Debug)]
enum Content {
    Event(Kind, u32),
    /// An event with a context of this many equal words.
    WithContext(Kind, u32, u8),
    Bytes(Vec<u8>),
    Long(u32),
}

impl Content {
    fn bytes(&self, lost: u32) -> Vec<u8> {
        let event = |kind: &Kind, number: u32, words: usize| {
            let raw_event = RawEvent { what: kind.what(), words: [number; 6] };
            let rest = number.to_ne_bytes().repeat(words);
            [&raw_event.datagram()[16..], &lost.to_ne_bytes(), &rest].concat()
        };
        match self {
            Self::Event(kind, number) => event(kind, *number, 0),
            Self::WithContext(kind, number, words) => event(kind, *number, (*words).into()),
            Self::Bytes(bytes) => {
                let mut bytes = bytes.clone();
                if let Some(count) = bytes.get_mut(60..64) {
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
    let mut harness = Harness::new(size, start & !7);
    for step in &input.steps {
        harness.step(step, input.wild);
        harness.compare();
    }
    harness.drain(!input.wild);
});

/// A reserved record.
struct Reserved {
    position: usize,
    content: Content,
    state: State,
}

enum State {
    Busy,
    Discarded,
    /// With this message.
    Committed(Vec<u8>),
}

/// Both rings, and a model of the kernel that writes to them.
struct Harness {
    fake: FakeRing,
    naive: Ring,
    written: usize,
    lost: u32,
    reserved: Vec<Reserved>,
    /// All received messages, and the reported losses, modulo 2^32.
    received: Vec<Vec<u8>>,
    reported: u32,
}

impl Harness {
    fn new(size: usize, start: usize) -> Self {
        Self {
            fake: FakeRing::new(size, start).expect("memory"),
            naive: Ring::new(size, start),
            written: start,
            lost: 0,
            reserved: Vec::new(),
            received: Vec::new(),
            reported: 0,
        }
    }

    fn step(&mut self, step: &Step, wild: bool) {
        match step {
            Step::Reserve(content) => drop(self.reserve(content.clone())),
            Step::Commit { which, discarded } => {
                let busy = |reserved: &Reserved| matches!(reserved.state, State::Busy);
                let busy: Vec<usize> =
                    (0..self.reserved.len()).filter(|&n| busy(&self.reserved[n])).collect();
                if let Some(&index) = busy.get(usize::from(*which) % busy.len().max(1)) {
                    self.commit(index, *discarded);
                }
            }
            Step::Write(content, times) => {
                for _ in 0..=*times % 64 {
                    let Some(index) = self.reserve(content.clone()) else { break };
                    self.commit(index, false);
                }
            }
            Step::Wake => {
                if self.fake.disarm() {
                    if let Some(index) = self.reserve(Content::Bytes(vec![0; 8])) {
                        self.commit(index, true);
                    }
                }
            }
            Step::Lose(count) => self.lose((*count).into()),
            // A writer with a reserved record is never interrupted for that long.
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

    /// Like `__bpf_ringbuf_reserve`: reserves a record, or counts a loss if the ring is full.
    /// Returns the index of the record.
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

    /// Like `bpf_ringbuf_commit`.
    fn commit(&mut self, index: usize, discarded: bool) {
        let Reserved { position, content, state } = &mut self.reserved[index];
        let (position, bytes) = (*position, content.bytes(self.lost));
        let discard = if discarded { 1 << 30 } else { 0 };
        *state = match discarded {
            true => State::Discarded,
            false => State::Committed(bytes[..bytes.len().min(60)].to_vec()),
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

    /// Whether an item is available; `None` if the ring is corrupt.
    fn take(&mut self) -> Option<bool> {
        let taken = self.fake.take().ok();
        assert_eq!(taken, self.naive.take().ok());
        taken
    }

    /// Whether the batch continues.
    fn read(&mut self) -> bool {
        match (self.fake.read(), self.naive.read()) {
            (Some(Seen::Message(seen)), Some(Read::Message(message, context))) => {
                let datagram = datagram(&message);
                let expected = Notifications::<NativeEndian>::new(&datagram).next();
                is_same(&seen, &expected.expect("a message"), &context);
                self.received.push(message);
                true
            }
            (Some(Seen::Lost(count)), Some(Read::Lost(expected))) => {
                assert_eq!(count, expected.into());
                self.reported = self.reported.wrapping_add(expected);
                true
            }
            (None, None) => false,
            (seen, expected) => panic!("{seen:?} is not {expected:?}"),
        }
    }

    /// Whether an item was available; `None` if the ring is corrupt.
    fn pop(&mut self) -> Option<bool> {
        let mut buffer = [0; 76];
        let popped = self.fake.pop(&mut buffer).ok();
        let popped = popped.map(|popped| popped.map(|len| len.map(|len| buffer[..len].to_vec())));
        assert_eq!(popped, self.naive.pop().ok());
        match popped? {
            Some(Ok(datagram)) => self.received.push(datagram[16..].to_vec()),
            Some(Err(lost)) => self.reported = self.reported.wrapping_add(lost),
            None => return Some(false),
        }
        Some(true)
    }

    fn compare(&self) {
        assert_eq!(self.fake.published().expect("memory"), self.naive.published());
        assert_eq!(self.fake.has_more(), self.naive.has_more());
        assert_eq!(self.fake.is_filling(), self.naive.is_filling());
    }

    /// Reads to the end, to the first busy record, or until the ring is corrupt.
    fn drain(mut self, is_kernel: bool) {
        let mut rounds = 0;
        while let Some(true) = self.take() {
            while self.read() {}
            if self.naive.is_busy() {
                break;
            }
            rounds += 1;
            assert!(rounds <= self.naive.size() / 8 + 2, "the reader makes no progress");
        }
        self.compare();
        if !is_kernel {
            return;
        }
        assert!(self.fake.take().is_ok());
        let committed = self.reserved.iter().map_while(|reserved| match &reserved.state {
            State::Busy => None,
            State::Discarded => Some(None),
            State::Committed(message) => Some(Some(message)),
        });
        // An empty record contains no message. `pop` delivers it as a netlink header alone.
        let is_any = |message: &&Vec<u8>| !message.is_empty();
        assert!(committed.flatten().filter(is_any).eq(self.received.iter().filter(is_any)));
        assert!(self.is_any_busy() || self.reported == self.lost);
    }
}

fn is_same(
    one: &Result<Notification<'_>, proc_connector_core::ParseError>,
    other: &Result<Notification<'_>, proc_connector_core::ParseError>,
    context_bytes: &[u8],
) {
    match (one, other) {
        (Ok(Notification::Event(one)), Ok(Notification::Event(other))) => {
            assert_eq!(EventRecord::from(*one), EventRecord::from(*other));
            let expected = Context::parse(other.what(), context_bytes);
            assert_eq!(everything(one.context()), everything(expected));
        }
        (Ok(Notification::Ack(one)), Ok(Notification::Ack(other))) => assert_eq!(one, other),
        (Ok(Notification::Control(one)), Ok(Notification::Control(other))) => {
            assert_eq!(one, other);
        }
        // Offsets of errors are relative to the message, and to the datagram.
        (Err(_), Err(_)) => {}
        (one, other) => panic!("{one:?} is not {other:?}"),
    }
}

/// All that a context returns.
fn everything(context: Option<Context<'_>>) -> String {
    let Some(context) = context else { return String::new() };
    let args = |args: Option<Args<'_>>| args.map(|args| args.iter().count());
    let path = |path: Option<KernelPath<'_>>| path.map(|path| path.components().count());
    let usage =
        |usage: Option<Usage>| usage.map(|usage| (usage, usage.user_ns(), usage.system_ns()));
    format!(
        "{:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
        (context.tgid(), context.start_boottime_ns(), context.child_start_boottime_ns()),
        (context.is_over(), context.process_status(), context.comm()),
        (usage(context.usage()), usage(context.process_usage()), context.program()),
        (context.filename(), args(context.args()), args(context.env())),
        (path(context.exe()), path(context.cwd())),
        (context.pid(), context.uid(), context.gid(), context.euid(), context.egid()),
        (context.session(), context.tty(), context.login_uid(), context.audit_session()),
        (context.ns_tgid(), context.pid_ns(), context.cgroup_id(), context.boot_ns()),
    )
}
