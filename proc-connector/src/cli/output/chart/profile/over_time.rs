//! Values that change over time.

/// A value from one time to another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) from_ns: u64,
    pub(super) to_ns: u64,
    pub(super) value: u64,
}

/// A change of a sum: its value from this time to the next step. It is 0 before the first step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) at_ns: u64,
    pub(crate) value: u64,
}

/// The sum of the values of spans, over time.
pub(super) fn steps(spans: impl IntoIterator<Item = Span>) -> Vec<Step> {
    let changes = spans.into_iter().filter(|span| span.from_ns < span.to_ns).flat_map(|span| {
        let value = i128::from(span.value);
        [(span.from_ns, value), (span.to_ns, -value)]
    });
    let mut changes: Vec<(u64, i128)> = changes.collect();
    changes.sort_unstable();
    let (mut steps, mut sum) = (Vec::new(), 0);
    for changes in changes.chunk_by(|a, b| a.0 == b.0) {
        let change: i128 = changes.iter().map(|&(_, change)| change).sum();
        sum += change;
        if change != 0 {
            let value = u64::try_from(sum).unwrap_or(u64::MAX);
            steps.push(Step { at_ns: changes[0].0, value });
        }
    }
    steps
}

/// The value of a sum at a time.
#[cfg(test)]
pub(super) fn value_at(steps: &[Step], at_ns: u64) -> u64 {
    steps.iter().take_while(|step| step.at_ns <= at_ns).last().map_or(0, |step| step.value)
}
