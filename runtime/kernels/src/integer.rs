//! Arithmetic of plain integers of any width: one form for every instruction set, the definition and the kernel.
//!
//! Sums, differences, products, powers and negations wrap; quotients are truncated; what is divided by zero
//! gives 0. Booleans are bytes of 0 or 1.

use selvedge_core::params::{binary, reduce, unary};

/// Runs an expression with `$t` the integer type of elements; booleans are bytes. `$other` for f32.
///
/// `DType` is what the caller has under that name: the device's, or one with the same types.
#[macro_export]
macro_rules! by_integer {
    ($dtype:expr, $t:ident => $body:expr, $other:expr) => {
        match $dtype {
            DType::I8 => {
                type $t = i8;
                $body
            }
            DType::U8 | DType::Bool => {
                type $t = u8;
                $body
            }
            DType::I16 => {
                type $t = i16;
                $body
            }
            DType::U16 => {
                type $t = u16;
                $body
            }
            DType::I32 => {
                type $t = i32;
                $body
            }
            DType::U32 => {
                type $t = u32;
                $body
            }
            DType::I64 => {
                type $t = i64;
                $body
            }
            DType::U64 => {
                type $t = u64;
                $body
            }
            DType::F32 => $other,
        }
    };
}

/// An integer type of tensors.
pub trait Integer: Copy + Ord + 'static {
    const ZERO: Self;
    const ONE: Self;
    const BITS: u32;
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    /// Truncated; 0 where `other` is 0; the least number by −1 wraps.
    fn div(self, other: Self) -> Self;
    /// As [`Integer::div`].
    fn rem(self, other: Self) -> Self;
    fn and(self, other: Self) -> Self;
    fn or(self, other: Self) -> Self;
    fn xor(self, other: Self) -> Self;
    fn not(self) -> Self;
    /// `by` is less than [`Integer::BITS`].
    fn left(self, by: u32) -> Self;
    /// As [`Integer::left`].
    fn right(self, by: u32) -> Self;
    /// The bits, extended by the sign.
    fn bits(self) -> u64;
    fn count(n: usize) -> Self;
}

macro_rules! integers {
    ($($t:ty)*) => {$(
        impl Integer for $t {
            const ZERO: Self = 0;
            const ONE: Self = 1;
            const BITS: u32 = <$t>::BITS;
            fn add(self, other: Self) -> Self { self.wrapping_add(other) }
            fn sub(self, other: Self) -> Self { self.wrapping_sub(other) }
            fn mul(self, other: Self) -> Self { self.wrapping_mul(other) }
            fn div(self, other: Self) -> Self { if other == 0 { 0 } else { self.wrapping_div(other) } }
            fn rem(self, other: Self) -> Self { if other == 0 { 0 } else { self.wrapping_rem(other) } }
            fn and(self, other: Self) -> Self { self & other }
            fn or(self, other: Self) -> Self { self | other }
            fn xor(self, other: Self) -> Self { self ^ other }
            fn not(self) -> Self { !self }
            fn left(self, by: u32) -> Self { self.wrapping_shl(by) }
            fn right(self, by: u32) -> Self { self.wrapping_shr(by) }
            fn bits(self) -> u64 { self as u64 }
            fn count(n: usize) -> Self { n as $t }
        }
    )*};
}

integers!(i8 u8 i16 u16 i32 u32 i64 u64);

/// a − n·b with n = ⌊a/b⌋.
fn floor_mod<T: Integer>(a: T, b: T) -> T {
    let r = a.rem(b);
    if r != T::ZERO && (r < T::ZERO) != (b < T::ZERO) { r.add(b) } else { r }
}

/// Negative exponents truncate: 0 but for bases of 1 and −1.
fn pow<T: Integer>(base: T, exponent: T) -> T {
    let minus_one = T::ZERO.sub(T::ONE);
    let negative = exponent < T::ZERO;
    if negative && base != T::ONE && (base != minus_one || minus_one > T::ZERO) {
        return T::ZERO;
    }
    // Of a base of ±1 only the lowest bit of the exponent counts.
    let mut left = if negative { exponent.bits() & 1 } else { exponent.bits() };
    let (mut square, mut power) = (base, T::ONE);
    while left != 0 {
        if left & 1 == 1 {
            power = power.mul(square);
        }
        square = square.mul(square);
        left >>= 1;
    }
    power
}

