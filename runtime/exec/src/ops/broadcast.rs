//! ONNX broadcasting of two operands as contiguous runs.

use selvedge_core::Error;
use selvedge_core::shape::MAX_RANK;

use super::index::Walk;
use crate::StepCtx;

/// Adjacent dimensions over which an operand either moves or stands still.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Group {
    len: usize,
    /// Element strides; 0 where the operand stands still.
    a: usize,
    b: usize,
}

/// How two operands map onto an output.
#[derive(Clone, Copy, Debug)]
pub(super) struct Broadcast {
    /// Innermost first.
    groups: [Group; MAX_RANK],
    used: usize,
}

/// One run of outputs and where its operands start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub a: usize,
    pub b: usize,
    pub out: usize,
}

impl Broadcast {
    /// Aligns the shapes at their last dimension.
    ///
    /// # Errors
    /// [`ErrorKind::BadStep`](selvedge_core::ErrorKind::BadStep) where they do not broadcast to `out`.
    pub(super) fn of(ctx: &StepCtx<'_>, a: &[u32], b: &[u32], out: &[u32]) -> Result<Self, Error> {
        Self::build(a, b, out).ok_or(ctx.bad())
    }

    fn build(a: &[u32], b: &[u32], out: &[u32]) -> Option<Self> {
        let rank = out.len();
        if a.len().max(b.len()) > rank {
            return None;
        }
        let mut this = Broadcast { groups: [Group::default(); MAX_RANK], used: 0 };
        let (mut a_step, mut b_step) = (1usize, 1usize);
        let back = |dims: &[u32], i: usize| dims.iter().rev().nth(i).copied().unwrap_or(1) as usize;
        for i in 0..rank {
            let (da, db, d) = (back(a, i), back(b, i), back(out, i));
            if da.max(db) != d || (da != d && da != 1) || (db != d && db != 1) {
                return None;
            }
            if d == 1 {
                continue;
            }
            let group = Group { len: d, a: if da == 1 { 0 } else { a_step }, b: if db == 1 { 0 } else { b_step } };
            a_step *= da;
            b_step *= db;
            let last = this.used.checked_sub(1).and_then(|at| this.groups.get_mut(at));
            match last {
                Some(g) if (g.a == 0) == (group.a == 0) && (g.b == 0) == (group.b == 0) => g.len *= d,
                _ => {
                    *this.groups.get_mut(this.used)? = group;
                    this.used += 1;
                }
            }
        }
        Some(this)
    }

    fn inner(&self) -> Group {
        match self.groups.first() {
            Some(group) if self.used > 0 => *group,
            _ => Group { len: 1, a: 1, b: 1 },
        }
    }

    /// Length of the runs, in outputs.
    pub(super) fn run_len(&self) -> usize {
        self.inner().len
    }

    /// Elements of `a` in a run: all, or the one that is repeated.
    pub(super) fn a_len(&self) -> usize {
        if self.inner().a == 0 { 1 } else { self.inner().len }
    }

    /// Elements of `b` in a run.
    pub(super) fn b_len(&self) -> usize {
        if self.inner().b == 0 { 1 } else { self.inner().len }
    }

    /// Calls `f` with each run of both operands and of the output; `None` where one leaves its tensor.
    pub(super) fn each<T, Y>(&self, a: &[T], b: &[T], out: &mut [Y], f: impl Fn(&[T], &[T], &mut [Y])) -> Option<()> {
        let (a_len, b_len) = (self.a_len(), self.b_len());
        for (run, y) in self.runs().zip(out.chunks_exact_mut(self.run_len().max(1))) {
            f(a.get(run.a..run.a + a_len)?, b.get(run.b..run.b + b_len)?, y);
        }
        Some(())
    }

    /// All runs, in the order of the output.
    pub(super) fn runs(&self) -> impl Iterator<Item = Run> {
        let outer = || self.groups.iter().take(self.used).skip(1).rev();
        let len = self.run_len();
        let a = Walk::new(outer().map(|g| g.len), outer().map(|g| g.a as isize));
        let b = Walk::new(outer().map(|g| g.len), outer().map(|g| g.b as isize));
        a.zip(b).enumerate().map(move |(i, (a, b))| Run { a: a as usize, b: b as usize, out: i * len })
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    fn runs(a: &[u32], b: &[u32], out: &[u32]) -> (usize, Vec<(usize, usize, usize)>) {
        let broadcast = Broadcast::build(a, b, out).expect("broadcasts");
        (broadcast.run_len(), broadcast.runs().map(|r| (r.a, r.b, r.out)).collect())
    }

    #[test]
    fn equal_shapes_are_one_run() {
        assert_eq!(runs(&[2, 3, 4], &[2, 3, 4], &[2, 3, 4]), (24, [(0, 0, 0)].to_vec()));
        assert_eq!(runs(&[], &[], &[]), (1, [(0, 0, 0)].to_vec()));
    }

    #[test]
    fn a_channel_vector_repeats_per_pixel() {
        assert_eq!(runs(&[1, 2, 4], &[4], &[1, 2, 4]), (4, [(0, 0, 0), (4, 0, 4)].to_vec()));
    }

    #[test]
    fn both_sides_may_repeat() {
        assert_eq!(runs(&[3, 1], &[2], &[3, 2]), (2, [(0, 0, 0), (1, 0, 2), (2, 0, 4)].to_vec()));
    }

    #[test]
    fn other_shapes_are_refused() {
        assert!(Broadcast::build(&[3], &[2], &[3]).is_none());
        assert!(Broadcast::build(&[1], &[1], &[2]).is_none());
        assert!(Broadcast::build(&[2, 2], &[2], &[2]).is_none());
    }
}
