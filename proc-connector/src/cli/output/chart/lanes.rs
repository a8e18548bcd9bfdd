//! Assigns processes to the lanes of a timeline. Children are below their creator. Processes that do
//! not overlap may share a lane.

use super::forest::Forest;

/// The maximum number of lanes of a chart. More would be unreadable.
pub(crate) const MAX_LANES: usize = 1_000;

/// The lane of each process.
#[derive(Debug)]
pub(crate) struct Lanes {
    lanes: Vec<Vec<usize>>,
    /// The number of processes without a lane.
    left_out: usize,
}

/// The space of a process and its descendants: a time span in each lane, from its own lane down.
type Block = Vec<Span>;

#[derive(Clone, Copy, Debug)]
struct Span {
    from: u64,
    to: u64,
}

impl Lanes {
    pub(crate) fn new(forest: &Forest) -> Self {
        let (mut children, roots) = forest.families();
        let mut blocks: Vec<Block> = vec![Block::new(); forest.lives.len()];
        // The distance of each process below its creator, or below the top.
        let mut below = vec![None; forest.lives.len()];
        for index in (0..forest.lives.len()).rev() {
            // Its children come later in the forest, so their blocks are complete.
            let own = Span { from: forest.start(index), to: forest.end(index) };
            let mut block = vec![own];
            let siblings = std::mem::take(&mut children[index]);
            place(&siblings, &mut block, 1, &mut blocks, &mut below);
            blocks[index] = block;
        }
        let mut all = Block::new();
        place(&roots, &mut all, 0, &mut blocks, &mut below);
        Self::from_distances(forest, &below)
    }

    fn from_distances(forest: &Forest, below: &[Option<usize>]) -> Self {
        let mut lanes: Vec<Vec<usize>> = Vec::new();
        let mut at: Vec<Option<usize>> = Vec::with_capacity(below.len());
        for (index, life) in forest.lives.iter().enumerate() {
            let creator = life.creator.map_or(Some(0), |creator| at[creator]);
            let lane = creator.zip(below[index]).map(|(creator, below)| creator + below);
            let lane = lane.filter(|&lane| lane < MAX_LANES);
            if let Some(lane) = lane {
                lanes.resize_with(lanes.len().max(lane + 1), Vec::new);
                lanes[lane].push(index);
            }
            at.push(lane);
        }
        for lane in &mut lanes {
            lane.sort_by_key(|&index| forest.start(index));
        }
        let left_out = at.iter().filter(|lane| lane.is_none()).count();
        Self { lanes, left_out }
    }

    /// The lanes from the top, each with its processes in the order of time.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &[usize]> {
        self.lanes.iter().map(Vec::as_slice)
    }

    pub(crate) fn left_out(&self) -> usize {
        self.left_out
    }
}