fn shift<T: Integer>(a: T, by: T, f: impl Fn(T, u32) -> T) -> T {
    if by < T::ZERO || by.bits() >= T::BITS as u64 { T::ZERO } else { f(a, by.bits() as u32) }
}

/// Function `kind` of `selvedge_core::params::binary`; unknown kinds give 0.
pub fn binary_function<T: Integer>(kind: u32) -> fn(T, T) -> T {
    match kind {
        binary::ADD => T::add,
        binary::SUB => T::sub,
        binary::MUL => T::mul,
        binary::DIV => T::div,
        binary::MAX => T::max,
        binary::MIN => T::min,
        binary::POW => pow,
        binary::MOD => floor_mod,
        binary::FMOD => T::rem,
        binary::AND => T::and,
        binary::OR => T::or,
        binary::XOR => T::xor,
        binary::SHIFT_LEFT => |a, b| shift(a, b, T::left),
        binary::SHIFT_RIGHT => |a, b| shift(a, b, T::right),
        _ => |_, _| T::ZERO,
    }
}

/// Function `kind` of `selvedge_core::params::unary`; unknown kinds give 0.
pub fn unary_function<T: Integer>(kind: u32) -> fn(T) -> T {
    match kind {
        unary::NEG => |x| T::ZERO.sub(x),
        unary::ABS => |x| if x < T::ZERO { T::ZERO.sub(x) } else { x },
        unary::SIGN => |x| match x.cmp(&T::ZERO) {
            core::cmp::Ordering::Less => T::ZERO.sub(T::ONE),
            core::cmp::Ordering::Equal => T::ZERO,
            core::cmp::Ordering::Greater => T::ONE,
        },
        unary::NOT => T::not,
        unary::LOGICAL_NOT => |x| if x == T::ZERO { T::ONE } else { T::ZERO },
        _ => |_| T::ZERO,
    }
}

/// Whether integers have a function `kind`.
pub fn has_unary(kind: u32) -> bool {
    matches!(kind, unary::NEG | unary::ABS | unary::SIGN | unary::NOT | unary::LOGICAL_NOT)
}

/// `a`, `b` and `out` have one length, or one of `a` and `b` has length 1 and is broadcast.
pub fn each<A: Copy, B: Copy, Y>(a: &[A], b: &[B], out: &mut [Y], f: impl Fn(A, B) -> Y) {
    if let &[b] = b {
        for (y, &a) in out.iter_mut().zip(a) {
            *y = f(a, b);
        }
    } else if let &[a] = a {
        for (y, &b) in out.iter_mut().zip(b) {
            *y = f(a, b);
        }
    } else {
        for (y, (&a, &b)) in out.iter_mut().zip(a.iter().zip(b)) {
            *y = f(a, b);
        }
    }
}

/// A reduction: where it starts, what an element adds.
pub fn reduction<T: Integer>(kind: u32) -> (Option<T>, fn(T, T) -> T) {
    match kind {
        reduce::MAX => (None, T::max),
        reduce::MIN => (None, T::min),
        reduce::PROD => (Some(T::ONE), T::mul),
        reduce::SUM_SQUARE => (Some(T::ZERO), |sum, x| sum.add(x.mul(x))),
        _ => (Some(T::ZERO), T::add),
    }
}

/// The reduction of a sequence; a mean is truncated, the extremum of nothing is 0.
pub fn reduce<T: Integer>(kind: u32, values: impl Iterator<Item = T>) -> T {
    let (mut total, join) = reduction::<T>(kind);
    let mut count = 0usize;
    for x in values {
        total = Some(total.map_or(x, |total| join(total, x)));
        count += 1;
    }
    let total = total.unwrap_or(T::ZERO);
    if kind == reduce::MEAN { total.div(T::count(count)) } else { total }
}

