//! Rounding to integers without instructions of their own.

/// 2^23: numbers from here on are integers.
const INTEGERS: f32 = 8_388_608.0;

/// The nearest integer, ties to even; keeps the sign of zero.
#[inline(always)]
pub fn round_ties_even(x: f32) -> f32 {
    let a = x.abs();
    let rounded = ((a + INTEGERS) - INTEGERS).copysign(x);
    if a < INTEGERS { rounded } else { x }
}

/// The greatest integer not above x; keeps the sign of zero.
#[inline(always)]
pub fn floor(x: f32) -> f32 {
    let r = round_ties_even(x);
    (if r > x { r - 1.0 } else { r }).copysign(x)
}

/// The least integer not below x; keeps the sign of zero.
#[inline(always)]
pub fn ceil(x: f32) -> f32 {
    let r = round_ties_even(x);
    (if r < x { r + 1.0 } else { r }).copysign(x)
}
