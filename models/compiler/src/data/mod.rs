//! Arrays from files: `.npy` and `.npz`, as numpy writes them, and `.pb`, as ONNX keeps test data.
mod array;
mod npy;
mod pb;

pub use array::{Array, ArrayData};
pub use npy::{DataError, read_array, read_npz, write_npz};
pub use pb::{OnnxTensor, read_tensor};
