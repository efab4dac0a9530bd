//! Session, arena and step dispatch of the selvedge runtime.
//!
//! [`Session::new`] proves an artifact's records once; [`Session::run`] then executes its steps
//! in an arena the caller owns. Nothing here allocates, indexes unchecked or is `unsafe`.
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::unreachable,
        clippy::string_slice
    )
)]

mod arena;
mod backend;
mod ctx;
mod dispatch;
pub mod elastic;
mod io;
mod kernel_name;
pub mod ops;
mod probe;
mod regions;
mod session;
mod staged;
mod step;
mod stream;
mod table;
mod validate;

pub use arena::Arena;
pub use backend::{Backend, Cpu};
pub use ctx::{MAX_INPUTS, MAX_OUTPUTS, RunCtx, Views};
pub use io::{InputMut, Output};
pub use kernel_name::kernel_name;
pub use probe::{Probe, StepOutputs};
pub use regions::Regions;
pub use session::{Progress, Session};
pub use staged::{StagedSession, WeightSource};
pub use step::StepCtx;
pub use stream::{STATE_HEADER_BYTES, State, StreamSession, state_bytes};
pub use table::{Op, OpEntry};
pub use validate::MAX_LIVE;
