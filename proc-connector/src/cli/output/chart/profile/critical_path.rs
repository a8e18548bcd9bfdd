//! The critical path: the chain of processes that the end waited for.
//!
//! The path is found backwards from the end of the root. It is at the process that is being followed,
//! and moves into the child that ended last before that point, at the end of that child. At the start
//! of the child it returns to the parent, which continues with the child that ended last before that
//! start. Work off the path does not delay the end.
//!
//! A child that outlives its parent is not on the path, because its end was not waited for. If there
//! are several roots, the path moves between them as between the children of one process.

use std::cmp::Reverse;

use super::super::forest::Forest;

/// A period in which the critical path is at one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// The place in [`Forest::lives`].
    pub(crate) process: usize,
    /// In nanoseconds of the events' clock.
    pub(crate) from_ns: u64,
    pub(crate) to_ns: u64,
}

/// A process that the path has entered.
struct Frame {
    /// `None` above the roots.
    process: Option<usize>,
    /// The path leaves the process at this time, for its parent.
    from_ns: u64,
    /// The children that the path has not reached yet, the last to end at the back.
    children: Vec<usize>,
}

/// The segments of the critical path in the order of time. They do not overlap, and those of a single
/// root cover its whole life.
pub(crate) fn critical_path(forest: &Forest) -> Vec<Segment> {
    let (mut children, roots) = forest.families();
    let frame = |process: Option<usize>, from_ns: u64, mut children: Vec<usize>| {
        let parent_runs = process.is_none_or(|process| forest.lives[process].runs());
        children.retain(|&child| parent_runs || !forest.lives[child].runs());
        // Of children that end together, the path enters the one that started first.
        children.sort_by_key(|&child| {
            (forest.end(child), Reverse(forest.start(child)), Reverse(child))
        });
        Frame { process, from_ns, children }
    };
    let mut path: Vec<Segment> = Vec::new();
    let mut now = forest.end_ns.max(forest.begin_ns);
    // An explicit stack, because a chain of processes may be longer than the stack of a thread.
    let mut stack = vec![frame(None, forest.begin_ns, roots)];
    while let Some(top) = stack.last_mut() {
        let mut next = top.children.pop();
        while next.is_some_and(|child| forest.end(child) > now) {
            next = top.children.pop();
        }
        let next = next.filter(|&child| forest.end(child) > top.from_ns);
        let from_ns = next.map_or(top.from_ns, |child| forest.end(child));
        if let Some(process) = top.process {
            push(&mut path, Segment { process, from_ns, to_ns: now });
        }
        now = from_ns;
        match next {
            Some(child) => {
                // With events out of order, a child may appear to start before its parent.
                let from_ns = forest.start(child).max(top.from_ns);
                let children = std::mem::take(&mut children[child]);
                stack.push(frame(Some(child), from_ns, children));
            }
            None => {
                stack.pop();
            }
        }
    }
    path.reverse();
    path
}

/// Adds a segment before the last one, unless it is empty.
fn push(path: &mut Vec<Segment>, segment: Segment) {
    if segment.from_ns >= segment.to_ns {
        return;
    }
    match path.last_mut() {
        // Only a process that took no time is between them.
        Some(last) if last.process == segment.process && last.from_ns == segment.to_ns => {
            last.from_ns = segment.from_ns;
        }
        _ => path.push(segment),
    }
}

/// The time that each process is on the path, in nanoseconds.
pub(crate) fn times_on_path(forest: &Forest, path: &[Segment]) -> Vec<u64> {
    let mut times = vec![0; forest.lives.len()];
    for segment in path {
        times[segment.process] += segment.to_ns - segment.from_ns;
    }
    times
}

#[cfg(test)]
mod tests;
