//! Models, tables and the reference data that the suites share.
#![allow(dead_code)]

use selvedge_certify::{Classify, Clean, Evaluate, Grid, Job, Noisy, Range, Scores, Subject, Terms};
use selvedge_noise::{Domain, NoiseTable, Sigma, build_table};
use serde_json::Value;
use std::convert::Infallible;
use std::io::Write;

/// A file of reference values; says aloud what is not tested where it is absent.
pub fn reference(file: &str) -> Option<Value> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared");
    let root = std::env::var_os("SELVEDGE_DATA").map_or_else(|| default.into(), std::path::PathBuf::from);
    let path = root.join("reference").join(file);
    match std::fs::read_to_string(&path) {
        Ok(text) => Some(serde_json::from_str(&text).expect("JSON")),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "NOT TESTED: {}: {error} (set SELVEDGE_DATA)", path.display());
            None
        }
    }
}

/// A number written as text or number.
pub fn real(value: &Value) -> f64 {
    value.as_str().map_or_else(|| value.as_f64().expect("a number"), |text| text.parse().expect("a number"))
}

pub fn int(value: &Value) -> u32 {
    value.as_u64().expect("an integer") as u32
}

pub fn rows<'v>(table: &'v Value, key: &str) -> &'v [Value] {
    table[key].as_array().expect("rows")
}

pub fn sigma(numerator: u32, denominator: u32) -> Sigma {
    Sigma::new(numerator, denominator).expect("not zero")
}

pub fn noise(sigma: Sigma) -> Vec<u8> {
    build_table(sigma).expect("builds")
}

pub const WIDE: Grid = Grid { low: i16::MIN, high: i16::MAX, scale: 1.0, zero: 0 };

/// A model of 16-bit inputs that is a closure.
pub struct Model<F> {
    pub dimensions: usize,
    pub batch: usize,
    input: Vec<i16>,
    classes: Vec<usize>,
    pub runs: usize,
    f: F,
}

impl<F: FnMut(&[i16]) -> usize> Model<F> {
    pub fn new(dimensions: usize, batch: usize, f: F) -> Self {
        Model { dimensions, batch, input: vec![0; dimensions * batch], classes: vec![0; batch], runs: 0, f }
    }
}

impl<F: FnMut(&[i16]) -> usize> Classify for Model<F> {
    type Error = Infallible;

    fn batch(&self) -> usize {
        self.batch
    }

    fn write(&mut self, sample: usize, first: usize, codes: &[i16]) -> Result<(), Infallible> {
        self.input[sample * self.dimensions + first..][..codes.len()].copy_from_slice(codes);
        Ok(())
    }

    fn run(&mut self, samples: usize) -> Result<(), Infallible> {
        self.runs += samples;
        for (class, input) in self.classes.iter_mut().zip(self.input.chunks(self.dimensions)).take(samples) {
            *class = (self.f)(input);
        }
        // The memory of the input may be reused by a run.
        self.input.fill(-1);
        Ok(())
    }

    fn class(&self, sample: usize) -> usize {
        self.classes[sample]
    }
}

/// A model of 16-bit inputs and one input a run that is a closure from codes to scores.
pub struct Scorer<F> {
    input: Vec<i16>,
    scores: Vec<i32>,
    f: F,
}

impl<F: FnMut(&[i16], &mut [i32])> Scorer<F> {
    pub fn new(dimensions: usize, classes: usize, f: F) -> Self {
        Scorer { input: vec![0; dimensions], scores: vec![0; classes], f }
    }
}

impl<F: FnMut(&[i16], &mut [i32])> Classify for Scorer<F> {
    type Error = &'static str;

    fn write(&mut self, _: usize, first: usize, codes: &[i16]) -> Result<(), Self::Error> {
        self.input[first..][..codes.len()].copy_from_slice(codes);
        Ok(())
    }

    fn run(&mut self, _: usize) -> Result<(), Self::Error> {
        (self.f)(&self.input, &mut self.scores);
        Ok(())
    }

    fn class(&self, _: usize) -> usize {
        let top = self.scores.iter().max().expect("classes");
        self.scores.iter().position(|score| score == top).expect("the largest")
    }
}

impl<F: FnMut(&[i16], &mut [i32])> Scores for Scorer<F> {
    fn scores(&self, _: usize, scores: &mut [i32]) -> Result<(), Self::Error> {
        if scores.len() != self.scores.len() {
            return Err("another number of classes");
        }
        scores.copy_from_slice(&self.scores);
        Ok(())
    }
}

/// A model with several outputs that is a closure.
pub struct Field<F> {
    dimensions: usize,
    batch: usize,
    input: Vec<i16>,
    outputs: Vec<Vec<i32>>,
    f: F,
}

impl<F: FnMut(&[i16]) -> Vec<i32>> Field<F> {
    pub fn new(dimensions: usize, batch: usize, f: F) -> Self {
        Field { dimensions, batch, input: vec![0; dimensions * batch], outputs: vec![vec![]; batch], f }
    }
}

impl<F: FnMut(&[i16]) -> Vec<i32>> Evaluate for Field<F> {
    type Error = Infallible;

    fn batch(&self) -> usize {
        self.batch
    }

    fn write(&mut self, sample: usize, first: usize, codes: &[i16]) -> Result<(), Infallible> {
        self.input[sample * self.dimensions + first..][..codes.len()].copy_from_slice(codes);
        Ok(())
    }

    fn run(&mut self, samples: usize) -> Result<(), Infallible> {
        for (outputs, input) in self.outputs.iter_mut().zip(self.input.chunks(self.dimensions)).take(samples) {
            *outputs = (self.f)(input);
        }
        self.input.fill(-1);
        Ok(())
    }

    fn output(&self, sample: usize, index: usize) -> i32 {
        self.outputs[sample][index]
    }
}

/// A noisy 16-bit input.
pub fn noisy<'a>(input: &'a [i16], table: &'a NoiseTable<'a>) -> Noisy<'a> {
    Noisy { model: [3; 32], input: Clean::I16(input), grid: WIDE, table }
}

/// P(Z = z) of the rounded Gaussian, z from −reach to reach.
pub fn rounded_gaussian(sigma: f64, reach: i32) -> Vec<f64> {
    let cdf = |z: f64| 0.5 * libm::erfc(-z / sigma / std::f64::consts::SQRT_2);
    (-reach..=reach).map(|z| cdf(f64::from(z) + 0.5) - cdf(f64::from(z) - 0.5)).collect()
}

/// A subject with 16-bit input.
pub fn subject(input: &[i16], classes: u32) -> Subject<'_> {
    Subject { model: [3; 32], classes, input: Clean::I16(input), grid: WIDE }
}

pub fn job<'a>(terms: &'a Terms<'a>, nonce: u8) -> Job<'a> {
    Job::new(terms, [nonce; 32])
}

pub fn range(domain: Domain, first: u32, len: u32) -> Range {
    Range { domain, first, len }
}

/// SplitMix64 (Steele et al. 2014).
pub struct Rng(pub u64);

impl Rng {
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.word() >> 11) as f64 / 9_007_199_254_740_992.0
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.word() % n as u64) as usize
    }
}
