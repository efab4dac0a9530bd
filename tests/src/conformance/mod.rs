//! The test cases of the `onnx` Python package, run through compiler and `Session`.
//!
//! The package is a zip file; its cases are models with inputs and expected outputs. In most cases even the weights
//! are inputs, so each case is tried with all of its inputs computed, then with more and more of them bound to
//! constants; at least one stays an input of the device.

mod run;
mod waves;
mod wheel;

pub use run::{Outcome, run};
pub use waves::{Group, group};
pub use wheel::{Case, cases, wheel};
