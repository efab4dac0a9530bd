//! Which instruction sets a build for Arm cores may assume. Stable compilers do not set
//! `target_feature = "dsp"` or `"mve"` as cfg, so it is read from the target and from the
//! compiler flags the user chose (`-C target-cpu=…`, `-C target-feature=…`).

use std::env::var;

/// Cores of the Armv8-M targets that have the DSP extension, Helium or both.
const DSP: [&str; 6] = ["cortex-m33", "cortex-m35p", "cortex-m55", "cortex-m85", "cortex-m52", "star-mc1"];
const HELIUM: [&str; 3] = ["cortex-m55", "cortex-m85", "cortex-m52"];

fn main() {
    println!(
        "cargo::rustc-check-cfg=cfg(selvedge_armv8m, selvedge_dsp, selvedge_helium, selvedge_neon, selvedge_thumb2)"
    );
    println!("cargo::rerun-if-changed=build.rs");
    let target = var("TARGET").unwrap_or_default();
    let flags = var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let flag = |key: &str| -> Vec<String> {
        let values = flags.split('\x1f').filter_map(|flag| flag.trim_start_matches("-C").trim().strip_prefix(key));
        values
            .filter_map(|value| value.strip_prefix('='))
            .flat_map(|value| value.split(','))
            .map(String::from)
            .collect()
    };
    let cpus = flag("target-cpu");
    let features = flag("target-feature");
    let is_core = |cores: &[&str]| cpus.iter().any(|cpu| cores.contains(&cpu.as_str()));
    let has = |feature: &str| features.iter().any(|f| f.strip_prefix('+') == Some(feature));

    let main_line = target.starts_with("thumbv8m.main");
    let helium = main_line && (is_core(&HELIUM) || has("mve"));
    // Armv7E-M and every Armv7-A core; on Armv8-M it is an option of the core.
    let dsp = target.starts_with("thumbv7em")
        || target.starts_with("thumbv7neon")
        || target.starts_with("armv7")
        || main_line && (is_core(&DSP) || has("dsp") || helium);
    // Not on the soft-float targets of AArch64, whose programs may not touch vector registers.
    let has_neon = var("CARGO_CFG_TARGET_FEATURE").unwrap_or_default().split(',').any(|feature| feature == "neon");
    if var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "aarch64") && has_neon {
        println!("cargo::rustc-cfg=selvedge_neon");
    }
    if dsp {
        println!("cargo::rustc-cfg=selvedge_dsp");
    }
    if main_line {
        println!("cargo::rustc-cfg=selvedge_armv8m");
    }
    if helium {
        println!("cargo::rustc-cfg=selvedge_helium");
    }
    // Code in Thumb-2 with 32-bit encodings: Armv6-M and Armv8-M Baseline have few of them.
    if target.starts_with("thumbv7") || main_line {
        println!("cargo::rustc-cfg=selvedge_thumb2");
    }
}
