//! The unique ids of records.

use std::fmt::Write;

use proc_connector::process::BootId;

/// The sequence number of a CPU has 32 bits. It does not wrap within this power of two of nanoseconds,
/// which are 18 minutes.
const EPOCH_BITS: u32 = 40;

/// The most CPUs of a kernel (`NR_CPUS` in `arch/x86/Kconfig`).
const MAX_CPUS: usize = 8192;

/// Formats the ids of records. Those of events are `BOOT-CPU-EPOCH-SEQ`, in hexadecimal digits after the
/// boot id: the sequence number of the event on its CPU, and the time stamp divided by 2^40 ns. Those of
/// losses are `BOOT-lost-START-N`: the start of this exporter, and the number of losses since.
#[derive(Debug)]
pub(super) struct Uids {
    boot: String,
    start_ns: u64,
    losses: u64,
    /// The text before the sequence number, by CPU, with the CPU and the epoch that it is for.
    cpus: Vec<(Option<(u32, u64)>, String)>,
    sequence: String,
}

impl Uids {
    /// `start_ns` is the current time stamp.
    pub(super) fn new(boot: BootId, start_ns: u64) -> Self {
        let boot = boot.to_string();
        Self { boot, start_ns, losses: 0, cpus: Vec::new(), sequence: String::new() }
    }

    /// The two parts of an id.
    pub(super) fn of_event(&mut self, cpu: u32, timestamp_ns: u64, seq: u32) -> [&[u8]; 2] {
        let epoch = timestamp_ns >> EPOCH_BITS;
        let Self { boot, cpus, sequence, .. } = self;
        // Larger numbers, which no kernel has, share a place.
        let index = (cpu as usize).min(MAX_CPUS);
        if cpus.len() <= index {
            cpus.resize(index + 1, (None, String::new()));
        }
        let (known, prefix) = &mut cpus[index];
        if *known != Some((cpu, epoch)) {
            *known = Some((cpu, epoch));
            *prefix = format!("{boot}-{cpu:x}-{epoch:x}-");
        }
        sequence.clear();
        hexadecimal(seq, sequence);
        [prefix.as_bytes(), sequence.as_bytes()]
    }

    pub(super) fn of_loss(&mut self) -> String {
        let n = self.losses;
        self.losses += 1;
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = write!(text, "{}-lost-{:x}-{n:x}", self.boot, self.start_ns);
        text
    }
}

/// Appends a number in hexadecimal digits. Faster than the formatting of the standard library.
fn hexadecimal(number: u32, text: &mut String) {
    let digits = (u32::BITS - number.leading_zeros()).div_ceil(4).max(1);
    for digit in (0..digits).rev() {
        let value = number >> (4 * digit) & 0xf;
        text.push(char::from_digit(value, 16).unwrap_or('0'));
    }
}

#[cfg(test)]
mod tests {
    use proc_connector::process::BootId;
    use proptest::prelude::*;

    use super::Uids;

    const BOOT: &str = "0a1b2c3d-4e5f-4071-8293-a4b5c6d7e8f9";

    fn uids() -> Uids {
        Uids::new(BOOT.parse::<BootId>().expect("a boot id"), 0x1f)
    }

    #[test]
    fn losses_are_numbered() {
        let mut uids = uids();
        assert_eq!(uids.of_loss(), format!("{BOOT}-lost-1f-0"));
        assert_eq!(uids.of_loss(), format!("{BOOT}-lost-1f-1"));
    }

    proptest! {
        #[test]
        fn an_id_has_the_cpu_the_epoch_and_the_sequence_number(
            events in proptest::collection::vec((0_u32..20_000, 0_u64..4, any::<u32>()), 1..20),
        ) {
            let mut uids = uids();
            for (cpu, epoch, seq) in events {
                let id = uids.of_event(cpu, (epoch << 40) + 12_345, seq).concat();
                let expected = format!("{BOOT}-{cpu:x}-{epoch:x}-{seq:x}");
                prop_assert_eq!(String::from_utf8(id).expect("text"), expected);
            }
        }
    }
}
