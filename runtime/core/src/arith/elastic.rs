//! Codes of fewer than 8 bits from those of 8.

/// Fraction bits of the ratio that [`elastic_code`] takes.
pub const ELASTIC_FRACTION: u32 = 20;

/// The code nearest to an int8 weight `master`, half a step up: `⌊master·ratio/scale + ½⌋ + zero`
/// in `0..=max`, evaluated exactly. `ratio` is the scale of the int8 weights over that of the row,
/// in units of 2^−20; a group of scale 0 has only the code `zero`.
pub fn elastic_code(master: i8, ratio: u32, scale: u8, zero: u8, max: u8) -> u8 {
    let divisor = i64::from(scale) << (ELASTIC_FRACTION + 1);
    let doubled = 2 * i64::from(master) * i64::from(ratio) + (i64::from(scale) << ELASTIC_FRACTION);
    let steps = doubled.checked_div_euclid(divisor).unwrap_or(0);
    (steps + i64::from(zero)).max(0).min(i64::from(max)) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_the_nearest_ones_for_every_master_and_many_ratios() {
        for master in i8::MIN..=i8::MAX {
            for ratio in [1u32, 999, 57_791, 1 << 20, 14_732_000, u32::MAX] {
                for scale in [1u8, 7, 128, 255] {
                    let exact = f64::from(master) * f64::from(ratio) / f64::from(1 << 20) / f64::from(scale);
                    let want = ((exact + 0.5).floor() + 8.0).clamp(0.0, 15.0) as u8;
                    assert_eq!(elastic_code(master, ratio, scale, 8, 15), want, "{master} {ratio} {scale}");
                }
            }
            assert_eq!(elastic_code(master, 1 << 20, 0, 8, 15), 8);
        }
    }
}
