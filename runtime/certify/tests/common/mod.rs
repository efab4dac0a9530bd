//! What the tests share.
#![allow(dead_code, reason = "each test uses a part")]

use selvedge_certify::{Certifier, Classifier, Identity};
use selvedge_noise::{NoiseTable, Sigma, build_table};
use serde_json::Value;
use std::convert::Infallible;

pub const IDENTITY: Identity = Identity { model: [3; 32], nonce: [9; 32] };

pub fn table_bytes(numerator: u32, denominator: u32) -> Vec<u8> {
    build_table(Sigma::new(numerator, denominator).expect("not zero")).expect("builds")
}

pub fn parse(bytes: &[u8]) -> NoiseTable<'_> {
    NoiseTable::parse(bytes).expect("valid")
}

/// A file of the reference values; says aloud where it is absent.
pub fn reference(name: &str) -> Option<Value> {
    let root = std::env::var_os("SELVEDGE_DATA").map_or_else(|| "../../../shared".into(), std::path::PathBuf::from);
    let path = root.join("reference").join(name);
    match std::fs::read_to_string(&path) {
        Ok(text) => Some(serde_json::from_str(&text).expect("JSON")),
        Err(error) => {
            eprintln!("not tested: {}: {error} (set SELVEDGE_DATA)", path.display());
            None
        }
    }
}

pub fn real(value: &Value) -> f64 {
    match value {
        Value::String(text) => text.parse().expect("a number"),
        value => value.as_f64().expect("a number"),
    }
}

/// A classifier given by a function of the codes.
pub struct By<F>(pub Vec<i16>, pub F);

impl<F: FnMut(&[i16]) -> usize> Classifier for By<F> {
    type Error = Infallible;

    fn write(&mut self, first: usize, codes: &[i16]) -> Result<(), Infallible> {
        self.0[first..first + codes.len()].copy_from_slice(codes);
        Ok(())
    }

    fn classify(&mut self) -> Result<usize, Infallible> {
        Ok((self.1)(&self.0))
    }
}

/// A fast generator for simulated counts.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Of n draws those that have a class of probability p.
    pub fn binomial(&mut self, n: u32, p: f64) -> u32 {
        let threshold = (p * 2f64.powi(64)) as u64;
        (0..n).filter(|_| self.next() < threshold).count() as u32
    }
}

/// Runs a certifier of two classes whose draws have class 0 with probability `p`.
pub fn simulate(certifier: &mut Certifier<'_, 2>, random: &mut Random, p: f64) {
    while let Some(draws) = certifier.pending(u32::MAX) {
        let n = (draws.samples.end - draws.samples.start) as u32;
        let k = random.binomial(n, p);
        certifier.add(&draws, &[k, n - k]).expect("the pending draws");
    }
}
