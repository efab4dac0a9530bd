//! x86-64 with `std`: the instruction set is chosen when the program runs.

use super::RunFn;
use crate::{Op, RunCtx};
use selvedge_core::{Error, ErrorKind};
use selvedge_kernels::{Avx2, IsaKind, Portable, Reference};

/// The monomorphisations of an op.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Runs {
    reference: RunFn,
    portable: RunFn,
    avx2: RunFn,
}

fn run_avx2<O: Op>(ctx: &mut RunCtx<'_>) -> Result<(), Error> {
    match Avx2::detect() {
        Some(isa) => O::run(ctx, isa),
        None => O::run(ctx, Portable),
    }
}

impl Runs {
    pub(crate) const fn of<O: Op>() -> Self {
        Runs { reference: |ctx| O::run(ctx, Reference), portable: |ctx| O::run(ctx, Portable), avx2: run_avx2::<O> }
    }

    pub(crate) fn run(&self, kind: IsaKind, ctx: &mut RunCtx<'_>) -> Result<(), Error> {
        match kind {
            IsaKind::Reference => (self.reference)(ctx),
            IsaKind::Avx2 => (self.avx2)(ctx),
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
