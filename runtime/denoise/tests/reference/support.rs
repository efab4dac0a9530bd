//! Reading the reference.

use serde_json::Value;
use std::io::Write;

/// The file of reference values; says aloud what is not tested where it is absent.
pub fn reference() -> Option<Value> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared");
    let root = std::env::var_os("SELVEDGE_DATA").map_or_else(|| default.into(), std::path::PathBuf::from);
    let path = root.join("reference/denoise_reference.json");
    match std::fs::read_to_string(&path) {
        Ok(text) => Some(serde_json::from_str(&text).expect("JSON")),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "NOT TESTED: {}: {error} (set SELVEDGE_DATA)", path.display());
            None
        }
    }
}

/// One case of the file.
pub struct Case(Value);

pub fn case(name: &str) -> Option<Case> {
    Some(Case(reference()?[name].clone()))
}

impl Case {
    /// A value by its path, as `expected.alpha_bar`.
    pub fn value(&self, path: &str) -> &Value {
        let value = path.split('.').fold(&self.0, |value, key| &value[key]);
        assert!(!value.is_null(), "no {path}");
        value
    }

    pub fn number(&self, path: &str) -> f64 {
        self.value(path).as_f64().expect("a number")
    }

    pub fn integer(&self, path: &str) -> usize {
        self.value(path).as_u64().expect("an integer") as usize
    }

    /// All numbers below a value, in order.
    pub fn list(&self, path: &str) -> Vec<f64> {
        flat(self.value(path))
    }

    pub fn steps(&self, path: &str) -> Vec<usize> {
        self.list(path).into_iter().map(|t| t as usize).collect()
    }

    pub fn rows(&self, path: &str) -> Vec<Vec<f64>> {
        self.value(path).as_array().expect("rows").iter().map(flat).collect()
    }

    /// `found` is the list at `path`, each within `tolerance` of its magnitude and of the largest one's where it is small.
    pub fn same(&self, path: &str, found: &[f64], tolerance: f64) {
        same(&self.list(path), found, tolerance, path);
    }
}

pub fn flat(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(values) => values.iter().flat_map(flat).collect(),
        value => vec![value.as_f64().expect("a number")],
    }
}

/// Differences relative to the value, or to the largest one of the list for values that are small beside it.
pub fn same(expected: &[f64], found: &[f64], tolerance: f64, what: &str) {
    assert_eq!(expected.len(), found.len(), "{what}");
    let largest = expected.iter().fold(0.0f64, |most, x| most.max(x.abs()));
    for (i, (e, f)) in expected.iter().zip(found).enumerate() {
        let scale = e.abs().max(largest * 1e-3);
        assert!((e - f).abs() <= tolerance * scale, "{what}[{i}]: {f}, expected {e}");
    }
}

pub fn narrow(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&x| x as f32).collect()
}

pub fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&x| x.into()).collect()
}
