//! The statuses of ended processes, in classes whose number is limited.

use std::collections::BTreeMap;

use proc_connector::ExitStatus;
use proc_connector::parser::signal_name;

/// The outcome of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Success,
    /// The exit code is not 0.
    Failure,
    /// A signal killed the process.
    Signal,
    Unknown,
}

impl Outcome {
    pub(super) const ALL: [(Self, &str); 4] = [
        (Self::Success, "success"),
        (Self::Failure, "failure"),
        (Self::Signal, "signal"),
        (Self::Unknown, "unknown"),
    ];

    pub(super) fn of(status: Option<ExitStatus>) -> Self {
        match status {
            None => Self::Unknown,
            Some(status) if status.success() => Self::Success,
            Some(status) if status.signal().is_some() => Self::Signal,
            Some(_) => Self::Failure,
        }
    }
}

/// The number of processes that ended with each class of statuses.
#[derive(Debug, Default)]
pub(super) struct Statuses(BTreeMap<&'static str, u64>);

impl Statuses {
    pub(super) fn count(&mut self, status: Option<ExitStatus>) {
        *self.0.entry(class(status)).or_default() += 1;
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.0.iter().map(|(&class, &count)| (class, count))
    }
}

/// The class of a status: codes with a meaning in shells have a class of their own.
fn class(status: Option<ExitStatus>) -> &'static str {
    let Some(status) = status else { return "unknown" };
    if let Some(signal) = status.signal() {
        // Real-time signals have no names.
        return signal_name(signal).unwrap_or("SIGRT");
    }
    match status.code() {
        Some(0) => "0",
        Some(1) => "1",
        Some(2) => "2",
        Some(3..=125) => "3-125",
        Some(126) => "126",
        Some(127) => "127",
        Some(128..) => "128-255",
        None => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proc_connector::ExitStatus;

    use super::class;

    #[test]
    fn every_status_has_one_of_a_limited_number_of_classes() {
        let of = |raw| class(Some(ExitStatus::from_raw(raw)));
        for (raw, expected) in [
            (0, "0"),
            (1 << 8, "1"),
            (2 << 8, "2"),
            (3 << 8, "3-125"),
            (125 << 8, "3-125"),
            (126 << 8, "126"),
            (127 << 8, "127"),
            (128 << 8, "128-255"),
            (255 << 8, "128-255"),
            (9, "SIGKILL"),
            (0x8b, "SIGSEGV"),
            (34, "SIGRT"),
        ] {
            assert_eq!(of(raw), expected, "{raw:#x}");
        }
        assert_eq!(class(None), "unknown");
        let all: BTreeSet<&str> = (0..=u32::from(u16::MAX)).map(of).collect();
        assert!(all.len() <= 8 + 32, "{all:?}");
    }
}
