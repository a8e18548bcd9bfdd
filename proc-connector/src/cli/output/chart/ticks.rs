//! The positions and labels of the marks on a time axis.

use crate::cli::output::columns::short_time;

const MICRO: u64 = 1_000;
const MILLI: u64 = 1_000 * MICRO;
const SECOND: u64 = 1_000 * MILLI;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// About `wanted` marks for an axis of this length, at round numbers, each with its label.
pub(crate) fn ticks(length_ns: u64, wanted: u64) -> Vec<(u64, String)> {
    let step = step(length_ns / wanted.max(1));
    let mut ticks = Vec::new();
    let mut at = 0_u64;
    while at <= length_ns {
        ticks.push((at, label(at, step, length_ns)));
        let Some(next) = at.checked_add(step) else { break };
        at = next;
    }
    ticks
}

/// The smallest round number that is not less than `at_least`.
fn step(at_least: u64) -> u64 {
    const LONG: [u64; 12] = [
        MINUTE,
        2 * MINUTE,
        5 * MINUTE,
        10 * MINUTE,
        30 * MINUTE,
        HOUR,
        2 * HOUR,
        6 * HOUR,
        12 * HOUR,
        DAY,
        2 * DAY,
        5 * DAY,
    ];
    let short = (0..10).flat_map(|power| [1, 2, 5].map(|digit| digit * 10_u64.pow(power)));
    let short = short.chain([10 * SECOND, 20 * SECOND, 30 * SECOND]);
    let mut longer = (1..).map(|tens| 10_u64.saturating_pow(tens).saturating_mul(DAY));
    short
        .chain(LONG)
        .find(|&step| step >= at_least)
        .or_else(|| longer.find(|&step| step >= at_least))
        .unwrap_or(u64::MAX)
}

fn label(at: u64, step: u64, length: u64) -> String {
    if at == 0 {
        return "0".into();
    }
    if step >= MINUTE || at >= 2 * MINUTE {
        return short_time(at);
    }
    // The whole axis has one unit.
    let (unit, name) = match length {
        0..MICRO => (1, "ns"),
        MICRO..MILLI => (MICRO, "µs"),
        MILLI..SECOND => (MILLI, "ms"),
        _ => (SECOND, "s"),
    };
    let whole = at / unit;
    // A step of 0.2 needs one digit, like a step of 0.1.
    let parts = unit / step.max(1);
    let digits = parts.checked_ilog10().map_or(0, |log| log + u32::from(10_u64.pow(log) < parts));
    if digits == 0 {
        return format!("{whole} {name}");
    }
    let fraction = at % unit / (unit / 10_u64.pow(digits)).max(1);
    format!("{whole}.{fraction:0width$} {name}", width = digits as usize)
}

#[cfg(test)]
mod tests {
    use super::{HOUR, MINUTE, SECOND, ticks};

    #[test]
    fn marks_are_at_round_numbers() {
        for (length, text) in [
            (0, "0"),
            (10, "0, 2 ns, 4 ns, 6 ns, 8 ns, 10 ns"),
            (1_234_000, "0, 0.5 ms, 1.0 ms"),
            (374_000_000, "0, 100 ms, 200 ms, 300 ms"),
            (900_000_000, "0, 200 ms, 400 ms, 600 ms, 800 ms"),
            (2_100_000_000, "0, 0.5 s, 1.0 s, 1.5 s, 2.0 s"),
            (1_100_000_000, "0, 0.5 s, 1.0 s"),
            (9 * SECOND, "0, 2 s, 4 s, 6 s, 8 s"),
            (100 * SECOND, "0, 20 s, 40 s, 60 s, 80 s, 100 s"),
            (150 * SECOND, "0, 30 s, 60 s, 90 s, 2m00s, 2m30s"),
            (17 * MINUTE, "0, 5m00s, 10m00s, 15m00s"),
            (5 * HOUR, "0, 1h00m, 2h00m, 3h00m, 4h00m, 5h00m"),
        ] {
            let labels: Vec<String> =
                ticks(length, 5).into_iter().map(|(_, label)| label).collect();
            assert_eq!(labels.join(", "), text, "{length}");
        }
        assert!(ticks(u64::MAX, 10).len() < 20);
    }

    #[test]
    fn fractions_have_enough_digits() {
        let labels = |length| ticks(length, 20).into_iter().map(|(_, label)| label);
        assert_eq!(labels(1_000_000_000).nth(1).as_deref(), Some("0.05 s"));
        assert_eq!(labels(1_000_000_000).nth(3).as_deref(), Some("0.15 s"));
        assert_eq!(labels(3_900_000_000).nth(1).as_deref(), Some("0.2 s"));
    }
}
