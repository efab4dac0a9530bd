//! Numbers and buffers of the f32 families. Kernels are compared with the reference bit for bit on
//! finite numbers, and on wild ones with NaN, infinities, both zeros, subnormal and huge values.

use super::buffers::Guarded;
use crate::element::Element;
use std::boxed::Box;
use std::vec;
use std::vec::Vec;

/// Xorshift numbers.
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next() >> 33) as usize % n
    }

    /// In [−2, 2).
    pub fn finite(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 22) as f32 - 2.0
    }

    /// One in 16 is special.
    pub fn wild(&mut self) -> f32 {
        const SPECIAL: [f32; 14] = [
            f32::NAN,
            -f32::NAN,
            f32::from_bits(0xffa0_1234),
            f32::INFINITY,
            f32::NEG_INFINITY,
            0.0,
            -0.0,
            f32::from_bits(1),
            -f32::from_bits(0x007f_ffff),
            f32::MIN_POSITIVE,
            f32::MAX,
            f32::MIN,
            1e-30,
            0.5,
        ];
        if self.below(16) == 0 { SPECIAL[self.below(SPECIAL.len())] } else { self.finite() }
    }

    /// `n` numbers, in a block of their own so that a sanitizer sees reads past them.
    pub fn numbers(&mut self, n: usize, wild: bool) -> Box<[f32]> {
        (0..n).map(|_| if wild { self.wild() } else { self.finite() }).collect()
    }
}

/// Runs `kernel` on an output of `n` numbers between red zones, `shift` elements off the start.
fn guarded(n: usize, shift: usize, kernel: impl FnOnce(&mut [f32])) -> Vec<u32> {
    let mut out = Guarded::new(&vec![12345.678; n], 12345.678, shift);
    kernel(out.get_mut());
    out.assert_redzones();
    out.get().iter().map(|v| v.to_bits()).collect()
}

/// Asserts that two instruction sets store the same bits, and canonical NaN only.
pub fn assert_same(n: usize, what: &str, reference: impl FnOnce(&mut [f32]), kernel: impl Fn(&mut [f32])) {
    let expected = guarded(n, 0, reference);
    for shift in [0, 1] {
        assert_eq!(guarded(n, shift, &kernel), expected, "{what}, shift {shift}");
    }
    assert!(expected.iter().all(|&v| !f32::from_bits(v).is_nan() || v == 0x7fc0_0000), "{what}: NaN is canonical");
}

/// A scratch aligned to 4 bytes, red zone behind.
pub fn with_scratch(bytes: usize, kernel: impl FnOnce(&mut [u8])) {
    let mut words = vec![0x5a5a_5a5au32; bytes.div_ceil(4) + 4];
    kernel(&mut zerocopy::IntoBytes::as_mut_bytes(words.as_mut_slice())[..bytes]);
    assert!(words[bytes.div_ceil(4)..].iter().all(|&w| w == 0x5a5a_5a5a), "a write behind the scratch");
}

/// Weights of each type an f32 layer stores them as.
pub trait Weights: Element {
    /// A weight; one in 16 is special where `wild`.
    fn random(rng: &mut Rng, wild: bool) -> Self;

    /// Scales of `padded` channels.
    fn scales(rng: &mut Rng, padded: usize) -> Box<[f32]>;

    fn lend(scales: &[f32]) -> Self::Scales<'_>;
}

impl Weights for f32 {
    fn random(rng: &mut Rng, wild: bool) -> Self {
        if wild { rng.wild() } else { rng.finite() }
    }

    fn scales(_: &mut Rng, _: usize) -> Box<[f32]> {
        Box::new([])
    }

    fn lend(_: &[f32]) {}
}

impl Weights for u16 {
    /// Subnormal halves, infinities and NaN among the wild ones.
    fn random(rng: &mut Rng, wild: bool) -> Self {
        let special = wild && rng.below(16) == 0;
        if special { rng.next() as u16 } else { half::f16::from_f32(rng.finite()).to_bits() }
    }

    fn scales(_: &mut Rng, _: usize) -> Box<[f32]> {
        Box::new([])
    }

    fn lend(_: &[f32]) {}
}

impl Weights for i8 {
    fn random(rng: &mut Rng, wild: bool) -> Self {
        if wild && rng.below(16) == 0 { i8::MIN } else { rng.next() as i8 }
    }

    fn scales(rng: &mut Rng, padded: usize) -> Box<[f32]> {
        rng.numbers(padded, false)
    }

    fn lend(scales: &[f32]) -> &[f32] {
        scales
    }
}

impl Rng {
    /// `n` weights, in a block of their own.
    pub fn weights<E: Weights>(&mut self, n: usize, wild: bool) -> Box<[E]> {
        (0..n).map(|_| E::random(self, wild)).collect()
    }
}
