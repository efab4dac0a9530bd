//! Hidden states that move in time: filters and smoothers with memory fixed at compile time.

mod kalman;
mod paris;
mod smoother;

pub use kalman::{Gaussian, Innovation, Kalman, Matrix, Observation, rts_step};
pub use paris::{Filter, FilterStep};
pub use smoother::{Additive, Backward, Dynamics, Smoother};
