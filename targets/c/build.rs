//! Writes the op table: every op, or those that `SELVEDGE_OPS` names.

use std::{env, fs, path::Path};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=SELVEDGE_OPS");
    let named = env::var("SELVEDGE_OPS").unwrap_or_default();
    let table = match parse(&named) {
        Ok(ops) if ops.is_empty() => String::from("selvedge::op::ALL"),
        Ok(ops) => format!("selvedge::ops![{}]", ops.join(", ")),
        Err(word) => panic!(
            "SELVEDGE_OPS: `{word}` is no op; write a list such as Conv2d<W8>,Dense<W8> or the line that `selvedge inspect` prints"
        ),
    };
    let file = Path::new(&env::var("OUT_DIR").expect("cargo sets OUT_DIR")).join("table.rs");
    fs::write(file, format!("const TABLE: &[selvedge::OpEntry] = {table};\n")).expect("OUT_DIR is writable");
}

/// The entries of a list, with or without `ops![…]` around it; the word at fault otherwise.
fn parse(text: &str) -> Result<Vec<String>, String> {
    let text = text.trim();
    let text = text.strip_prefix("selvedge::").unwrap_or(text);
    let text = text.strip_prefix("ops![").and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    entries.map(|entry| if is_entry(entry) { Ok(entry.to_string()) } else { Err(entry.to_string()) }).collect()
}

/// `Name<Format>`.
fn is_entry(entry: &str) -> bool {
    let name = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric());
    entry.strip_suffix('>').and_then(|e| e.split_once('<')).is_some_and(|(op, format)| name(op) && name(format))
}
