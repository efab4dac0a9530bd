//! Random data, and buffers with redzones at any alignment.

use std::vec;
use std::vec::Vec;

/// SplitMix64 (Steele, Lea and Flood 2014).
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in `lo..=hi`.
    pub fn range(&mut self, lo: i64, hi: i64) -> i64 {
        lo + (self.next() % (hi - lo + 1) as u64) as i64
    }

    /// Int8 values; one buffer in four has extreme values only.
    pub fn i8s(&mut self, n: usize) -> Vec<i8> {
        match self.range(0, 7) {
            0 => (0..n).map(|_| if self.next() & 1 == 0 { -128 } else { 127 }).collect(),
            1 => vec![-128; n],
            _ => (0..n).map(|_| self.next() as i8).collect(),
        }
    }

    /// Finite f32 of either sign around 1, with halves and zeros among them.
    pub fn f32s(&mut self, n: usize) -> Vec<f32> {
        let one = |rng: &mut Self| match rng.range(0, 9) {
            0 => 0.0,
            1 => rng.range(-300, 300) as f32 / 2.0,
            2 => rng.range(-1 << 30, 1 << 30) as f32 * 1e6,
            _ => rng.range(-1 << 24, 1 << 24) as f32 / (1 << 18) as f32,
        };
        (0..n).map(|_| one(self)).collect()
    }
}

const REDZONE: usize = 40;

/// A copy of some values `offset` elements off the start of an allocation, between redzones.
pub struct Guarded<T> {
    all: Vec<T>,
    begin: usize,
    len: usize,
    guard: T,
}

impl<T: Copy + PartialEq + std::fmt::Debug> Guarded<T> {
    pub fn new(values: &[T], guard: T, offset: usize) -> Self {
        let mut all = vec![guard; REDZONE + offset];
        let begin = all.len();
        all.extend_from_slice(values);
        all.extend(vec![guard; REDZONE]);
        Self { all, begin, len: values.len(), guard }
    }

    pub fn get(&self) -> &[T] {
        &self.all[self.begin..][..self.len]
    }

    pub fn get_mut(&mut self) -> &mut [T] {
        &mut self.all[self.begin..][..self.len]
    }

    pub fn assert_redzones(&self) {
        let outside = self.all[..self.begin].iter().chain(&self.all[self.begin + self.len..]);
        assert!(outside.copied().all(|v| v == self.guard), "a kernel wrote outside of its output");
    }
}

/// Whether two outputs are the same bits.
pub fn assert_same<T: Copy + PartialEq + std::fmt::Debug>(got: &[T], want: &[T], case: &dyn std::fmt::Debug) {
    if let Some(at) = (0..want.len()).find(|&i| got[i] != want[i]) {
        panic!("element {at}: {:?}, the reference says {:?}; {case:?}", got[at], want[at]);
    }
    assert_eq!(got.len(), want.len());
}
