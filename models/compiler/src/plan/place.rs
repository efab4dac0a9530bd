//! Placing buffers: best gap in a given order, and a search over orders.

use super::buffers::Buffer;

/// Orders that are tried beyond the first.
const RETRIES: usize = 2000;
/// Bound on the pairs of buffers compared, so that large models plan in seconds.
const WORK: usize = 200_000_000;

/// Offsets by buffer and the end of the highest.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    pub offsets: Vec<usize>,
    pub bytes: usize,
}

/// For each buffer those that live at the same time.
pub(crate) struct Neighbours(Vec<Vec<usize>>);

impl Neighbours {
    pub fn of(buffers: &[Buffer]) -> Self {
        let near = |i: usize| {
            (0..buffers.len()).filter(|&j| j != i && buffers[i].life.overlaps(buffers[j].life)).collect::<Vec<_>>()
        };
        Neighbours((0..buffers.len()).map(near).collect())
    }

    pub fn pairs(&self) -> usize {
        self.0.iter().map(Vec::len).sum::<usize>() + self.0.len()
    }

    /// The smallest gap a buffer fits between those that lie (`offsets` is not `usize::MAX`) and
    /// live at the same time, else the place on top of them.
    pub fn best_gap(
        &self,
        buffers: &[Buffer],
        offsets: &[usize],
        index: usize,
        taken: &mut Vec<(usize, usize)>,
    ) -> usize {
        let buffer = buffers[index];
        taken.clear();
        taken.extend(
            self.0[index]
                .iter()
                .filter(|&&other| offsets[other] != usize::MAX && buffers[other].bytes > 0)
                .map(|&other| (offsets[other], offsets[other] + buffers[other].bytes)),
        );
        taken.sort_unstable();
        let (mut at, mut best) = (0usize, None::<(usize, usize)>);
        for &(start, stop) in taken.iter() {
            let aligned = at.next_multiple_of(buffer.align);
            if start >= aligned + buffer.bytes && best.is_none_or(|(gap, _)| start - at < gap) {
                best = Some((start - at, aligned));
            }
            at = at.max(stop);
        }
        best.map_or(at.next_multiple_of(buffer.align), |(_, offset)| offset)
    }
}

/// The best placement found. Stops early at the lower bound.
pub(crate) fn place(buffers: &[Buffer], lower_bound: usize) -> Placed {
    let near = Neighbours::of(buffers);
    let mut order: Vec<usize> = (0..buffers.len()).collect();
    order.sort_by_key(|&i| {
        let life = buffers[i].life;
        (std::cmp::Reverse(buffers[i].bytes), std::cmp::Reverse(life.last - life.first), i)
    });
    let mut best = in_order(buffers, &near, &order);
    let retries = RETRIES.min(WORK / (near.pairs() * 4).max(1));
    let mut state = random::SEED;
    for _ in 0..retries {
        if best.bytes <= lower_bound || order.len() < 2 {
            break;
        }
        let mut tried = order.clone();
        random::shuffle_some(&mut tried, &mut state);
        let placed = in_order(buffers, &near, &tried);
        if placed.bytes <= best.bytes {
            (best, order) = (placed, tried);
        }
    }
    best
}

/// Each buffer in its best gap, in this order.
fn in_order(buffers: &[Buffer], near: &Neighbours, order: &[usize]) -> Placed {
    let mut offsets = vec![usize::MAX; buffers.len()];
    let mut end = 0;
    let mut taken: Vec<(usize, usize)> = Vec::new();
    for &index in order {
        offsets[index] = near.best_gap(buffers, &offsets, index, &mut taken);
        end = end.max(offsets[index] + buffers[index].bytes);
    }
    Placed { offsets, bytes: end }
}

/// Small random changes of an order, the same in every run.
pub(crate) mod random {
    pub const SEED: u64 = 0x5e1_7ed6e;

    /// Moves one to four elements.
    pub fn shuffle_some(order: &mut Vec<usize>, state: &mut u64) {
        for _ in 0..1 + next(state) % 4 {
            let (i, j) = (next(state) % order.len(), next(state) % order.len());
            let moved = order.remove(i);
            order.insert(j, moved);
        }
    }

    /// SplitMix64.
    fn next(state: &mut u64) -> usize {
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 33) as usize
    }
}
