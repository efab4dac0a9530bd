//! One instruction set, known when the program is built.

use super::RunFn;
use crate::{Op, RunCtx};
use selvedge_core::Error;
use selvedge_kernels::{IsaI8, IsaKind, NATIVE, Native};

/// The one monomorphisation of an op.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Runs(RunFn);

impl Runs {
    pub(crate) const fn of<O: Op>() -> Self {
        Runs(|ctx| O::run(ctx, NATIVE))
    }

    pub(crate) fn run(&self, _kind: IsaKind, ctx: &mut RunCtx<'_>) -> Result<(), Error> {
        (self.0)(ctx)
    }
}

pub(crate) fn best() -> Result<IsaKind, Error> {
    Ok(Native::KIND)
}

pub(crate) fn available(kind: IsaKind) -> bool {
    kind == Native::KIND
}
