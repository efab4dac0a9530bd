//! Values of elementwise operators on constants, computed in f64 and rounded
//! once so that every host folds to the same bits.
use crate::graph::{Binary, Reduce, Unary};
use crate::lower::table;

/// Complementary error function by a continued fraction for |x| ≥ 2.
fn erfc_tail(x: f64) -> f64 {
    let mut f = x;
    for n in (1..=60).rev() {
        f = x + n as f64 / 2.0 / f;
    }
    (-x * x).exp() / (f * std::f64::consts::PI.sqrt())
}

/// Error function, to about 1e-15.
pub(crate) fn erf(x: f64) -> f64 {
    let a = x.abs();
    if a.is_nan() {
        return x;
    }
    if a >= 2.0 {
        return (1.0 - erfc_tail(a)).copysign(x);
    }
    let (mut term, mut sum) = (a, a);
    for n in 1..60 {
        term *= -a * a / n as f64;
        sum += term / (2 * n + 1) as f64;
    }
    (sum * 2.0 / std::f64::consts::PI.sqrt()).copysign(x)
}

pub(crate) fn unary(kind: Unary, x: f32) -> f32 {
    let d = x as f64;
    let sigmoid = |d: f64| 1.0 / (1.0 + (-d).exp());
    let keep_nan = |y: f32| if x.is_nan() { x } else { y };
    match kind {
        Unary::Relu => keep_nan(x.max(0.0)),
        Unary::LeakyRelu { alpha } => {
            if x < 0.0 {
                alpha * x
            } else {
                x
            }
        }
        Unary::Clip(c) => keep_nan(x.max(c.lo).min(c.hi)),
        Unary::Sigmoid => sigmoid(d) as f32,
        Unary::Tanh => d.tanh() as f32,
        Unary::HardSigmoid { alpha, beta } => keep_nan((alpha * x + beta).clamp(0.0, 1.0)),
        Unary::HardSwish => keep_nan(x * (x / 6.0 + 0.5).clamp(0.0, 1.0)),
        Unary::Elu { alpha } => {
            if x < 0.0 {
                (alpha as f64 * d.exp_m1()) as f32
            } else {
                x
            }
        }
        Unary::Softplus => (d.max(0.0) + (-d.abs()).exp().ln_1p()) as f32,
        Unary::Erf => erf(d) as f32,
        Unary::Gelu => (0.5 * d * (1.0 + erf(d / std::f64::consts::SQRT_2))) as f32,
        Unary::Silu => (d * sigmoid(d)) as f32,
        Unary::Exp => d.exp() as f32,
        Unary::Log => d.ln() as f32,
        Unary::Sqrt => x.sqrt(),
        Unary::Reciprocal => 1.0 / x,
        Unary::Neg => -x,
        Unary::Abs => x.abs(),
        Unary::Floor => x.floor(),
        Unary::Ceil => x.ceil(),
        Unary::Round => x.round_ties_even(),
        Unary::Sign => {
            if x == 0.0 || x.is_nan() {
                x
            } else {
                1f32.copysign(x)
            }
        }
        other => table::eval(other, d) as f32,
    }
}

pub(crate) fn binary(kind: Binary, a: f32, b: f32) -> f32 {
    match kind {
        Binary::Add => a + b,
        Binary::Sub => a - b,
        Binary::Mul => a * b,
        Binary::Div => a / b,
        Binary::Max => {
            if a.is_nan() || b.is_nan() {
                f32::NAN
            } else {
                a.max(b)
            }
        }
        Binary::Min => {
            if a.is_nan() || b.is_nan() {
                f32::NAN
            } else {
                a.min(b)
            }
        }
        Binary::Pow => (a as f64).powf(b as f64) as f32,
        Binary::PRelu => {
            if a < 0.0 {
                a * b
            } else {
                a
            }
        }
        Binary::Fmod => a % b,
        Binary::Mod => selvedge_kernels::math::floor_mod(a, b),
        // Not of real numbers.
        Binary::And | Binary::Or | Binary::Xor | Binary::ShiftLeft | Binary::ShiftRight => f32::NAN,
    }
}

/// One element of a reduction of `values`.
pub(crate) fn reduce(kind: Reduce, values: impl Iterator<Item = f32>) -> f32 {
    let (mut count, mut acc) = (
        0usize,
        match kind {
            Reduce::Max => f64::NEG_INFINITY,
            Reduce::Min => f64::INFINITY,
            Reduce::Prod => 1.0,
            _ => 0.0,
        },
    );
    for v in values {
        count += 1;
        let v = v as f64;
        acc = match kind {
            Reduce::Mean | Reduce::Sum => acc + v,
            Reduce::Max => {
                if v.is_nan() || acc.is_nan() {
                    f64::NAN
                } else {
                    acc.max(v)
                }
            }
            Reduce::Min => {
                if v.is_nan() || acc.is_nan() {
                    f64::NAN
                } else {
                    acc.min(v)
                }
            }
            Reduce::Prod => acc * v,
            Reduce::SumSquare | Reduce::L2 => acc + v * v,
        };
    }
    match kind {
        Reduce::Mean => (acc / count as f64) as f32,
        Reduce::L2 => acc.sqrt() as f32,
        _ => acc as f32,
    }
}

#[cfg(test)]
mod tests {
    use super::erf;

    #[test]
    fn erf_equals_known_values() {
        for (x, y) in [(0.5, 0.5204998778130465), (1.0, 0.8427007929497149), (2.5, 0.999593047982555), (0.0, 0.0)] {
            assert!((erf(x) - y).abs() < 1e-14 && (erf(-x) + y).abs() < 1e-14, "{x}: {}", erf(x));
        }
    }
}
