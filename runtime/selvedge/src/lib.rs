//! An exact inference runtime for quantized models on embedded and edge devices.
//!
//! One artifact, compiled on the host from an ONNX model, gives the same bytes on every CPU.
//! Nothing is allocated; an artifact is proved sound once, in [`Session::new`].
//!
//! On a device the artifact lies in flash and the arena in a static cell:
//!
//! ```text
//! selvedge::model!(mod kws = "../kws.slvg");
//! static ARENA: ConstStaticCell<Arena<{ kws::ARENA_BYTES }>> = ConstStaticCell::new(Arena::new());
//!
//! let model = Artifact::parse(kws::BYTES)?;
//! let mut session = Session::with_ops(model, ARENA.take(), selvedge::ops![Conv2d<W8>, Dense<W8>])?;
//! session.input(0)?.quantize_from_f32(&features)?;
//! session.run()?;
//! let class = session.output(0)?.argmax();
//! ```
//!
//! On a host with an artifact from a file:
//!
//! ```
//! # #[cfg(feature = "std")] {
//! use selvedge::{AlignedBuf, Artifact, Session};
//!
//! fn classify(file: &[u8], features: &[f32]) -> Result<usize, selvedge::Error> {
//!     let bytes = AlignedBuf::from(file);
//!     let model = Artifact::parse(&bytes)?;
//!     model.verify_digest()?;
//!     let mut arena = AlignedBuf::zeroed(model.arena_bytes());
//!     let mut session = Session::new(model, &mut arena)?;
//!     session.input(0)?.quantize_from_f32(features)?; // before every run
//!     session.run()?;
//!     Ok(session.output(0)?.argmax())
//! }
//! # assert!(classify(b"not an artifact", &[]).is_err());
//! # }
//! ```
#![cfg_attr(not(feature = "std"), no_std)]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

#[cfg(feature = "std")]
mod aligned;
#[cfg(feature = "certify")]
mod classifier;
#[cfg(feature = "certify")]
mod denoised;
mod embed;
#[cfg(feature = "denoise")]
mod score;
mod tables;

#[cfg(feature = "std")]
pub use aligned::AlignedBuf;
#[cfg(feature = "certify")]
pub use classifier::{CodeMap, SessionClassifier};
#[cfg(feature = "certify")]
pub use denoised::DenoisedClassifier;
#[doc(hidden)]
pub use embed::{Aligned, check_weights, region_bytes};
#[cfg(feature = "denoise")]
pub use score::SessionScore;
#[cfg(feature = "certify")]
pub use selvedge_certify as certify;
pub use selvedge_core::artifact::{self, Artifact, TensorView};
pub use selvedge_core::{DType, Error, ErrorKind, Format, OpCode};
#[cfg(feature = "denoise")]
pub use selvedge_denoise as denoise;
pub use selvedge_exec::elastic;
pub use selvedge_exec::{
    Arena, Backend, Cpu, InputMut, Op, OpEntry, Output, Probe, Progress, Regions, RunCtx, STATE_HEADER_BYTES, Session,
    StagedSession, State, StepCtx, StepOutputs, StreamSession, Views, WeightSource, kernel_name, ops as op,
    state_bytes,
};
pub use selvedge_kernels::{Isa, IsaKind, IsaUnavailable, best as best_isa};
#[cfg(any(feature = "certify", feature = "denoise"))]
pub use selvedge_noise as noise;
