//! Multipliers of the requantization rule.

/// Multiplier m and shift k with `scale ≈ m / 2^(31+k)`, nearest.
///
/// m is in `2^30..2^31` with k in 1..=31 where the scale allows; a scale of ½ or
/// more has k ≤ 0 (the accumulator is shifted left by `1 − k` first, then k = 1
/// applies); below 2^−32 m is smaller with k = 31; 0, negative and NaN scales
/// give m = 0.
pub fn multiplier(scale: f64) -> (i32, i8) {
    if scale.is_nan() || scale <= 0.0 {
        return (0, 31);
    }
    // scale = f · 2^e with f in [½, 1): m = f·2^31 and k = −e.
    let (fraction, exponent) = libm::frexp(scale);
    let mut m = (fraction * 2f64.powi(31)).round_ties_even();
    let mut k = -exponent;
    if m >= 2f64.powi(31) {
        m /= 2.0;
        k -= 1;
    }
    if k > 31 {
        return ((scale * 2f64.powi(62)).round_ties_even() as i32, 31);
    }
    if k < -62 {
        return (i32::MAX, -62);
    }
    (m as i32, k as i8)
}

/// The multiplier of a `wide` layer: m and k are reduced together until
/// `bound·m < 2^62`. `None` where the rule cannot hold.
pub(crate) fn bounded_multiplier(scale: f64, bound: i64) -> Option<(i32, i8)> {
    const LIMIT: i128 = 1 << 62;
    let (m, k) = multiplier(scale);
    if k < 1 {
        let shifted = (bound as i128).checked_shl((1 - k as i32) as u32)?;
        return (shifted * (m as i128) < LIMIT && 1 - (k as i32) < 62).then_some((m, k));
    }
    let mut reduced = k as i32;
    let mut value = m as f64;
    while (bound as i128) * (value as i128) >= LIMIT {
        reduced -= 1;
        if reduced < 1 {
            return None;
        }
        value = (scale * 2f64.powi(31 + reduced)).round_ties_even();
    }
    Some((value as i32, reduced as i8))
}

/// `ratio ≈ m / 2^s`, each nearest, for sums in i32: the largest s up to 22
/// with every |m| < 2^21 for which `128·Σ|m| + |c| < 2^31`, where
/// `c = −Σ zp_i·m_i + zp_y·2^s + 2^(s−1)`.
pub(crate) fn rescale_constants(ratios: &[f64], zps: &[i32], zp_y: i32) -> Option<(Vec<i32>, i32, u32)> {
    for s in (0..=22u32).rev() {
        let m: Vec<f64> = ratios.iter().map(|r| (r * 2f64.powi(s as i32)).round_ties_even()).collect();
        if m.iter().any(|m| m.is_nan() || m.abs() >= 2f64.powi(21)) {
            continue;
        }
        let m: Vec<i64> = m.iter().map(|&m| m as i64).collect();
        let half = if s == 0 { 0 } else { 1i64 << (s - 1) };
        let zero: i64 = m.iter().zip(zps).map(|(m, &zp)| m * zp as i64).sum();
        let c = ((zp_y as i64) << s) + half - zero;
        let reach: i64 = m.iter().map(|m| m.abs() * 128).sum::<i64>() + c.abs();
        if reach < 1 << 31 {
            return Some((m.iter().map(|&m| m as i32).collect(), c as i32, s));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multiplier_is_normalized_and_nearest() {
        for scale in [0.25, 0.3, 1e-3, 7.7e-5, 0.499999, 3.1e-9] {
            let (m, k) = multiplier(scale);
            assert!((1 << 30..=i32::MAX).contains(&m) && (1..=31).contains(&k), "{scale}: {m} {k}");
            let back = m as f64 / 2f64.powi(31 + k as i32);
            assert!((back - scale).abs() <= scale / 2f64.powi(31));
        }
        assert_eq!(multiplier(0.25), (1 << 30, 1));
        assert_eq!(multiplier(3.0), (3 << 29, -2));
        assert_eq!(multiplier(0.0), (0, 31));
        assert_eq!(multiplier(2f64.powi(-40)).0, 1 << 22);
    }

    #[test]
    fn wide_multipliers_stay_below_the_bound() {
        let bound = (1i64 << 33) + 5;
        let (m, k) = bounded_multiplier(0.001, bound).expect("fits");
        assert!((bound as i128) * (m as i128) < 1 << 62);
        assert!((m as f64 / 2f64.powi(31 + k as i32) - 0.001).abs() < 1e-10);
        assert!(bounded_multiplier(64.0, 1 << 40).is_none());
    }

    #[test]
    fn rescale_constants_fit_i32() {
        let (m, c, s) = rescale_constants(&[0.7, 1.9], &[-128, 5], 100).expect("fits");
        assert!(s >= 18 && m.iter().all(|m| m.abs() < 1 << 21));
        assert!(128 * m.iter().map(|&m| m as i64).sum::<i64>() + (c as i64).abs() < 1 << 31);
        assert!(rescale_constants(&[1e9], &[0], 0).is_none());
    }
}
