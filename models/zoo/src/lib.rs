//! Small trained models, each with the data that tests and calibrates it.
//!
//! Everything is embedded in the crate: no file is read and nothing is trained at build or run
//! time. `README.md` beside this crate tells where the data comes from and how to train again.
//!
//! ```
//! use selvedge_zoo::digits;
//!
//! let test = digits::test_set();
//! assert_eq!(test.shape(), [450, 1, 8, 8]);
//! print!("{}", digits::ascii(&test.image(0)));
//! println!("label: {}", test.label(0));
//! ```
#![forbid(unsafe_code)]

pub mod denoiser;
pub mod digits;
pub mod pictures;
