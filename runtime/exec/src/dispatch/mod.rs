//! Instruction sets of this build, one module each kind of build.

#[cfg(all(target_arch = "aarch64", feature = "std"))]
mod aarch64;
#[cfg(not(all(any(target_arch = "aarch64", target_arch = "x86_64"), feature = "std")))]
mod fixed;
#[cfg(all(target_arch = "x86_64", feature = "std"))]
mod x86;

#[cfg(all(target_arch = "aarch64", feature = "std"))]
pub(crate) use aarch64::{Runs, available, best};
#[cfg(not(all(any(target_arch = "aarch64", target_arch = "x86_64"), feature = "std")))]
pub(crate) use fixed::{Runs, available, best};
#[cfg(all(target_arch = "x86_64", feature = "std"))]
pub(crate) use x86::{Runs, available, best};

type RunFn = fn(&mut crate::RunCtx<'_>) -> Result<(), selvedge_core::Error>;
