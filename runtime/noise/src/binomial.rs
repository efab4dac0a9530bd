//! Binomial tails and confidence bounds (Clopper and Pearson 1934), rounded outward.
//!
//! A tail is its first term times a sum of ratios. The first term is computed as Loader (2000) does,
//! `pmf(k) = √(n/(2π·k·(n−k)))·e^(δ(n) − δ(k) − δ(n−k) − D(k; np) − D(n−k; nq))`, with δ the error of Stirling's
//! formula (between two of its partial sums: Robbins 1955 and the later terms) and
//! `D(x; m) = x·ln(x/m) + m − x ≥ 0`, which loses nothing to cancellation. What rounding can change is
//! added to every upper bound: see [`pmf_upper`].

use core::f64::consts::PI;

/// Smaller probabilities are taken for this one: n·p has to be a normal number for the error account of the
/// exponent. A tail rises with p, so bounds stay bounds.
const LEAST_P: f64 = 1e-290;

/// A number not below the probability that a binomial variable with `n` trials of `p` is at least `k`. 1 where nothing
/// better is known, NaN and p outside 0 to 1 included. 0 only where the probability is 0.
pub fn upper_tail(k: u32, n: u32, p: f64) -> f64 {
    if k == 0 || !(0.0..=1.0).contains(&p) {
        return 1.0;
    }
    if k > n || p == 0.0 {
        return 0.0;
    }
    if p == 1.0 {
        return 1.0;
    }
    let p = p.max(LEAST_P);
    let first = pmf_upper(k, n, p);
    // Σ of the ratios P(j+1)/P(j) = (n−j)/(j+1)·p/(1−p), multiplied on.
    let odds = p / (1.0 - p);
    let (mut term, mut sum, mut steps) = (1.0f64, 1.0f64, 0.0f64);
    for j in k..n {
        let ratio = f64::from(n - j) / f64::from(j + 1) * odds;
        // From here on every ratio is smaller: the rest is below a geometric series.
        if ratio < 1.0 && term * ratio / (1.0 - ratio) <= sum * 1e-17 {
            sum += term * ratio / (1.0 - ratio);
            break;
        }
        term *= ratio;
        sum += term;
        steps += 1.0;
        if !sum.is_finite() {
            return 1.0;
        }
    }
    // A product of s ratios is off by less than 6·s roundings, the sum by one for each addition.
    let tail = first * sum * (1.0 + (8.0 * steps + 16.0) * f64::EPSILON);
    if tail < 1.0 { tail } else { 1.0 }
}

/// A bound from Robbins (1955) and a geometric series, a few operations: not below the tail's probability.
/// 1 where the ratio of the first two terms is not below 1.
pub fn upper_tail_quick(k: u32, n: u32, p: f64) -> f64 {
    if k == 0 || k > n || !(p > 0.0 && p < 1.0) {
        return upper_tail(k, n, p);
    }
    let p = p.max(LEAST_P);
    let ratio = f64::from(n - k) / (f64::from(k) + 1.0) * (p / (1.0 - p)) * (1.0 + 8.0 * f64::EPSILON);
    let tail = pmf_upper(k, n, p) / (1.0 - ratio) * (1.0 + 8.0 * f64::EPSILON);
    if ratio < 1.0 && tail < 1.0 { tail } else { 1.0 }
}

/// The one-sided lower confidence bound of Clopper and Pearson: a p with `P(Bin(n, p) ≥ k) ≤ alpha`, not
/// above the exact one. 0 for k = 0, k > n and an alpha outside 0 to 1.
pub fn lower_bound(k: u32, n: u32, alpha: f64) -> f64 {
    search(k, n, alpha, upper_tail)
}

/// [`lower_bound`] by [`upper_tail_quick`]: some millionths lower, in a few hundred operations; for devices.
pub fn lower_bound_quick(k: u32, n: u32, alpha: f64) -> f64 {
    search(k, n, alpha, upper_tail_quick)
}

fn search(k: u32, n: u32, alpha: f64, tail: fn(u32, u32, f64) -> f64) -> f64 {
    if k == 0 || k > n || !(alpha > 0.0 && alpha < 1.0) {
        return 0.0;
    }
    // The bound is below k/n for any alpha below one half; for others a lower p is as good.
    let (mut low, mut high) = (0.0f64, f64::from(k) / f64::from(n));
    loop {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            return low;
        }
        if tail(k, n, middle) <= alpha { low = middle } else { high = middle }
    }
}

/// The one-sided upper confidence bound: `1 − lower_bound(n − k, n, alpha)`, rounded up. 1 for k ≥ n.
pub fn upper_bound(k: u32, n: u32, alpha: f64) -> f64 {
    if k >= n {
        return 1.0;
    }
    let upper = 1.0 - lower_bound(n - k, n, alpha) + f64::EPSILON;
    if upper < 1.0 { upper } else { 1.0 }
}

