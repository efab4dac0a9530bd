//! Placing buffers: best gap in a given order, and a search over orders.

use super::Buffer;

/// Orders that are tried beyond the first.
const RETRIES: usize = 2000;
/// Bound on the pairs of buffers compared, so that large models plan in seconds.
const WORK: usize = 200_000_000;
const SEED: u64 = 0x5e1_7ed6e;

/// Offsets by buffer and the end of the highest.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    pub offsets: Vec<usize>,
    pub bytes: usize,
}

/// The best placement found. Stops early at the lower bound.
pub(crate) fn place(buffers: &[Buffer], lower_bound: usize) -> Placed {
    let conflicts: Vec<Vec<usize>> = (0..buffers.len())
        .map(|i| (0..buffers.len()).filter(|&j| j != i && buffers[i].life.overlaps(buffers[j].life)).collect())
        .collect();
    let mut order: Vec<usize> = (0..buffers.len()).collect();
    order.sort_by_key(|&i| {
        let life = buffers[i].life;
        (std::cmp::Reverse(buffers[i].bytes), std::cmp::Reverse(life.last - life.first), i)
    });
    let mut best = in_order(buffers, &conflicts, &order);
    let pairs: usize = conflicts.iter().map(Vec::len).sum::<usize>() + buffers.len();
    let retries = RETRIES.min(WORK / (pairs * 4).max(1));
    let mut random = SEED;
    for _ in 0..retries {
        if best.bytes <= lower_bound || order.len() < 2 {
            break;
        }
        let mut tried = order.clone();
        for _ in 0..1 + next(&mut random) % 4 {
            let (i, j) = (next(&mut random) % tried.len(), next(&mut random) % tried.len());
            let moved = tried.remove(i);
            tried.insert(j, moved);
        }
        let placed = in_order(buffers, &conflicts, &tried);
        if placed.bytes <= best.bytes {
            (best, order) = (placed, tried);
        }
    }
    best
}

/// SplitMix64.
fn next(state: &mut u64) -> usize {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 33) as usize
}

/// Each buffer in the smallest gap it fits between those placed before it that
/// live at the same time, else on top of them.
fn in_order(buffers: &[Buffer], conflicts: &[Vec<usize>], order: &[usize]) -> Placed {
    let mut offsets = vec![usize::MAX; buffers.len()];
    let mut end = 0;
    let mut taken: Vec<(usize, usize)> = Vec::new();
    for &index in order {
        let buffer = buffers[index];
        taken.clear();
        taken.extend(
            conflicts[index]
                .iter()
                .filter(|&&other| offsets[other] != usize::MAX && buffers[other].bytes > 0)
                .map(|&other| (offsets[other], offsets[other] + buffers[other].bytes)),
        );
        taken.sort_unstable();
        let (mut at, mut best) = (0usize, None::<(usize, usize)>);
        for &(start, stop) in &taken {
            let aligned = at.next_multiple_of(buffer.align);
            if start >= aligned + buffer.bytes && best.is_none_or(|(gap, _)| start - at < gap) {
                best = Some((start - at, aligned));
            }
            at = at.max(stop);
        }
        let offset = best.map_or(at.next_multiple_of(buffer.align), |(_, offset)| offset);
        offsets[index] = offset;
        end = end.max(offset + buffer.bytes);
    }
    Placed { offsets, bytes: end }
}
