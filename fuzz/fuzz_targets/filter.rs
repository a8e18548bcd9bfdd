//! The filter compiler: with any parts the program is one that the kernel takes, and says of any
//! event what the numbers say.

#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use proc_connector_core::filter::MAX_PROGRAM_LEN;
use proc_connector_core::testing::filters::{Choice, Happening, Set};
use proc_connector_core::testing::machine;
use proc_connector_core::{Notification, Notifications};
use proc_connector_fuzz::shape::Kind;
use proc_connector_sys::sock_filter;

#[derive(Arbitrary, Debug)]
struct Input {
    /// The kinds that the mask leaves out.
    unwanted: u32,
    processes_only: bool,
    failures_only: bool,
    kind: Kind,
    /// Few different numbers, so that they are often the same, with low bits or with high ones.
    high: bool,
    words: [u16; 6],
    /// Whether to follow these processes or to leave them out.
    only: Option<bool>,
    tgids: Vec<u16>,
    /// And as many more, one beside the other.
    more: u16,
}

const NOTHING: sock_filter = sock_filter { code: 0, jt: 0, jf: 0, k: 0 };

fuzz_target!(|input: Input| {
    let number = |number: u16| u32::from(number) << if input.high { 16 } else { 0 };
    let tgids = input.only.map(|only| {
        let set = if only { Set::Only } else { Set::Except };
        let all = input.tgids.iter().copied().chain(0..input.more);
        (set, all.take(1024).map(number).collect())
    });
    let (mask, processes_only) = (!input.unwanted, input.processes_only);
    let choice = Choice { mask, processes_only, failures_only: input.failures_only, tgids };
    let event = Happening { what: input.kind.what(), words: input.words.map(number) };
    let (filter, datagram) = (choice.filter(), event.datagram());

    let mut buffer = [NOTHING; MAX_PROGRAM_LEN];
    let program = filter.compile(&mut buffer).expect("a program that fits");
    is_taken(program);
    let mut exact = vec![NOTHING; program.len()];
    let again = filter.compile(&mut exact).expect("the same program");
    assert!(again.iter().map(parts).eq(program.iter().map(parts)));
    exact.pop();
    assert!(filter.compile(&mut exact).is_none(), "one instruction more than there is room for");

    let kept = machine::run(program, &datagram) != 0;
    match Notifications::new(&datagram).next() {
        Some(Ok(Notification::Ack(_))) => assert!(kept, "acknowledgements pass"),
        Some(Ok(Notification::Event(read))) => {
            assert_eq!(filter.matches(&read), choice.wants(&event));
            assert_eq!(kept, choice.wants(&event));
        }
        other => panic!("{other:?}"),
    }
});

fn parts(instruction: &sock_filter) -> (u16, u8, u8, u32) {
    (instruction.code, instruction.jt, instruction.jf, instruction.k)
}

/// What `bpf_check_classic` of the kernel's `net/core/filter.c` asks of a program.
fn is_taken(program: &[sock_filter]) {
    assert!((1..=4096).contains(&program.len()), "BPF_MAXINSNS");
    for (at, &sock_filter { code, jt, jf, k }) in program.iter().enumerate() {
        let behind = program.len() - at - 1;
        match code {
            // BPF_JMP: the jump unconditional, and those by a comparison.
            0x05 => assert!((k as usize) < behind),
            0x15 | 0x1d | 0x35 | 0x45 => assert!(usize::from(jt.max(jf)) < behind),
            // BPF_LD | BPF_W | BPF_ABS: never the ancillary data behind SKF_AD_OFF.
            0x20 => assert!(k < 0x8000_0000),
            // BPF_ALU | BPF_RSH | BPF_K.
            0x74 => assert!(k < 32),
            0x06 | 0x07 => {}
            other => panic!("instruction {other:#x}"),
        }
    }
    assert_eq!(program.last().map(|last| last.code), Some(0x06), "ends with BPF_RET");
}
