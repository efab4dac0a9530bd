//! The float types that everything here is generic over.

use core::fmt::{Debug, Display};
use core::ops::{Add, AddAssign, Div, Mul, MulAssign, Neg, Sub, SubAssign};

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

/// `f32` or `f64`. Functions beyond the four operations are those of the `libm` crate: the same bits on every CPU.
pub trait Real:
    sealed::Sealed
    + Copy
    + Debug
    + Display
    + Default
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
    + 'static
{
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// The nearest number of this type.
    fn of(value: f64) -> Self;
    /// The same number as f64.
    fn to_f64(self) -> f64;
    /// Square root, correctly rounded.
    fn sqrt(self) -> Self;
    /// e to the power of this.
    fn exp(self) -> Self;
    /// The natural logarithm.
    fn ln(self) -> Self;
    /// Whether it is a number below infinity.
    fn is_finite(self) -> bool;

    /// Magnitude.
    fn abs(self) -> Self {
        if self < Self::ZERO { -self } else { self }
    }

    /// The larger one; `self` where they do not compare.
    fn at_least(self, low: Self) -> Self {
        if self < low { low } else { self }
    }

    /// The smaller one; `self` where they do not compare.
    fn at_most(self, high: Self) -> Self {
        if self > high { high } else { self }
    }
}

macro_rules! real {
    ($t:ty, $sqrt:ident, $exp:ident, $ln:ident) => {
        impl Real for $t {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            fn of(value: f64) -> Self {
                value as $t
            }
            fn to_f64(self) -> f64 {
                self as f64
            }
            fn sqrt(self) -> Self {
                libm::$sqrt(self)
            }
            fn exp(self) -> Self {
                libm::$exp(self)
            }
            fn ln(self) -> Self {
                libm::$ln(self)
            }
            fn is_finite(self) -> bool {
                <$t>::is_finite(self)
            }
        }
    };
}
real!(f32, sqrtf, expf, logf);
real!(f64, sqrt, exp, log);

/// Sum of products in f64, in order.
pub(crate) fn dot<T: Real>(a: &[T], b: &[T]) -> f64 {
    a.iter().zip(b).fold(0.0, |sum, (&a, &b)| sum + a.to_f64() * b.to_f64())
}
