//! Oracle: the table of crates and layers in the design. A crate imports lower layers only.

use std::collections::BTreeMap;
use std::process::Command;

/// Layer of each crate. Host crates (`H…`) may import every device crate (`L…`).
const LAYERS: &[(&str, &str)] = &[
    ("selvedge-core", "L0"),
    ("selvedge-noise", "L0"),
    ("selvedge-certify", "L3"),
    ("selvedge-denoise", "L3"),
    ("selvedge-kernels", "L1"),
    ("selvedge-exec", "L2"),
    ("selvedge", "L4"),
    ("selvedge-compiler", "H1"),
    ("selvedge-zoo", "H2"),
    ("selvedge-bench", "H3"),
    ("selvedge-tests", "H3"),
    ("selvedge-cli", "leaf"),
    ("selvedge-firmware", "leaf"),
    ("selvedge-c", "leaf"),
];

/// Whether a crate of layer `from` may import one of layer `to`.
fn may_import(from: &str, to: &str) -> bool {
    match (from.as_bytes()[0], to.as_bytes()[0]) {
        (b'L', b'L') | (b'H', b'H') => to < from,
        (b'H', b'L') => true,
        (b'l', b'L' | b'H') => true,
        _ => false,
    }
}

#[test]
fn crates_import_lower_layers_only_on_the_whole_workspace() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo metadata runs");
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    let layers: BTreeMap<&str, &str> = LAYERS.iter().copied().collect();
    let packages = metadata["packages"].as_array().expect("packages");
    let mut seen = 0;
    for package in packages {
        let name = package["name"].as_str().expect("name");
        let layer = layers.get(name).unwrap_or_else(|| panic!("{name} has no layer: add it to the table"));
        seen += 1;
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            let to = dependency["name"].as_str().expect("name");
            // Development dependencies run on the host.
            if dependency["kind"] == "dev" || !to.starts_with("selvedge") {
                continue;
            }
            let to_layer = layers.get(to).unwrap_or_else(|| panic!("{to} has no layer"));
            assert!(may_import(layer, to_layer), "{name} ({layer}) must not import {to} ({to_layer})");
        }
    }
    assert_eq!(seen, LAYERS.len(), "the table names crates that are not in the workspace");
}

#[test]
fn the_rule_itself_forbids_what_it_should() {
    assert!(may_import("L2", "L1") && may_import("H1", "L4") && may_import("leaf", "H2"));
    assert!(
        !may_import("L1", "L2") && !may_import("L0", "L0") && !may_import("L4", "H1") && !may_import("leaf", "leaf")
    );
}
