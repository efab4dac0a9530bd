//! AArch64 with `std`: the instruction set is chosen when the program runs.

use super::RunFn;
use crate::{Op, RunCtx};
use selvedge_core::{Error, ErrorKind};
use selvedge_kernels::{IsaKind, Neon, NeonDotprod, NeonI8mm, Portable, Reference};

/// The monomorphisations of an op.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Runs {
    reference: RunFn,
    portable: RunFn,
    neon: RunFn,
    dotprod: RunFn,
    i8mm: RunFn,
}

fn run_dotprod<O: Op>(ctx: &mut RunCtx<'_>) -> Result<(), Error> {
    match NeonDotprod::detect() {
        Some(isa) => O::run(ctx, isa),
        None => O::run(ctx, Neon::BASELINE),
    }
}

fn run_i8mm<O: Op>(ctx: &mut RunCtx<'_>) -> Result<(), Error> {
    match NeonI8mm::detect() {
        Some(isa) => O::run(ctx, isa),
        None => O::run(ctx, Neon::BASELINE),
    }
}

impl Runs {
    pub(crate) const fn of<O: Op>() -> Self {
        Runs {
            reference: |ctx| O::run(ctx, Reference),
            portable: |ctx| O::run(ctx, Portable),
            neon: |ctx| O::run(ctx, Neon::BASELINE),
            dotprod: run_dotprod::<O>,
            i8mm: run_i8mm::<O>,
        }
    }

    pub(crate) fn run(&self, kind: IsaKind, ctx: &mut RunCtx<'_>) -> Result<(), Error> {
        match kind {
            IsaKind::Reference => (self.reference)(ctx),
            IsaKind::Neon => (self.neon)(ctx),
            IsaKind::NeonDotprod => (self.dotprod)(ctx),
            IsaKind::NeonI8mm => (self.i8mm)(ctx),
            _ => (self.portable)(ctx),
        }
    }
}

/// The one `SELVEDGE_ISA` names, else the fastest.
pub(crate) fn best() -> Result<IsaKind, Error> {
    selvedge_kernels::best().map_err(|_| ErrorKind::NoSuchIsa.into())
}

pub(crate) fn available(kind: IsaKind) -> bool {
    kind.is_available()
}
