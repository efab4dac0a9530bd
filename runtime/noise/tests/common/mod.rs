//! What the tests share.
#![allow(dead_code, reason = "each test uses a part")]

use selvedge_noise::{Sigma, build_table};
use serde_json::Value;
use std::io::Write;

/// The exact values (mpmath, 50 digits). Says aloud, past the harness, what is not tested where they are absent.
pub fn tables(what: &str) -> Option<Value> {
    let root = std::env::var_os("SELVEDGE_DATA").map_or_else(|| "../../../shared".into(), std::path::PathBuf::from);
    let path = root.join("reference/certify_reference.json");
    match std::fs::read_to_string(&path) {
        Ok(text) => Some(serde_json::from_str(&text).expect("JSON")),
        Err(error) => {
            let why = format!("{}: {error} (set SELVEDGE_DATA)", path.display());
            let _ = writeln!(std::io::stderr(), "NOT TESTED: {what}: {why}");
            None
        }
    }
}

pub fn rows<'a>(tables: &'a Value, name: &str) -> &'a [Value] {
    tables[name].as_array().unwrap_or_else(|| panic!("{name} has rows"))
}

pub fn real(value: &Value) -> f64 {
    match value {
        Value::String(text) => text.parse().expect("a number"),
        value => value.as_f64().expect("a number"),
    }
}

pub fn int(value: &Value) -> u32 {
    value.as_u64().expect("an integer") as u32
}

/// A decimal as a fraction.
pub fn fraction(decimal: &str) -> Sigma {
    let (whole, part) = decimal.split_once('.').unwrap_or((decimal, ""));
    let numerator = format!("{whole}{part}").parse().expect("digits");
    Sigma::new(numerator, 10u32.pow(part.len() as u32)).expect("not zero")
}

/// The stored thresholds `T_0, T_1, …` of a table.
pub fn thresholds(sigma: Sigma) -> Vec<u64> {
    let bytes = build_table(sigma).expect("builds");
    let count = (bytes.len() - 24) / 8;
    let half = |i: usize, at: usize| u64::from(u32::from_le_bytes(*bytes[at + i * 4..].first_chunk().expect("4")));
    (0..count).map(|i| half(i, 24) << 32 | half(i, 24 + count * 4)).collect()
}
