//! Artifact view, quantized arithmetic, shapes and errors of the selvedge runtime.
//!
//! This crate has no allocation, no floating-point loop and no `unsafe`. Its
//! [`arith`] module is the normative arithmetic of the integer program: every
//! kernel on every instruction set equals it bit for bit.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(target_endian = "big")]
compile_error!("selvedge artifacts are read in place and are little-endian; big-endian targets are not supported");

pub mod arith;
pub mod artifact;
mod dtype;
mod error;
mod opcode;
pub mod params;
pub mod shape;

pub use artifact::Artifact;
pub use dtype::DType;
pub use error::{Error, ErrorKind};
pub use opcode::{Format, OpCode};
