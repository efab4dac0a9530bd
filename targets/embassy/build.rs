//! Lays out the memory of the board and hands the model over.
//!
//! `SELVEDGE_MODEL` names the artifact of the zoo's digit classifier (default: the one that
//! build.sh makes).

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let board = if env::var_os("CARGO_FEATURE_MPS2").is_some() { "mps2" } else { "nrf52840" };
    let map = format!("boards/{board}.x");
    println!("cargo::rerun-if-changed={map}");
    fs::copy(&map, out.join("memory.x")).expect("a memory map");
    println!("cargo::rustc-link-search={}", out.display());
    println!("cargo::rustc-link-arg-bins=--nmagic");
    println!("cargo::rustc-link-arg-bins=-Tlink.x");
    if board != "mps2" {
        println!("cargo::rustc-link-arg-bins=-Tdefmt.x");
    }
    println!("cargo::rerun-if-env-changed=SELVEDGE_MODEL");
    let made = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/device-inputs/digits.slvg");
    let model = env::var_os("SELVEDGE_MODEL").map_or(made, PathBuf::from);
    println!("cargo::rerun-if-changed={}", model.display());
    if let Err(error) = fs::copy(&model, out.join("digits.slvg")) {
        println!("cargo::error={}: {error}; name the artifact with SELVEDGE_MODEL, or use build.sh", model.display());
    }
}
