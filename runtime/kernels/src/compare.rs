//! Comparisons: one form for every instruction set, the definition and the kernel.

use crate::integer::each;
use selvedge_core::params::compare;

/// Comparison `kind` of `selvedge_core::params::compare`; nothing but "not equal" holds of a NaN.
pub fn function<T: PartialOrd>(kind: u32) -> fn(&T, &T) -> bool {
    match kind {
        compare::EQUAL => T::eq,
        compare::NOT_EQUAL => T::ne,
        compare::LESS => T::lt,
        compare::LESS_OR_EQUAL => T::le,
        compare::GREATER => T::gt,
        compare::GREATER_OR_EQUAL => T::ge,
        _ => |_, _| false,
    }
}

/// Bytes of 0 or 1. `a`, `b` and `out` have one length, or one of `a` and `b` has length 1.
pub fn compare<T: PartialOrd + Copy>(kind: u32, a: &[T], b: &[T], out: &mut [u8]) {
    let holds = function::<T>(kind);
    each(a, b, out, |a, b| u8::from(holds(&a, &b)));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Oracle: IEEE 754's table of predicates.
    #[test]
    fn nan_is_unordered_and_zeros_are_equal() {
        let of = |a: f32, b: f32| {
            [0, 1, 2, 3, 4, 5].map(|kind| {
                let mut y = [9];
                compare(kind, &[a], &[b], &mut y);
                y[0]
            })
        };
        assert_eq!(of(1.0, 2.0), [0, 1, 1, 1, 0, 0]);
        assert_eq!(of(2.0, 1.0), [0, 1, 0, 0, 1, 1]);
        assert_eq!(of(0.0, -0.0), [1, 0, 0, 1, 0, 1]);
        assert_eq!(of(f32::NAN, 1.0), [0, 1, 0, 0, 0, 0]);
        assert_eq!(of(f32::NAN, f32::NAN), [0, 1, 0, 0, 0, 0]);
    }

    #[test]
    fn integers_keep_their_sign_and_one_side_repeats() {
        let mut y = [0; 3];
        compare(compare::LESS, &[200u8, 3, 255], &[250], &mut y);
        assert_eq!(y, [1, 1, 0]);
        compare(compare::LESS, &[-1i8], &[0, -1, -2], &mut y);
        assert_eq!(y, [1, 0, 0]);
    }
}
