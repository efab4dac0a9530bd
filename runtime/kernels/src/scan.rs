//! Positions of extrema, running sums and products along an axis: the definition and the kernel.

use crate::f32_rules::canonical;
use crate::integer::Integer;

/// What an axis can be scanned for.
pub trait Scan: Copy + PartialOrd + 'static {
    const ZERO: Self;
    const ONE: Self;
    fn sum(self, other: Self) -> Self;
    fn product(self, other: Self) -> Self;
    /// As it is stored.
    fn stored(self) -> Self;
}

impl Scan for f32 {
    const ZERO: f32 = 0.0;
    const ONE: f32 = 1.0;
    fn sum(self, other: f32) -> f32 {
        self + other
    }
    fn product(self, other: f32) -> f32 {
        self * other
    }
    fn stored(self) -> f32 {
        canonical(self)
    }
}

macro_rules! integers {
    ($($t:ty)*) => {$(
        impl Scan for $t {
            const ZERO: $t = 0;
            const ONE: $t = 1;
            fn sum(self, other: $t) -> $t { Integer::add(self, other) }
            fn product(self, other: $t) -> $t { Integer::mul(self, other) }
            fn stored(self) -> $t { self }
        }
    )*};
}

integers!(i8 u8 i16 u16 i32 u32 i64 u64);

/// Which element ArgMax and ArgMin look for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extremum {
    /// The least instead of the greatest.
    pub least: bool,
    /// Of equal ones the last instead of the first.
    pub last: bool,
}

impl Extremum {
    /// Whether `new`, which follows, takes the place of `best`. A NaN is beyond every number, as in numpy.
    fn takes<T: PartialOrd>(self, new: T, best: T) -> bool {
        #[allow(clippy::eq_op)]
        let (new_nan, best_nan) = (new != new, best != best);
        let beyond = if self.least { new < best } else { new > best };
        match (new_nan, best_nan) {
            (false, true) => false,
            (true, false) => true,
            (true, true) => self.last,
            (false, false) => beyond || (self.last && new == best),
        }
    }
}

/// `[outer, n, inner]` to positions `[outer, inner]`.
pub fn arg_reduce<T: Scan>(which: Extremum, x: &[T], n: usize, inner: usize, out: &mut [i64]) {
    let inner = inner.max(1);
    for (x, out) in x.chunks_exact(n.saturating_mul(inner).max(1)).zip(out.chunks_exact_mut(inner)) {
        for (j, y) in out.iter_mut().enumerate() {
            let mut best = None;
            for (i, &v) in x.iter().skip(j).step_by(inner).enumerate() {
                if best.is_none_or(|best| which.takes(v, best)) {
                    (best, *y) = (Some(v), i as i64);
                }
            }
        }
    }
}

/// How running sums are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Running {
    /// Without the element itself.
    pub exclusive: bool,
    /// From the end.
    pub reverse: bool,
    /// Products instead of sums.
    pub product: bool,
}

/// Running sums along `n` of `[outer, n, inner]`, one addition an element, each rounded.
pub fn cum_sum<T: Scan>(x: &[T], n: usize, inner: usize, how: Running, out: &mut [T]) {
    let inner = inner.max(1);
    let block = n.saturating_mul(inner).max(1);
    for (x, out) in x.chunks_exact(block).zip(out.chunks_exact_mut(block)) {
        for j in 0..inner {
            let lane = x.iter().skip(j).step_by(inner).zip(out.iter_mut().skip(j).step_by(inner));
            if how.reverse { run(lane.rev(), how) } else { run(lane, how) }
        }
    }
}

fn run<'a, T: Scan>(lane: impl Iterator<Item = (&'a T, &'a mut T)>, how: Running) {
    let mut total = if how.product { T::ONE } else { T::ZERO };
    for (&x, y) in lane {
        let next = if how.product { total.product(x) } else { total.sum(x) }.stored();
        *y = if how.exclusive { total } else { next };
        total = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arg(least: bool, last: bool, x: &[f32], n: usize, inner: usize) -> std::vec::Vec<i64> {
        let mut y = std::vec![-1; x.len() / n];
        arg_reduce(Extremum { least, last }, x, n, inner, &mut y);
        y
    }

    /// Oracle: the examples of ONNX's ArgMax and ArgMin, and numpy for NaN.
    #[test]
    fn first_and_last_extrema_and_nan() {
        let x = [2.0, 2.0, 3.0, 10.0];
        assert_eq!([arg(false, false, &x, 2, 1), arg(false, true, &x, 2, 1)], [[0, 1], [1, 1]]);
        assert_eq!([arg(false, false, &x, 2, 2), arg(true, false, &x, 2, 2)], [[1, 1], [0, 0]]);
        let nan = [1.0, f32::NAN, 5.0, f32::NAN];
        assert_eq!(
            [arg(false, false, &nan, 4, 1), arg(true, false, &nan, 4, 1), arg(true, true, &nan, 4, 1)],
            [[1], [1], [3]]
        );
        let mut y = [0];
        arg_reduce(Extremum { least: true, last: true }, &[3u8, 1, 1, 200], 4, 1, &mut y);
        assert_eq!(y, [2]);
    }

    /// Oracle: the examples of ONNX's CumSum.
    #[test]
    fn running_sums_in_all_four_ways() {
        let of = |exclusive, reverse| {
            let mut y = [0i32; 5];
            cum_sum(&[1, 2, 3, 4, 5], 5, 1, Running { exclusive, reverse, product: false }, &mut y);
            y
        };
        assert_eq!([of(false, false), of(true, false)], [[1, 3, 6, 10, 15], [0, 1, 3, 6, 10]]);
        assert_eq!([of(false, true), of(true, true)], [[15, 14, 12, 9, 5], [14, 12, 9, 5, 0]]);
        let mut y = [0.0f32; 6];
        cum_sum(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 2, 3, Running::default(), &mut y);
        assert_eq!(y, [1.0, 2.0, 3.0, 5.0, 7.0, 9.0]);
        let mut y = [0u8; 2];
        cum_sum(&[200, 100], 2, 1, Running::default(), &mut y);
        assert_eq!(y, [200, 44]);
        let mut y = [0i64; 4];
        cum_sum(&[2, 3, -4, 5], 4, 1, Running { exclusive: true, reverse: false, product: true }, &mut y);
        assert_eq!(y, [1, 2, 6, -24]);
    }
}
