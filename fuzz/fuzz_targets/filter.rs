//! The filter compiler: the kernel accepts the program of every filter, and the program agrees with
//! the model on every event.

#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use proc_connector_core::filter::MAX_PROGRAM_LEN;
use proc_connector_core::testing::bpf;
use proc_connector_core::testing::filters::{FilterModel, RawEvent, TgidRule};
use proc_connector_core::{Notification, Notifications};
use proc_connector_fuzz::shape::Kind;
use proc_connector_sys::sock_filter;

#[derive(Arbitrary, Debug)]
struct Input {
    /// The kinds that the mask excludes.
    unwanted: u32,
    processes_only: bool,
    failures_only: bool,
    kind: Kind,
    /// Use the high half of each word. The small range makes equal numbers likely.
    high: bool,
    words: [u16; 6],
    /// Whether to pass only these processes, or to drop them.
    only: Option<bool>,
    tgids: Vec<u16>,
    /// Number of additional consecutive ids.
    more: u16,
}

const NOTHING: sock_filter = sock_filter { code: 0, jt: 0, jf: 0, k: 0 };

fuzz_target!(|input: Input| {
    let number = |number: u16| u32::from(number) << if input.high { 16 } else { 0 };
    let tgids = input.only.map(|only| {
        let set = if only { TgidRule::Only } else { TgidRule::Except };
        let all = input.tgids.iter().copied().chain(0..input.more);
        (set, all.take(1024).map(number).collect())
    });
    let (mask, processes_only) = (!input.unwanted, input.processes_only);
    let model = FilterModel { mask, processes_only, failures_only: input.failures_only, tgids };
    let event = RawEvent { what: input.kind.what(), words: input.words.map(number) };
    let (filter, datagram) = (model.filter(), event.datagram());

    let mut buffer = [NOTHING; MAX_PROGRAM_LEN];
    let program = filter.compile(&mut buffer).expect("a program that fits");
    assert_accepted(program);
    let mut exact = vec![NOTHING; program.len()];
    let again = filter.compile(&mut exact).expect("the same program");
    assert!(again.iter().map(parts).eq(program.iter().map(parts)));
    exact.pop();
    assert!(filter.compile(&mut exact).is_none(), "the buffer is one instruction too short");

    let kept = bpf::run(program, &datagram) != 0;
    match Notifications::new(&datagram).next() {
        Some(Ok(Notification::Ack(_))) => assert!(kept, "acknowledgements pass"),
        Some(Ok(Notification::Event(read))) => {
            assert_eq!(filter.matches(&read), model.passes(&event));
            assert_eq!(kept, model.passes(&event));
        }
        other => panic!("{other:?}"),
    }
});

fn parts(instruction: &sock_filter) -> (u16, u8, u8, u32) {
    (instruction.code, instruction.jt, instruction.jf, instruction.k)
}

/// Asserts the rules of `bpf_check_classic` in the kernel's `net/core/filter.c`.
fn assert_accepted(program: &[sock_filter]) {
    assert!((1..=4096).contains(&program.len()), "BPF_MAXINSNS");
    for (at, &sock_filter { code, jt, jf, k }) in program.iter().enumerate() {
        let behind = program.len() - at - 1;
        match code {
            // BPF_JMP: unconditional and conditional jumps.
            0x05 => assert!((k as usize) < behind),
            0x15 | 0x1d | 0x35 | 0x45 => assert!(usize::from(jt.max(jf)) < behind),
            // BPF_LD | BPF_W | BPF_ABS: no ancillary data (SKF_AD_OFF).
            0x20 => assert!(k < 0x8000_0000),
            // BPF_ALU | BPF_RSH | BPF_K.
            0x74 => assert!(k < 32),
            0x06 | 0x07 => {}
            other => panic!("instruction {other:#x}"),
        }
    }
    assert_eq!(program.last().map(|last| last.code), Some(0x06), "the last instruction is BPF_RET");
}
