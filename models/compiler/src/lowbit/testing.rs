//! Random matrices for the tests of this module.

/// Numbers of a normal distribution, roughly.
pub fn gaussian(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut uniform = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 24) as f32
    };
    (0..count).map(|_| (0..12).map(|_| uniform()).sum::<f32>() - 6.0).collect()
}

/// Rows `[tokens, k]` whose columns are mixtures of a few common ones, with scales that differ.
pub fn correlated(tokens: usize, k: usize, seed: u64) -> Vec<f32> {
    let common = 1 + k / 8;
    let mixing = gaussian(common * k, 1234);
    let sources = gaussian(tokens * common, seed);
    let noise = gaussian(tokens * k, seed + 77);
    let value = |i: usize| {
        let (token, column) = (i / k, i % k);
        let mixed: f32 = (0..common).map(|c| sources[token * common + c] * mixing[c * k + column]).sum();
        (mixed + 0.3 * noise[i]) * (1.0 + column as f32 / k as f32)
    };
    (0..tokens * k).map(value).collect()
}

/// Σ (a − b)².
pub fn squared_error(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum()
}
