//! Microkernels per instruction set, and the reference that defines them.
//!
//! Every kernel equals its reference bit for bit; `unsafe` of the library lives here alone.
#![no_std]

#[cfg(any(feature = "std", test))]
extern crate std;

pub mod a4;
mod args;
#[cfg(target_arch = "x86_64")]
mod avx2;
mod code;
pub mod compare;
pub mod conv_nd;
mod detect;
#[cfg(selvedge_dsp)]
mod dsp;
mod element;
mod f32_rules;
pub mod grid_sample;
pub mod group_norm;
#[cfg(selvedge_helium)]
mod helium;
pub mod integer;
mod isa;
pub mod math;
pub mod max_pool_nd;
mod native;
#[cfg(selvedge_neon)]
mod neon;
pub mod pack;
pub mod pack_low;
pub mod pair;
#[cfg(any(selvedge_neon, target_arch = "x86_64"))]
mod plane;
mod portable;
pub mod recurrent;
pub mod recurrent_i8;
mod reference;
mod registry;
pub mod resample;
pub mod scan;
mod scratch;
mod select;
#[cfg(test)]
mod testing;
mod window;

pub use args::*;
#[cfg(target_arch = "x86_64")]
pub use avx2::Avx2;
pub use code::{Code, T2, W2, W3, W4, Width};
#[cfg(selvedge_dsp)]
pub use dsp::Dsp;
pub use element::{Element, Stored};
#[cfg(selvedge_helium)]
pub use helium::Helium;
pub use isa::{Isa, IsaF32, IsaI8, IsaI16};
pub use native::{NATIVE, Native};
#[cfg(selvedge_neon)]
pub use neon::{Neon, NeonDotprod, NeonI8mm};
pub use portable::Portable;
pub use reference::Reference;
pub use registry::{Family, KERNELS, KernelInfo};
pub use select::{IsaKind, IsaUnavailable, best, fastest};
