//! Forests for the tests of profiles, with times from 0.

use proc_connector::Usage;
use proptest::prelude::*;

use super::super::forest::{Forest, Life};

/// Processes with a creator, a start and an end.
pub(super) fn forest(lives: &[(Option<usize>, u64, u64)]) -> Forest {
    let life = |&(creator, start, end): &(Option<usize>, u64, u64)| Life {
        creator,
        start_ns: Some(start),
        end_ns: Some(end),
        ..Life::default()
    };
    families(&lives.iter().map(life).collect::<Vec<_>>())
}

pub(super) fn families(lives: &[Life]) -> Forest {
    let times = lives.iter().flat_map(|life| [life.start_ns, life.end_ns]).flatten();
    let end_ns = times.max().unwrap_or_default();
    Forest { lives: lives.to_vec(), end_ns, ..Forest::default() }
}

/// Processes in any relation: orphans, roots, processes that took no time or still run, and children
/// that appear to start before their creators.
pub(super) fn random_lives() -> impl Strategy<Value = Vec<Life>> {
    let life = (any::<u16>(), 0_u64..60, 0_u64..40, any::<u8>(), 0_u64..1_000);
    proptest::collection::vec(life, 1..25).prop_map(|lives| {
        let life = |(index, (creator, start, length, kind, value))| {
            let (creator, kind, index): (u16, u8, usize) = (creator, kind, index);
            Life {
                creator: (creator % 8 > 0 && index > 0).then(|| usize::from(creator) % index),
                tgid: u32::from(creator),
                start_ns: Some(start),
                end_ns: (kind % 9 > 0).then_some(start + length),
                usage: (kind % 9 > 1).then(|| Usage {
                    cpu_ns: value,
                    max_rss: Some(value / 2),
                    ..Usage::default()
                }),
                ..Life::default()
            }
        };
        lives.into_iter().enumerate().map(life).collect()
    })
}
