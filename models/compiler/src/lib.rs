//! Compiles ONNX models to selvedge artifacts.
//!
//! [`compile`] and [`compile_calibrated`] do it in one call; each stage behind them is public:
//! [`import`] → [`passes`] → [`calibrate`] → [`quantize`] → [`lower`] → [`plan`] → [`emit`].
#![forbid(unsafe_code)]

pub mod adapter;
mod batched;
pub mod calibrate;
pub mod compare;
pub mod data;
pub mod decode;
pub mod elastic;
pub mod emit;
mod factorized;
pub mod fallback;
pub mod graph;
pub mod import;
pub mod inspect;
mod linalg;
pub mod lowbit;
pub mod lower;
pub mod mixed;
pub mod passes;
pub mod picture;
mod pipeline;
pub mod plan;
pub mod prepare;
pub mod program;
pub mod quantize;
pub mod report;
pub mod simulate;
pub mod split;

pub use batched::{BatchError, batched};
pub use pipeline::{
    CompileError, CompileOptions, Compiled, ObserverKind, compile, compile_calibrated, compile_loaded, load,
};