/// Places each of `siblings` in the first lane, from `first` on, where its block starts after the spans
/// in all its lanes.
fn place(
    siblings: &[usize],
    block: &mut Block,
    first: usize,
    blocks: &mut [Block],
    below: &mut [Option<usize>],
) {
    for &sibling in siblings {
        let child = std::mem::take(&mut blocks[sibling]);
        let fits = |&lane: &usize| {
            // Spans must not touch either, because viewers round times.
            let taken = block[lane.min(block.len())..].iter();
            taken.zip(&child).all(|(taken, wanted)| taken.to < wanted.from)
        };
        let Some(lane) = (first..MAX_LANES).find(fits) else { continue };
        below[sibling] = Some(lane);
        for (wanted, lane) in child.into_iter().zip(lane..MAX_LANES) {
            match block.get_mut(lane) {
                Some(taken) => taken.to = wanted.to,
                None => block.push(wanted),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::forest::{Forest, Life};
    use super::{Lanes, MAX_LANES};

    fn forest(lives: &[(Option<usize>, u64, u64)]) -> Forest {
        let lives: Vec<Life> = lives
            .iter()
            .map(|&(creator, start, end)| Life {
                creator,
                start_ns: Some(start),
                end_ns: Some(end),
                ..Life::default()
            })
            .collect();
        let end_ns = lives.iter().filter_map(|life| life.end_ns).max().unwrap_or_default();
        Forest { lives, end_ns, ..Forest::default() }
    }

    fn lanes(lives: &[(Option<usize>, u64, u64)]) -> Vec<Vec<usize>> {
        Lanes::new(&forest(lives)).iter().map(<[usize]>::to_vec).collect()
    }

    #[test]
    fn siblings_one_after_the_other_share_a_lane() {
        let lives = [(None, 0, 100), (Some(0), 10, 20), (Some(0), 21, 30), (Some(0), 40, 50)];
        assert_eq!(lanes(&lives), [vec![0], vec![1, 2, 3]]);
    }

    #[test]
    fn siblings_at_the_same_time_do_not() {
        let lives = [(None, 0, 100), (Some(0), 10, 30), (Some(0), 30, 50), (Some(0), 31, 40)];
        assert_eq!(lanes(&lives), [vec![0], vec![1, 3], vec![2]]);
    }

    #[test]
    fn descendants_are_below_and_free_their_lanes_at_their_end() {
        let lives = [
            (None, 0, 100),
            (Some(0), 10, 30),
            (Some(1), 12, 20),
            // Overlaps both.
            (Some(0), 15, 40),
            (Some(0), 50, 60),
            (Some(4), 51, 59),
        ];
        assert_eq!(lanes(&lives), [vec![0], vec![1, 4], vec![2, 5], vec![3]]);
    }

    #[test]
    fn an_orphan_keeps_its_place_after_its_creator() {
        let lives = [(None, 0, 100), (Some(0), 10, 12), (Some(1), 11, 90), (Some(0), 20, 30)];
        // The later sibling may use the lane of the creator, which has ended.
        assert_eq!(lanes(&lives), [vec![0], vec![1, 3], vec![2]]);
    }

    #[test]
    fn a_forest_without_trees_has_no_lanes() {
        assert!(lanes(&[]).is_empty());
    }

    #[test]
    fn processes_without_a_lane_are_counted() {
        let many = u64::try_from(MAX_LANES).expect("a small number") + 7;
        let lives: Vec<_> = (0..many).map(|_| (None, 5, 6)).collect();
        let lanes = Lanes::new(&forest(&lives));
        assert_eq!((lanes.iter().len(), lanes.left_out()), (MAX_LANES, 7));
        // Each is a child of the previous process.
        let lives: Vec<_> = (0..many)
            .map(|n| (usize::try_from(n).expect("a small number").checked_sub(1), n, n + 2))
            .collect();
        let lanes = Lanes::new(&forest(&lives));
        assert_eq!((lanes.iter().len(), lanes.left_out()), (MAX_LANES, 7));
    }

    proptest! {
        #[test]
        fn lanes_hold_one_process_at_a_time_and_children_below(
            lives in proptest::collection::vec((any::<u16>(), 0_u64..1_000, 0_u64..300), 0..80)
        ) {
            let lives: Vec<_> = lives
                .iter()
                .enumerate()
                .map(|(index, &(creator, start, length))| {
                    // One in eight has no creator.
                    let creator = (creator % 8 > 0 && index > 0).then(|| usize::from(creator) % index);
                    (creator, start, start + length)
                })
                .collect();
            let mut lane_of = vec![None; lives.len()];
            for (lane, indices) in lanes(&lives).iter().enumerate() {
                for pair in indices.windows(2) {
                    prop_assert!(lives[pair[0]].2 < lives[pair[1]].1);
                }
                for &index in indices {
                    prop_assert!(lane_of[index].replace(lane).is_none());
                }
            }
            for (index, &(creator, ..)) in lives.iter().enumerate() {
                prop_assert!(lane_of[index].is_some());
                if let Some(creator) = creator {
                    prop_assert!(lane_of[creator] < lane_of[index]);
                }
            }
        }
    }
}
