//! LoRA adapters on compiled artifacts: attached as low-rank branches of int8 and low-bit dense
//! layers, without touching the layers' weights, and detached again.
//!
//! An adapter (Hu et al. 2021) is `W + scale·up·down`. Attaching adds two things to each layer it
//! names: a small dense step `t = requantize(down·x)` in int8, and a branch that adds `up·t` to the
//! layer's integer sums (rule 17 of `runtime/README.md`), as SVDQuant's correction does. What was
//! appended to the weights is written down in the artifact's metadata, so that detaching gives the
//! artifact as it was, byte for byte.

mod attach;
mod detach;
mod layer;
mod lora;
mod observe;
mod target;

pub use attach::{AttachOptions, Attached, LayerReport, attach};
pub use detach::{AttachedAdapter, Detached, attached, detach};
pub use lora::{LoraAdapter, LoraConfig, LoraLayer};
pub use observe::{Observations, Observer};

/// Why an adapter was not attached or detached.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AdapterError {
    #[error("the artifact: {0}")]
    Artifact(#[from] selvedge_core::Error),
    #[error("the adapter's file is damaged: {0}")]
    File(String),
    #[error("this is no LoRA adapter for dense layers: {0}")]
    Kind(String),
    #[error("adapter module '{module}': {reason}")]
    Layer { module: String, reason: String },
    #[error(
        "adapter module '{module}' ({n} rows of {k}) names no int8 or low-bit dense layer of the artifact (of that shape: \
         {fitting}); say which one with --map MODULE=TENSOR, or, where a residual addition is fused behind it, compile the model with --no-fuse"
    )]
    NoLayer { module: String, n: usize, k: usize, fitting: String },
    #[error("adapter module '{module}' could be '{first}' or '{second}'; say which with --map MODULE=TENSOR")]
    Ambiguous { module: String, first: String, second: String },
    #[error("adapter module '{module}' has {found:?} rows and columns, layer '{layer}' has {expected:?}")]
    Shape { module: String, layer: String, found: (usize, usize), expected: (usize, usize) },
    #[error("adapter modules '{first}' and '{second}' both name layer '{layer}'")]
    Twice { first: String, second: String, layer: String },
    #[error("an adapter '{0}' is attached already; detach it first, or give another --name")]
    Attached(String),
    #[error("no adapter '{name}' is attached ({there})")]
    NotAttached { name: String, there: String },
    #[error("{0}")]
    Unsupported(&'static str),
    #[error("the name '{0}' is empty or has characters other than letters, digits, '-', '_' and '.'")]
    Name(String),
}

/// Metadata keys of attached adapters: this and the name.
const META: &str = "adapter.";
