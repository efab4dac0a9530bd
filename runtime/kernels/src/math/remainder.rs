//! Remainders, exact.

/// Fraction bits of an f32.
const FRACTION: u32 = 23;
const INFINITY: u32 = 0x7f80_0000;

/// a − n·b with n = a/b truncated: the sign is that of a; NaN where b is 0 or a infinite.
///
/// By long division in 32 bits: 64-bit quotients would bring their routine into every firmware with a function of two
/// numbers.
#[inline(never)]
pub fn fmod(a: f32, b: f32) -> f32 {
    let (left, right) = (a.to_bits() & !(1 << 31), b.to_bits() & !(1 << 31));
    if left >= INFINITY || right > INFINITY || right == 0 {
        return f32::NAN;
    }
    if left < right {
        return a;
    }
    let ((from, digits), (to, divisor)) = (parts(left), parts(right));
    let mut rest = digits % divisor;
    for _ in to..from {
        rest <<= 1;
        if rest >= divisor {
            rest -= divisor;
        }
    }
    // Back to one digit in front of the point, or as far as the least exponent allows.
    let shift = rest.leading_zeros().saturating_sub(31 - FRACTION).min(to - 1);
    let digits = rest << shift;
    let exponent = if digits >> FRACTION == 0 { 0 } else { to - shift - 1 };
    f32::from_bits((a.to_bits() & 1 << 31) | ((exponent << FRACTION) + digits))
}

/// Exponent (1 for subnormal numbers) and digits of a finite number without its sign.
fn parts(bits: u32) -> (u32, u32) {
    match bits >> FRACTION {
        0 => (1, bits),
        exponent => (exponent, bits & ((1 << FRACTION) - 1) | 1 << FRACTION),
    }
}

/// a − n·b with n = ⌊a/b⌋: the sign is that of b.
#[inline]
pub fn floor_mod(a: f32, b: f32) -> f32 {
    floored(fmod(a, b), b)
}

/// [`floor_mod`] from what [`fmod`] gives.
#[inline]
pub fn floored(rest: f32, b: f32) -> f32 {
    if rest != 0.0 && (rest < 0.0) != (b < 0.0) { rest + b } else { rest }
}
