//! Places in a tensor that a tensor of indices names, as ONNX's element-wise and N-dimensional
//! gathers and scatters do.

use selvedge_core::artifact::TensorView;
use selvedge_core::shape::MAX_RANK;
use selvedge_core::{DType, Error};

use super::index::{Walk, strides};
use crate::StepCtx;

/// How indices name slices of a tensor.
pub(super) struct Places {
    /// Indices that name one place.
    tuple: usize,
    /// Elements of a slice.
    pub slice: usize,
    /// Length and stride of each indexed axis.
    axes: [(i64, i64); MAX_RANK],
    /// Where the place would be with all indices 0: dims and strides of a walk.
    dims: [usize; MAX_RANK],
    steps: [isize; MAX_RANK],
    rank: usize,
}

impl Places {
    /// Indices of the same rank as `data`, one a place, along `axis`.
    pub(super) fn elements(
        ctx: &StepCtx<'_>,
        data: &TensorView<'_>,
        at: &TensorView<'_>,
        axis: usize,
    ) -> Result<Self, Error> {
        check(ctx, at)?;
        ctx.require(data.dims.len() == at.dims.len())?;
        let mut places = Places::new(1, 1, at.dims);
        for (i, ((&have, &want), stride)) in data.dims.iter().zip(at.dims).zip(strides(data.dims)).enumerate() {
            ctx.require(i == axis || want <= have)?;
            if let Some(step) = places.steps.get_mut(i).filter(|_| i != axis) {
                *step = stride;
            }
        }
        let length = *data.dims.get(axis).ok_or(ctx.bad())? as i64;
        let stride = strides(data.dims).get(axis).copied().unwrap_or(0) as i64;
        places.axes = [(length, stride); MAX_RANK];
        Ok(places)
    }

    /// The last axis of `at` holds the tuples; the first `batch` axes are shared.
    pub(super) fn tuples(
        ctx: &StepCtx<'_>,
        data: &TensorView<'_>,
        at: &TensorView<'_>,
        batch: usize,
    ) -> Result<Self, Error> {
        check(ctx, at)?;
        let (&tuple, outer) = at.dims.split_last().ok_or(ctx.bad())?;
        let tuple = tuple as usize;
        ctx.require(batch <= outer.len() && batch.saturating_add(tuple) <= data.dims.len())?;
        let slice = data.dims.iter().skip(batch.saturating_add(tuple)).map(|&d| d as usize).product();
        let mut places = Places::new(tuple, slice, outer);
        let own = data.dims.iter().zip(strides(data.dims));
        let shared = own.clone().take(batch).zip(outer);
        for (((&have, stride), &want), step) in shared.zip(&mut places.steps) {
            ctx.require(have == want)?;
            *step = stride;
        }
        for (slot, (&length, stride)) in places.axes.iter_mut().zip(own.skip(batch).take(tuple)) {
            *slot = (length as i64, stride as i64);
        }
        Ok(places)
    }

    fn new(tuple: usize, slice: usize, outer: &[u32]) -> Self {
        let mut dims = [1; MAX_RANK];
        for (slot, &dim) in dims.iter_mut().zip(outer) {
            *slot = dim as usize;
        }
        let rank = outer.len();
        Places { tuple, slice, axes: [(1, 0); MAX_RANK], dims, steps: [0; MAX_RANK], rank }
    }

    /// Calls `f` with the first element of each place in the order of the indices; `None` where
    /// an index is out of range, or from `f`.
    pub(super) fn each(
        &self,
        mut indices: impl Iterator<Item = i64>,
        mut f: impl FnMut(usize) -> Option<()>,
    ) -> Option<()> {
        let rank = self.rank;
        for base in Walk::new(self.dims.into_iter().take(rank), self.steps.into_iter().take(rank)) {
            let mut at = base as i64;
            for &(length, stride) in self.axes.iter().take(self.tuple) {
                let index = indices.next()?;
                let index = if index < 0 { index.checked_add(length)? } else { index };
                if !(0..length).contains(&index) {
                    return None;
                }
                at = at.wrapping_add(index.wrapping_mul(stride));
            }
            f(usize::try_from(at).ok()?)?;
        }
        Some(())
    }
}

fn check(ctx: &StepCtx<'_>, at: &TensorView<'_>) -> Result<(), Error> {
    ctx.require(matches!(at.dtype, DType::I32 | DType::I64))
}

/// Runs `$body` with `$indices` an iterator of input `$i`, whose type is `$dtype`.
macro_rules! with_indices {
    ($views:ident, $i:expr, $dtype:expr, $indices:ident => $body:expr) => {
        match $dtype {
            DType::I32 => {
                let $indices = $views.input::<i32>($i)?.iter().map(|&i| i as i64);
                $body
            }
            _ => {
                let $indices = $views.input::<i64>($i)?.iter().copied();
                $body
            }
        }
    };
}
pub(super) use with_indices;