/// Whether integers have a reduction `kind`.
pub fn has_reduction(kind: u32) -> bool {
    kind <= reduce::SUM_SQUARE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of<T: Integer>(kind: u32, a: T, b: T) -> T {
        binary_function::<T>(kind)(a, b)
    }

    /// Oracle: i128 arithmetic, truncated to 8 bits.
    #[test]
    fn all_pairs_of_8_bits_equal_wide_arithmetic() {
        for a in -128..=127i128 {
            for b in -128..=127i128 {
                let check = |kind, signed: Option<i128>, unsigned: Option<i128>| {
                    assert_eq!(of(kind, a as i8, b as i8), signed.unwrap_or(0) as i8, "{kind}: {a} {b}");
                    assert_eq!(of(kind, a as u8, b as u8), unsigned.unwrap_or(0) as u8, "{kind}: u8 {a} {b}");
                };
                let (ua, ub) = (a & 255, b & 255);
                check(binary::ADD, Some(a + b), Some(a + b));
                check(binary::SUB, Some(a - b), Some(a - b));
                check(binary::MUL, Some(a * b), Some(a * b));
                check(binary::DIV, a.checked_div(b), ua.checked_div(ub));
                check(binary::FMOD, a.checked_rem(b), ua.checked_rem(ub));
                let floor = (b != 0).then(|| a - b * (a as f64 / b as f64).floor() as i128);
                check(binary::MOD, floor, ua.checked_rem(ub));
                check(binary::MAX, Some(a.max(b)), Some(ua.max(ub)));
                check(binary::MIN, Some(a.min(b)), Some(ua.min(ub)));
                let bits = |v: u8| v as i8;
                assert_eq!(of(binary::SHIFT_LEFT, ua as u8, ub as u8), if ub < 8 { (ua << ub) as u8 } else { 0 });
                assert_eq!(of(binary::SHIFT_RIGHT, ua as u8, ub as u8), if ub < 8 { (ua >> ub) as u8 } else { 0 });
                assert_eq!(of(binary::XOR, a as i8, b as i8), bits(ua as u8 ^ ub as u8));
                assert_eq!(of(binary::AND, a as i8, b as i8), bits(ua as u8 & ub as u8));
                assert_eq!(of(binary::OR, a as i8, b as i8), bits(ua as u8 | ub as u8));
            }
        }
    }

    #[test]
    fn powers_wrap_and_negative_exponents_truncate() {
        assert_eq!(of(binary::POW, 3i32, 4), 81);
        assert_eq!(of(binary::POW, -2i64, 63), i64::MIN);
        assert_eq!(of(binary::POW, 2u8, 200), 0);
        assert_eq!([of(binary::POW, 1i8, -5), of(binary::POW, -1i8, -5), of(binary::POW, -1i8, -4)], [1, -1, 1]);
        assert_eq!([of(binary::POW, 2i8, -1), of(binary::POW, 0i8, -1), of(binary::POW, 0i8, 0)], [0, 0, 1]);
        assert_eq!(of(binary::POW, 255u8, 2), 1);
    }

    #[test]
    fn the_least_number_wraps() {
        assert_eq!(of(binary::DIV, i32::MIN, -1), i32::MIN);
        assert_eq!(of(binary::FMOD, i64::MIN, -1), 0);
        assert_eq!(unary_function::<i8>(unary::ABS)(-128), -128);
        assert_eq!(unary_function::<i8>(unary::NEG)(-128), -128);
        assert_eq!(unary_function::<u16>(unary::NOT)(1), 0xfffe);
        assert_eq!(unary_function::<u8>(unary::LOGICAL_NOT)(1), 0);
        assert_eq!([-7i64, 0, 9].map(unary_function::<i64>(unary::SIGN)), [-1, 0, 1]);
    }

    #[test]
    fn reductions_of_integers() {
        let of = |kind| reduce(kind, [3i8, -100, -100].into_iter());
        let kinds = [reduce::SUM, reduce::MAX, reduce::MIN, reduce::PROD, reduce::SUM_SQUARE];
        // −197 and 30000 and 20009, modulo 256.
        assert_eq!(kinds.map(of), [59, 3, -100, 48, 41]);
        assert_eq!(reduce(reduce::MEAN, [7i32, -2, -9].into_iter()), -1);
        assert_eq!(reduce(reduce::MAX, core::iter::empty::<i32>()), 0);
    }
}
