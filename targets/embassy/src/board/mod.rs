//! What differs between boards: the log, what the other task does on its turn, the way out.

#[cfg(feature = "mps2")]
#[path = "mps2.rs"]
mod chosen;
#[cfg(not(feature = "mps2"))]
#[path = "nrf52840.rs"]
mod chosen;

pub(crate) use chosen::line;
pub use chosen::{Board, flush};
