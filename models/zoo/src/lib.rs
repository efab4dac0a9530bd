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
pub mod digit_samples;
pub mod digits;
pub mod pictures;

/// Numbers near a normal law: sums of 12 uniform ones of a linear congruential generator.
struct Noise(u32);

impl Noise {
    fn normal(&mut self) -> f32 {
        let uniform = |state: &mut u32| {
            *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (*state >> 8) as f32 / (1 << 24) as f32
        };
        (0..12).map(|_| uniform(&mut self.0)).sum::<f32>() - 6.0
    }
}
