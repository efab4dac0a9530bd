//! Average pooling: an exact sum and one division.

/// `clamp(round(zp + sum·m/(n·2^t)))`, evaluated exactly, ties away from zero.
///
/// Between equal grids this is the rule of TFLite's reference kernel and of CMSIS-NN, which
/// round the mean of the stored values.
///
/// `sum` is the sum of `q − zp_in` over the window, `n` its number of cells,
/// `m/2^t` the ratio of the input scale to the output scale with `m < 2^24`,
/// `t` ≤ 38. Equal scales are `m = 2^23, t = 23`.
#[inline]
pub fn average(sum: i32, n: i32, m: i32, t: u32, zp: i32, lo: i32, hi: i32) -> i32 {
    let denominator = (n.max(1) as i64) << (t & 63);
    let numerator = (sum as i64) * (m as i64);
    // The denominator is positive: counts are below 2^24.
    let floor = numerator.checked_div_euclid(denominator).unwrap_or(0);
    // Twice the remainder against the denominator: below, at or above one half.
    let twice = (numerator - floor * denominator) * 2;
    let up = twice > denominator || (twice == denominator && floor + zp as i64 >= 0);
    (floor + up as i64 + zp as i64).max(lo as i64).min(hi as i64) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_scales_round_the_mean_of_stored_values_ties_away_from_zero() {
        // Oracle: TFLite's average pool, C division of the sum with half the count added by sign.
        let tflite = |sum: i32, n: i32| if sum > 0 { (sum + n / 2) / n } else { (sum - n / 2) / n };
        for zp in [-128, -3, 0, 77, 127] {
            for n in 1..=12 {
                for sum in -128 * n..=127 * n {
                    let found = average(sum - zp * n, n, 1 << 23, 23, zp, -128, 127);
                    assert_eq!(found, tflite(sum, n), "sum {sum} of {n}, zero point {zp}");
                }
            }
        }
    }
}
