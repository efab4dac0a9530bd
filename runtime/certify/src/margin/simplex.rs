//! Maps from scores to weights of the classes, in integers.

use selvedge_noise::binomial;

/// The weight 1: all weights of a draw add up to at most this.
pub const UNIT: u16 = 1 << 15;

/// Largest unit of a map.
const MOST: u32 = 1 << 31;
/// 2^(−2^−i)·2^32, i = 1 to 8.
const ROOTS: [u64; 8] = [
    3_037_000_500,
    3_611_622_603,
    3_938_502_376,
    4_112_874_773,
    4_202_935_003,
    4_248_701_965,
    4_271_771_996,
    4_283_353_945,
];
/// ln 2·2^32 and log₂ e·2^28.
const LN_2: u64 = 2_977_044_472;
const LOG2_E: u64 = 387_270_501;

/// How scores become weights; the same on every CPU, since only integers take part.
///
/// Weights are rounded down, so that they are at least 0 and add up to at most [`UNIT`]: what a bound leaves of 1 bounds
/// the other classes. Rounding is a part of the map, and costs nothing of a certificate but its share of the weight, at
/// most one part in 32,768 a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Simplex {
    /// All weight to the largest score, of equal ones to the first.
    Argmax,
    /// The nearest point of the simplex to the scores (Martins and Astudillo 2016).
    Sparsemax {
        /// The difference of scores that counts as 1.
        unit: u32,
    },
    /// Weights in proportion to `exp(score/unit)`.
    Softmax {
        /// The difference of scores that counts as 1: larger units are higher temperatures.
        unit: u32,
    },
}

impl Simplex {
    pub(crate) fn is_valid(&self) -> bool {
        match self {
            Simplex::Argmax => true,
            Simplex::Sparsemax { unit } | Simplex::Softmax { unit } => (1..=MOST).contains(unit),
        }
    }

    /// What a request's hash has of it.
    pub(crate) fn code(&self) -> [u8; 5] {
        let (kind, unit) = match self {
            Simplex::Argmax => (0, 0),
            Simplex::Sparsemax { unit } => (1, *unit),
            Simplex::Softmax { unit } => (2, *unit),
        };
        let [a, b, c, d] = unit.to_le_bytes();
        [kind, a, b, c, d]
    }

    /// A lower bound of a class's expected weight after `n` draws that each gave it all.
    pub(crate) fn certain(&self, n: u32, share: f64) -> f64 {
        match self {
            Simplex::Argmax => binomial::lower_bound(n, n, share),
            _ => 1.0 - selvedge_noise::bounds::empirical_bernstein(n, 0.0, share),
        }
    }

    /// Fills `weights` with those of as many `scores`, at most 65,535: zeros for more. A unit of 0 counts as 1, one above
    /// 2^31 as 2^31.
    pub fn weigh(&self, scores: &[i32], weights: &mut [u16]) {
        weights.fill(0);
        let scores = if scores.len() <= usize::from(u16::MAX) { scores } else { &[] };
        let Some(&top) = scores.iter().max() else { return };
        match *self {
            Simplex::Argmax => {
                let first = scores.iter().position(|&score| score == top);
                if let Some(weight) = first.and_then(|first| weights.get_mut(first)) {
                    *weight = UNIT;
                }
            }
            Simplex::Sparsemax { unit } => sparsemax(scores, i64::from(unit.clamp(1, MOST)), weights),
            Simplex::Softmax { unit } => {
                let unit = u64::from(unit.clamp(1, MOST));
                let power = |score: i32| power(top.abs_diff(score), unit);
                let sum = scores.iter().map(|&score| power(score)).sum::<u64>().max(1);
                for (&score, weight) in scores.iter().zip(weights) {
                    // Below 2^32·2^15; the largest score alone has 2^32.
                    *weight = (power(score) * u64::from(UNIT) / sum) as u16;
                }
            }
        }
    }
}

/// `e^(−below/unit)·2^32`, within 10^−7 of its value and 1: eight square roots of 2 and a quadratic for the rest.
fn power(below: u32, unit: u64) -> u64 {
    // log₂, 28 bits behind the point.
    let log = u64::from(below) * LOG2_E / unit;
    let (halvings, fraction) = (log >> 28, log & ((1 << 28) - 1));
    if halvings > 32 {
        return 0;
    }
    let mut value = 1u64 << 32;
    for (i, root) in ROOTS.iter().enumerate() {
        if fraction >> (27 - i) & 1 == 1 {
            value = (value * root) >> 32;
        }
    }
    let rest = ((fraction & ((1 << 20) - 1)) * LN_2) >> 28;
    let tail = (1u64 << 32) - rest + ((rest * rest) >> 33);
    // value and tail are at most 2^32; the tail is below that unless the rest is 0.
    let value = if rest == 0 { value } else { (value * tail) >> 32 };
    value >> halvings
}

/// Michelot's algorithm (1986), exact: from all classes, drop those at or below the threshold
/// `τ = (Σ scores − unit)/count` of the rest until none is dropped. Without a sort or a buffer.
fn sparsemax(scores: &[i32], unit: i64, weights: &mut [u16]) {
    let total = |scores: &[i32]| scores.iter().map(|&score| i64::from(score)).sum::<i64>();
    let (mut excess, mut count) = (total(scores) - unit, scores.len() as i64);
    // Sums of 2^31·(number of classes), products of one more such factor: below 2^63 for 65,535 classes.
    let above = |score: i32, excess: i64, count: i64| i64::from(score) * count > excess;
    loop {
        let (mut sum, mut left) = (0i64, 0i64);
        for &score in scores {
            if above(score, excess, count) {
                sum += i64::from(score);
                left += 1;
            }
        }
        if left == count {
            break;
        }
        (excess, count) = (sum - unit, left);
    }
    for (&score, weight) in scores.iter().zip(weights) {
        // At most count·unit ≤ 2^47, times 2^15.
        let over = i64::from(score) * count - excess;
        if over > 0 {
            *weight = ((over as u64 * u64::from(UNIT)) / (count * unit) as u64) as u16;
        }
    }
}
