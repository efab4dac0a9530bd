//! What every firmware does, whatever the core: hash the outputs of all steps, count instructions.
//!
//! A core brings a [`Board`] and a place to print to; models are embedded by `embed.rs`, which
//! build scripts include.
#![no_std]
#![deny(unsafe_code)]

#[cfg(feature = "certify")]
pub mod certify;
pub mod count;
pub mod digest;
pub mod errors;
mod fnv;
#[cfg(feature = "semihosting")]
pub mod host;
pub mod kernels;
pub mod layers;
#[cfg(feature = "denoise")]
pub mod paris;
pub mod regions;
#[cfg(feature = "semihosting")]
pub mod stack;
pub mod stream;

use selvedge::{Artifact, Error, OpEntry, Session};

/// Recorded inputs of each model.
pub const INPUTS: usize = 8;

/// A model in flash.
#[derive(Clone, Copy)]
pub struct Model {
    pub name: &'static str,
    /// At a multiple of 16 bytes.
    pub artifact: &'static [u8],
    /// The bytes of [`INPUTS`] inputs, one after the other.
    pub inputs: &'static [u8],
    pub ops: &'static [OpEntry],
}

impl Model {
    /// The recorded inputs.
    pub fn inputs(&self) -> impl Iterator<Item = &'static [u8]> {
        self.inputs.chunks_exact((self.inputs.len() / INPUTS).max(1))
    }

    /// What a firmware does before its first inference.
    ///
    /// # Errors
    /// Those of [`Artifact::parse`] and [`Session::with_ops`].
    pub fn session<'a>(&self, arena: &'a mut [u8]) -> Result<Session<'a>, Error> {
        Session::with_ops(Artifact::parse(self.artifact)?, arena, self.ops)
    }
}

/// What a board can measure.
pub trait Board {
    /// Starts to count instructions.
    fn start(&mut self);

    /// Instructions since [`Board::start`].
    fn stop(&mut self) -> u64;

    /// Runs a loop of `turns` turns between [`Board::start`] and [`Board::stop`]; what was
    /// counted, and the instructions the loop has.
    fn count_loop(&mut self, turns: u32) -> (u64, u64);

    /// Fills the free stack with a pattern.
    fn paint_stack(&mut self);

    /// Bytes of stack used since [`Board::paint_stack`].
    fn stack_used(&self) -> usize;
}
