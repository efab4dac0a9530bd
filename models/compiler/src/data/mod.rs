//! Arrays from files: `.npy` and `.npz`, as numpy writes them.
mod array;
mod npy;

pub use array::{Array, ArrayData};
pub use npy::{DataError, read_array, read_npz, write_npz};
