//! Walks over tensors of up to six dimensions.

use selvedge_core::shape::MAX_RANK;

/// Offsets `Σ i_d·stride_d` of all indices of a shape, the last dimension fastest.
pub(super) struct Walk {
    dims: [usize; MAX_RANK],
    strides: [isize; MAX_RANK],
    index: [usize; MAX_RANK],
    offset: isize,
    done: bool,
}

impl Walk {
    /// A walk over `dims` with one stride each; both at most [`MAX_RANK`] long.
    pub(super) fn new(dims: impl IntoIterator<Item = usize>, strides: impl IntoIterator<Item = isize>) -> Self {
        let mut walk =
            Walk { dims: [1; MAX_RANK], strides: [0; MAX_RANK], index: [0; MAX_RANK], offset: 0, done: false };
        for (slot, dim) in walk.dims.iter_mut().zip(dims) {
            *slot = dim;
            walk.done |= dim == 0;
        }
        for (slot, stride) in walk.strides.iter_mut().zip(strides) {
            *slot = stride;
        }
        walk
    }
}

impl Iterator for Walk {
    type Item = isize;

    fn next(&mut self) -> Option<isize> {
        if self.done {
            return None;
        }
        let current = self.offset;
        for ((index, &dim), &stride) in self.index.iter_mut().zip(&self.dims).zip(&self.strides).rev() {
            *index += 1;
            if *index < dim {
                self.offset = self.offset.wrapping_add(stride);
                return Some(current);
            }
            *index = 0;
            self.offset = self.offset.wrapping_sub(stride.wrapping_mul(dim as isize - 1));
        }
        self.done = true;
        Some(current)
    }
}

/// Row-major strides of a shape, in elements.
pub(super) fn strides(dims: &[u32]) -> [isize; MAX_RANK] {
    let mut out = [0; MAX_RANK];
    let mut step = 1isize;
    for (slot, &dim) in out.iter_mut().zip(dims).rev() {
        *slot = step;
        step = step.wrapping_mul(dim as isize);
    }
    out
}

/// `dst[i…] = src[base + Σ i_d·stride_d]` for `dst` of shape `dims`; `None` where that leaves `src`.
pub(super) fn gather<T: Copy>(src: &[T], dst: &mut [T], dims: &[u32], strides: &[isize], base: usize) -> Option<()> {
    let (inner, outer_dims) = match dims.split_last() {
        Some((&last, outer)) => (last as usize, outer),
        None => (1, dims),
    };
    let step = strides.get(outer_dims.len()).copied().unwrap_or(1);
    let walk = Walk::new(outer_dims.iter().map(|&d| d as usize), strides.iter().copied().take(outer_dims.len()));
    for (row, offset) in dst.chunks_exact_mut(inner.max(1)).zip(walk) {
        let start = base.checked_add_signed(offset)?;
        if step == 1 {
            row.copy_from_slice(src.get(start..start.checked_add(row.len())?)?);
            continue;
        }
        let mut at = start as isize;
        for y in row {
            *y = *src.get(usize::try_from(at).ok()?)?;
            at = at.wrapping_add(step);
        }
    }
    Some(())
}

/// Runs an expression with `$t` the unsigned integer of an element's size.
macro_rules! by_size {
    ($dtype:expr, $t:ident => $body:expr) => {
        match $dtype.size() {
            1 => {
                type $t = u8;
                $body
            }
            2 => {
                type $t = u16;
                $body
            }
            4 => {
                type $t = u32;
                $body
            }
            _ => {
                type $t = u64;
                $body
            }
        }
    };
}
pub(super) use by_size;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walk_visits_offsets_in_row_major_order() {
        let walk = Walk::new([2, 3], [1, 10]);
        assert!(walk.eq([0, 10, 20, 1, 11, 21]));
        assert!(Walk::new([], []).eq([0]));
    }

    #[test]
    fn gather_reverses_with_negative_steps() {
        let mut out = [0; 3];
        assert!(gather(&[1, 2, 3, 4, 5], &mut out, &[3], &[-2], 4).is_some());
        assert_eq!(out, [5, 3, 1]);
        assert!(gather(&[1, 2], &mut out, &[3], &[1], 0).is_none());
    }
}
