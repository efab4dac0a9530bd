//! Activations stored in 4 bits.

/// Values that share a step.
pub const A4_GROUP: usize = 64;

/// A row after storage in 4 bits: the row has the int8 scale `max|x|/127`, each group a whole number
/// of its steps, the least in 1..=18 with which the group's largest value fits ±7.
pub fn fake_quant_a4(row: &[f32]) -> Vec<f32> {
    let max = row.iter().fold(0f32, |max, x| x.abs().max(max));
    if max < 2f32.powi(-100) {
        return vec![0.0; row.len()];
    }
    let inverse = 127.0 / max;
    let mut out = Vec::with_capacity(row.len());
    for group in row.chunks(A4_GROUP) {
        let largest = group.iter().fold(0f32, |max, x| (x * inverse).abs().max(max));
        let step = (largest / 7.0).ceil().clamp(1.0, 18.0);
        let code = |x: &f32| (x * inverse / step).round_ties_even().clamp(-7.0, 7.0);
        out.extend(group.iter().map(|x| code(x) * step * (max / 127.0)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::testing::gaussian;
    use super::*;

    #[test]
    fn values_lie_within_half_a_step_of_their_group() {
        let mut row = gaussian(200, 4);
        row[..64].iter_mut().for_each(|x| *x *= 0.1);
        row[70] = 9.0;
        let back = fake_quant_a4(&row);
        for (i, (x, y)) in row.iter().zip(&back).enumerate() {
            let group = &row[i / 64 * 64..(i / 64 * 64 + 64).min(200)];
            let largest = group.iter().fold(0f32, |max, x| x.abs().max(max));
            let step = (largest / 7.0).max(9.0 / 127.0) + 9.0 / 127.0;
            assert!((x - y).abs() <= 0.5 * step + 1e-5, "{x} {y} {step}");
        }
        assert!(fake_quant_a4(&[0.0; 70]).iter().all(|&x| x == 0.0));
    }
}