/// The two-sided exact test whether `n1` and `n2` come from fair coin tosses: `min(1, 2·P(Bin(n1 + n2, ½) ≥
/// max(n1, n2)))`, rounded up. 1 where the sum leaves 32 bits.
pub fn two_sided_half(n1: u32, n2: u32) -> f64 {
    let Some(n) = n1.checked_add(n2) else { return 1.0 };
    if n1 == n2 {
        return 1.0;
    }
    let p = 2.0 * upper_tail(n1.max(n2), n, 0.5);
    if p < 1.0 { p } else { 1.0 }
}

/// The smallest k with `P(Bin(n, p0) ≥ k) ≤ alpha`; `None` where not even k = n has it.
pub fn min_count(n: u32, p0: f64, alpha: f64) -> Option<u32> {
    if !(alpha > 0.0 && alpha < 1.0) || upper_tail(n, n, p0) > alpha || n == 0 {
        return None;
    }
    // upper_tail is 1 for k = 0: above alpha.
    let (mut above, mut enough) = (0u32, n);
    while enough - above > 1 {
        let middle = above + (enough - above) / 2;
        if upper_tail(middle, n, p0) <= alpha { enough = middle } else { above = middle }
    }
    Some(enough)
}

/// A number not below the probability of exactly `k`, for [`LEAST_P`] ≤ p < 1 and 1 ≤ k ≤ n.
///
/// `exp` may underflow: the smallest normal number is added, which a sum of ratios carries on. (Where the tail is near
/// 1 and its first term underflows, that makes the bound 1.)
///
/// The exponent is a sum of terms each known to 8 roundings of its own size: D(x; m) as `m·((1+d)·ln(1+d) − d)`,
/// `d = (x−m)/m`, is off by at most 4 roundings of `|x − m|·(1 + |ln(x/m)|)`. That is added to the exponent.
pub(crate) fn pmf_upper(k: u32, n: u32, p: f64) -> f64 {
    let q = 1.0 - p;
    if k == n {
        let exponent = f64::from(n) * libm::log(p);
        return libm::exp(exponent + (8.0 * -exponent + 8.0) * f64::EPSILON) + f64::MIN_POSITIVE;
    }
    let (nf, kf, rest) = (f64::from(n), f64::from(k), f64::from(n - k));
    let ((d1, e1), (d2, e2)) = (deviance(kf, nf * p), deviance(rest, nf * q));
    let ((_, upper), (lower_k, _), (lower_rest, _)) = (stirling_error(n), stirling_error(k), stirling_error(n - k));
    let exponent = upper - lower_k - lower_rest - d1 - d2;
    let error = (8.0 + 4.0 * (d1 + d2)) * f64::EPSILON + e1 + e2;
    let pmf = libm::sqrt(nf / (2.0 * PI * kf * rest)) * libm::exp(exponent + error);
    pmf * (1.0 + 16.0 * f64::EPSILON) + f64::MIN_POSITIVE
}

/// `x·ln(x/m) + m − x`, and what it may be off by; x, m > 0.
fn deviance(x: f64, m: f64) -> (f64, f64) {
    let d = (x - m) / m;
    if d.abs() < 0.05 {
        // (1+d)·ln(1+d) − d = d²/2 − d³/6 + d⁴/12 − … = Σ (−1)^j d^j/(j(j−1))
        let (mut power, mut sum) = (d, 0.0);
        for j in 2..32u32 {
            power *= -d;
            let term = -power / (f64::from(j) * f64::from(j - 1));
            sum += term;
            if term.abs() < sum.abs() * 1e-18 {
                break;
            }
        }
        // The rounding of x − m and of m itself (1 each) enters with slope d.
        return (m * sum, m * (16.0 * sum.abs() + 4.0 * d.abs()) * f64::EPSILON);
    }
    let log = libm::log1p(d);
    let value = x * log + m - x;
    (value, (8.0 * (x * log).abs() + 8.0 * (x - m).abs() + 4.0 * m.min(x)) * f64::EPSILON)
}

/// Bounds of `ln n! − ½·ln(2πn) − n·ln n + n`, n ≥ 1.
fn stirling_error(n: u32) -> (f64, f64) {
    if n < 16 {
        let factorial = (1..=u64::from(n)).product::<u64>() as f64;
        let n = f64::from(n);
        let value = libm::log(factorial / libm::sqrt(2.0 * PI * n)) - n * libm::log(n) + n;
        return (value - 1e-13, value + 1e-13);
    }
    // 1/(12n) − 1/(360n³) + 1/(1260n⁵) − 1/(1680n⁷) + …: the value lies between neighbouring partial sums.
    let inverse = 1.0 / f64::from(n);
    let square = inverse * inverse;
    let sum = inverse * (1.0 / 12.0 - square * (1.0 / 360.0 - square * (1.0 / 1260.0 - square / 1680.0)));
    let next = inverse * square * square * square * square / 1188.0;
    (sum - 1e-17, sum + next + 1e-17)
}
