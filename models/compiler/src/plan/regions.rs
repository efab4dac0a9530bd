//! Dividing buffers between a fast and a slow memory.

use super::Region;
use super::buffers::Buffer;
use super::place::{Neighbours, Placed, place, random};

/// Orders of preference that are tried beyond the first ones.
const RETRIES: usize = 3000;
/// Bound on the pairs of buffers compared.
const WORK: usize = 200_000_000;

/// Buffers in two regions.
#[derive(Clone, Debug)]
pub(crate) struct Divided {
    /// Region of each buffer.
    pub region: Vec<usize>,
    /// Offset of each buffer in its region.
    pub offsets: Vec<usize>,
    /// Bytes used of each region.
    pub bytes: [usize; 2],
}

/// What a division is judged by, in this order: bytes beyond the limits, traffic outside of fast
/// memory, bytes used.
type Score = (usize, u64, usize);

/// Puts each buffer wholly into one region so that the fast one carries the most traffic.
///
/// Buffers are taken in an order of preference: each goes to the best gap of the fast region
/// that ends below its limit, else to the slow one. The order is by traffic per byte, by traffic,
/// by traffic per byte and time, then searched with a fixed seed. The result may exceed the slow region.
pub(crate) fn divide(buffers: &[Buffer], limits: [usize; 2]) -> Divided {
    let near = Neighbours::of(buffers);
    let density = |i: usize, bytes: usize| buffers[i].traffic as f64 / bytes.max(1) as f64;
    let lived = |i: usize| buffers[i].bytes * (1 + buffers[i].life.last - buffers[i].life.first);
    let by = |key: &dyn Fn(usize) -> f64| {
        let mut order: Vec<usize> = (0..buffers.len()).collect();
        order.sort_by(|&a, &b| key(b).total_cmp(&key(a)).then(a.cmp(&b)));
        order
    };
    let orders = [
        by(&|i| density(i, buffers[i].bytes)),
        by(&|i| density(i, lived(i))),
        by(&|i| buffers[i].traffic as f64),
        by(&|i| buffers[i].bytes as f64),
    ];
    let tried = orders.map(|order| (in_order(buffers, &near, &order, limits), order));
    let Some(((mut best, mut score), mut order)) = tried.into_iter().min_by_key(|((_, score), _)| *score) else {
        return Divided { region: Vec::new(), offsets: Vec::new(), bytes: [0; 2] };
    };
    let mut state = random::SEED;
    for _ in 0..RETRIES.min(WORK / (near.pairs() * 8).max(1)) {
        if order.len() < 2 || (score.0, score.1) == (0, 0) {
            break;
        }
        let mut other = order.clone();
        random::shuffle_some(&mut other, &mut state);
        let (divided, its) = in_order(buffers, &near, &other, limits);
        if its <= score {
            (best, score, order) = (divided, its, other);
        }
    }
    tighten(buffers, best)
}

fn in_order(buffers: &[Buffer], near: &Neighbours, order: &[usize], limits: [usize; 2]) -> (Divided, Score) {
    let mut region = vec![1; buffers.len()];
    let mut fast = vec![usize::MAX; buffers.len()];
    let mut bytes = [0, 0];
    let mut taken = Vec::new();
    let (bound, free): (Vec<usize>, Vec<usize>) = order.iter().partition(|&&i| buffers[i].pinned == Some(0));
    for index in bound.into_iter().chain(free) {
        let offset = near.best_gap(buffers, &fast, index, &mut taken);
        let end = offset + buffers[index].bytes;
        if buffers[index].pinned.unwrap_or(0) == 0 && end <= limits[0] {
            (fast[index], region[index]) = (offset, 0);
            bytes[0] = bytes[0].max(end);
        }
    }
    let mut slow: Vec<usize> = (0..buffers.len()).filter(|&i| region[i] == 1).collect();
    slow.sort_by_key(|&i| (std::cmp::Reverse(buffers[i].bytes), i));
    let mut offsets = vec![usize::MAX; buffers.len()];
    for &index in &slow {
        offsets[index] = near.best_gap(buffers, &offsets, index, &mut taken);
        bytes[1] = bytes[1].max(offsets[index] + buffers[index].bytes);
    }
    let outside = slow.iter().map(|&i| buffers[i].traffic).sum();
    let misplaced: usize = slow.iter().filter(|&&i| buffers[i].pinned == Some(0)).map(|&i| buffers[i].bytes).sum();
    let score = (bytes[1].saturating_sub(limits[1]) + misplaced, outside, bytes[0] + bytes[1]);
    for (to, from) in offsets.iter_mut().zip(fast) {
        *to = (*to).min(from);
    }
    (Divided { region, offsets, bytes }, score)
}

/// Places the buffers of each region again, in as few bytes as the search for one region finds.
fn tighten(buffers: &[Buffer], divided: Divided) -> Divided {
    let mut tight = divided;
    for region in 0..2 {
        let members: Vec<usize> = (0..buffers.len()).filter(|&i| tight.region[i] == region).collect();
        let own: Vec<Buffer> = members.iter().map(|&i| buffers[i]).collect();
        let Placed { offsets, bytes } = place(&own, 0);
        if bytes < tight.bytes[region] {
            tight.bytes[region] = bytes;
            members.iter().zip(offsets).for_each(|(&i, offset)| tight.offsets[i] = offset);
        }
    }
    tight
}

/// A pin that does not hold: the buffer's region is not the one asked for.
pub(crate) fn broken_pin(buffers: &[Buffer], divided: &Divided) -> Option<usize> {
    (0..buffers.len()).find(|&i| buffers[i].pinned.is_some_and(|region| region != divided.region[i]))
}

/// Names and limits for a message: `fast=16384,slow=524288`.
pub(crate) fn spell(regions: &[Region]) -> String {
    regions.iter().map(|r| format!("{}={}", r.name, r.bytes)).collect::<Vec<_>>().join(",")
}
