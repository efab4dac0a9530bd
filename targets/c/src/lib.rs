//! The C API of selvedge. `include/selvedge.h` is its documentation; this crate is its body.
//!
//! Everything lies in memory of the caller: the session in a [`SelvedgeSession`], its tensors in
//! an arena. Nothing is allocated and no unwinding leaves a function: `extern "C"` aborts on a
//! panic with the standard library, and without it the panic handler ends in `selvedge_panic`.
#![cfg_attr(not(feature = "std"), no_std)]
#![warn(missing_docs)]

mod artifact;
mod handle;
mod memory;
mod names;
#[cfg(all(feature = "panic-handler", not(feature = "std")))]
mod panic;
mod run;
mod session;
mod status;
mod tensors;

pub use artifact::{
    SelvedgeArtifactInfo, selvedge_artifact_inspect, selvedge_artifact_regions, selvedge_artifact_verify,
    selvedge_split_verify,
};
pub use handle::{SESSION_WORDS, SelvedgeError, SelvedgeSession};
pub use names::{
    ABI_VERSION, selvedge_abi_version, selvedge_dtype_name, selvedge_op_name, selvedge_status_name, selvedge_version,
};
pub use run::{SelvedgeProgress, selvedge_reset, selvedge_run, selvedge_run_steps};
pub use session::{
    selvedge_last_error, selvedge_session_end, selvedge_session_init, selvedge_session_init_regions,
    selvedge_session_init_split,
};
pub use status::Status;
pub use tensors::{
    SelvedgeTensorInfo, selvedge_argmax, selvedge_input_count, selvedge_input_data, selvedge_input_info,
    selvedge_output_count, selvedge_output_data, selvedge_output_info, selvedge_read_bytes, selvedge_read_f32,
    selvedge_read_i8, selvedge_write_bytes, selvedge_write_f32, selvedge_write_i8,
};
