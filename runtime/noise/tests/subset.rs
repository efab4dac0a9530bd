//! Subsets and uniform integers. Oracles: counting, χ² with fixed keys, and the words' places.

use selvedge_noise::{Domain, NoiseKey};

fn key(byte: u8) -> NoiseKey {
    NoiseKey::from_bytes([byte; 32])
}

/// `None` or what is wrong with these counts, all of which should be equal.
fn uneven(counts: &[u32]) -> Option<String> {
    let expected = f64::from(counts.iter().sum::<u32>()) / counts.len() as f64;
    let chi: f64 = counts.iter().map(|&count| (f64::from(count) - expected).powi(2) / expected).sum();
    let free = counts.len() as f64 - 1.0;
    let off = (chi - free).abs() > 4.5 * (2.0 * free).sqrt();
    off.then(|| format!("χ² = {chi:.1} with {free} degrees of freedom"))
}

#[test]
fn each_of_all_subsets_is_drawn_as_often() {
    // Oracle: C(6, k) subsets, equally likely.
    for (keep, all) in [(1u32, 6u32), (2, 15), (3, 20), (5, 6)] {
        let mut counts = [0u32; 64];
        for sample in 0..20_000 {
            let mask =
                key(1).subset(Domain::Select, sample, 6, keep).fold(0, |mask, kept| mask << 1 | usize::from(kept));
            counts[mask] += 1;
        }
        let drawn: Vec<u32> = counts.into_iter().filter(|&count| count > 0).collect();
        assert_eq!(drawn.len(), all as usize);
        assert_eq!(uneven(&drawn), None, "{keep}");
    }
}

#[test]
fn every_position_and_every_neighbour_is_kept_as_often() {
    // Oracle: k/d of the samples keep a position, k(k−1)/(d(d−1)) a pair.
    let (dimensions, keep, samples) = (50u32, 7u32, 20_000u32);
    let (mut single, mut pair) = (vec![0u32; 50], vec![0u32; 49]);
    for sample in 0..samples {
        let kept: Vec<bool> = key(2).subset(Domain::Estimate, sample.into(), dimensions, keep).collect();
        assert_eq!((kept.len(), kept.iter().filter(|&&kept| kept).count()), (50, 7));
        (0..50).for_each(|i| single[i] += u32::from(kept[i]));
        (0..49).for_each(|i| pair[i] += u32::from(kept[i] && kept[i + 1]));
    }
    assert_eq!(uneven(&single), None);
    let expected = f64::from(samples) * 42.0 / 2450.0;
    assert!(pair.iter().all(|&count| (f64::from(count) - expected).abs() < 5.0 * expected.sqrt()), "{pair:?}");
}

#[test]
fn integers_are_even_below_any_bound_and_a_function_of_their_coordinate() {
    for bound in [2u32, 3, 10, 100] {
        let mut counts = vec![0u32; bound as usize];
        let mut integers = key(3).integers(Domain::Extension, 0, 0).take_below(bound, 100_000);
        integers.iter_mut().for_each(|&mut number| counts[number as usize] += 1);
        assert_eq!(uneven(&counts), None, "{bound}");
    }
    // A bound that refuses a third of all words: the places of others do not move.
    let bound = 2_863_311_531;
    let all = key(4).integers(Domain::Estimate, 9, 0).take_below(bound, 200);
    for first in [0u32, 1, 15, 16, 17, 100, 199] {
        let from = key(4).integers(Domain::Estimate, 9, first).take_below(bound, 200 - first as usize);
        assert_eq!(from, all[first as usize..]);
    }
    let mean = all.iter().map(|&number| f64::from(number)).sum::<f64>() / 200.0 / f64::from(bound);
    assert!((mean - 0.5).abs() < 0.1, "{mean}");
}

#[test]
fn ends_are_what_they_should_be() {
    let all = |positions, keep| key(5).subset(Domain::Select, 0, positions, keep).collect::<Vec<bool>>();
    assert_eq!(all(0, 3), []);
    assert_eq!(all(3, 0), [false; 3]);
    assert_eq!(all(3, 3), [true; 3]);
    assert_eq!(all(3, 9), [true; 3]);
}

#[test]
fn subsets_and_integers_are_the_same_on_every_machine() {
    // Golden: computed by a second implementation of ChaCha8 and of both rules, in Python. A change is a change of every
    // certificate by ablation or splitting.
    let kept: Vec<usize> =
        key(7).subset(Domain::Estimate, 3, 784, 12).enumerate().filter(|k| k.1).map(|k| k.0).collect();
    assert_eq!(kept, [45, 66, 83, 129, 237, 239, 315, 438, 440, 653, 662, 746]);
    assert_eq!(key(7).integers(Domain::Extension, 0, 5).take_below(255, 8), [81, 125, 86, 221, 68, 39, 61, 166]);
    assert_eq!(
        key(7).integers(Domain::Extension, 0, 5).take_below(3_000_000_000, 4),
        [960_959_649, 1_481_493_529, 2_244_841_876, 2_602_459_490]
    );
}

/// So many integers below a bound.
trait Take {
    fn take_below(self, bound: u32, count: usize) -> Vec<u32>;
}

impl Take for selvedge_noise::Integers<'_> {
    fn take_below(mut self, bound: u32, count: usize) -> Vec<u32> {
        (0..count).map(|_| self.below(bound)).collect()
    }
}
