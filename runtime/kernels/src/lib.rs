//! Microkernels per instruction set, and the reference that defines them.
//!
//! Every kernel equals its reference bit for bit; `unsafe` of the library lives here alone.
#![no_std]

#[cfg(any(feature = "std", test))]
extern crate std;

mod args;
#[cfg(target_arch = "x86_64")]
mod avx2;
mod f32_rules;
mod isa;
pub mod math;
pub mod pack;
mod portable;
mod reference;
mod registry;
mod scratch;
mod select;
#[cfg(test)]
mod testing;
mod window;

pub use args::*;
#[cfg(target_arch = "x86_64")]
pub use avx2::Avx2;
pub use isa::{Isa, IsaF32, IsaI8};
pub use portable::Portable;
pub use reference::Reference;
pub use registry::{Family, KERNELS, KernelInfo};
pub use select::{IsaKind, IsaUnavailable, best, fastest};
