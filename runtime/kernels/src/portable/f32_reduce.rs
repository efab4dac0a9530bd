//! f32 reductions: 8 lanes of a row, or 8 rows side by side; equal to the reference bit for bit.

use crate::f32_rules::{LANES, NAN, combine};
use crate::reference::f32_reduce::{finish, initial, join, step};
use selvedge_core::params::reduce;

/// Lanes of 8 reductions side by side: `[lane][reduction]`.
pub type Columns = [[f32; LANES]; LANES];

/// Element `i` of up to 8 reductions.
#[inline(always)]
pub fn sum_columns(columns: &mut Columns, i: usize, x: &[f32], step: impl Fn(f32, f32) -> f32) {
    let lane = &mut columns[i % LANES];
    match <&[f32; LANES]>::try_from(x) {
        Ok(x) => {
            for (lane, &x) in lane.iter_mut().zip(x) {
                *lane = step(*lane, x);
            }
        }
        Err(_) => {
            for (lane, &x) in lane.iter_mut().zip(x) {
                *lane = step(*lane, x);
            }
        }
    }
}

/// Joins the lanes of each reduction.
#[inline(always)]
pub fn combine_columns(columns: &Columns, join: impl Fn(f32, f32) -> f32) -> [f32; LANES] {
    core::array::from_fn(|j| combine(&core::array::from_fn(|lane| columns[lane][j]), &join))
}

/// Lanes of one row.
#[inline(always)]
pub fn row_lanes(x: &[f32], initial: f32, step: impl Fn(f32, f32) -> f32) -> [f32; LANES] {
    let mut lanes = [initial; LANES];
    let (whole, tail) = x.as_chunks::<LANES>();
    for x in whole {
        for (lane, &x) in lanes.iter_mut().zip(x) {
            *lane = step(*lane, x);
        }
    }
    for (lane, &x) in lanes.iter_mut().zip(tail) {
        *lane = step(*lane, x);
    }
    lanes
}

#[inline(always)]
pub fn reduce(kind: u32, x: &[f32], n: usize, inner: usize, out: &mut [f32]) {
    // One instance a kind: the constant folds the branches inside of the loops.
    match kind {
        reduce::MEAN => of_kind::<{ reduce::MEAN }>(x, n, inner, out),
        reduce::SUM => of_kind::<{ reduce::SUM }>(x, n, inner, out),
        reduce::MAX => of_kind::<{ reduce::MAX }>(x, n, inner, out),
        reduce::MIN => of_kind::<{ reduce::MIN }>(x, n, inner, out),
        reduce::PROD => of_kind::<{ reduce::PROD }>(x, n, inner, out),
        reduce::SUM_SQUARE => of_kind::<{ reduce::SUM_SQUARE }>(x, n, inner, out),
        reduce::L2 => of_kind::<{ reduce::L2 }>(x, n, inner, out),
        _ => out.fill(NAN),
    }
}

#[inline(always)]
fn of_kind<const KIND: u32>(x: &[f32], n: usize, inner: usize, out: &mut [f32]) {
    let start = initial(KIND);
    if inner == 1 {
        for (row, y) in out.iter_mut().enumerate() {
            let lanes = row_lanes(&x[row * n..][..n], start, |lane, x| step(KIND, lane, x));
            *y = finish(KIND, combine(&lanes, |a, b| join(KIND, a, b)), n);
        }
        return;
    }
    for (outer, out) in out.chunks_exact_mut(inner.max(1)).enumerate() {
        for (chunk, out) in out.chunks_mut(LANES).enumerate() {
            let mut columns = [[start; LANES]; LANES];
            for i in 0..n {
                let x = &x[(outer * n + i) * inner + chunk * LANES..][..out.len()];
                sum_columns(&mut columns, i, x, |lane, x| step(KIND, lane, x));
            }
            let joined = combine_columns(&columns, |a, b| join(KIND, a, b));
            for (y, v) in out.iter_mut().zip(joined) {
                *y = finish(KIND, v, n);
            }
        }
    }
}
