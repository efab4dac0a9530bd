//! Trigonometric and hyperbolic functions and their inverses.
//!
//! libm's portable code (musl's algorithms), not vectorized: basic operations in f64 and f32, each rounded, so the
//! same bits on every CPU.

use crate::f32_rules::{NAN, canonical};
use selvedge_core::params::unary;

/// Function `kind` (`selvedge_core::params::unary`, from `SIN` on) as it is stored; unknown kinds give NaN.
pub fn trig(kind: u32, x: f32) -> f32 {
    canonical(match kind {
        unary::SIN => libm::sinf(x),
        unary::COS => libm::cosf(x),
        unary::TAN => libm::tanf(x),
        unary::ASIN => libm::asinf(x),
        unary::ACOS => libm::acosf(x),
        unary::ATAN => libm::atanf(x),
        unary::SINH => libm::sinhf(x),
        unary::COSH => libm::coshf(x),
        unary::ASINH => libm::asinhf(x),
        unary::ACOSH => libm::acoshf(x),
        unary::ATANH => libm::atanhf(x),
        _ => NAN,
    })
}
