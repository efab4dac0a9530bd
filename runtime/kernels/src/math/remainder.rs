//! Remainders, exact.

/// a − n·b with n = a/b truncated: the sign is that of a; NaN where b is 0 or a infinite.
#[inline(never)]
pub fn fmod(a: f32, b: f32) -> f32 {
    libm::fmodf(a, b)
}

/// a − n·b with n = ⌊a/b⌋: the sign is that of b.
#[inline]
pub fn floor_mod(a: f32, b: f32) -> f32 {
    let r = fmod(a, b);
    if r != 0.0 && (r < 0.0) != (b < 0.0) { r + b } else { r }
}
