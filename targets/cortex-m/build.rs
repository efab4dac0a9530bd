//! Gives the linker the memory of the chosen board, and embeds the models.

#[path = "../firmware/embed.rs"]
mod embed;

use std::env;
use std::fs;
use std::path::PathBuf;

use embed::Memory;

const KIB: usize = 1024;

/// Flash and RAM of the boards less what code, statics and stack take; the micro:bit's 16 KiB
/// keep 4 for the stack, of which the deepest model uses 2.2.
const BOARDS: [Memory; 6] = [
    Memory { board: "microbit", models: (256 - 80) * KIB, arena: (16 - 4) * KIB },
    Memory { board: "an385", models: (4096 - 512) * KIB, arena: (4096 - 64) * KIB },
    Memory { board: "an386", models: (4096 - 512) * KIB, arena: (4096 - 64) * KIB },
    Memory { board: "an500", models: (4096 - 512) * KIB, arena: (4096 - 64) * KIB },
    Memory { board: "an505", models: (4096 - 512) * KIB, arena: (4096 - 64) * KIB },
    Memory { board: "an547", models: 2048 * KIB, arena: (4096 - 64) * KIB },
];

fn main() {
    let chosen = |memory: &&Memory| env::var_os(format!("CARGO_FEATURE_{}", memory.board.to_uppercase())).is_some();
    let boards: Vec<&Memory> = BOARDS.iter().filter(chosen).collect();
    let [memory] = boards[..] else {
        let names = BOARDS.map(|memory| memory.board).join(" ");
        println!("cargo::error=choose one board with --features BOARD: {names}");
        return;
    };
    let map = format!("boards/{}.x", memory.board);
    println!("cargo::rerun-if-changed={map}");
    let models = "SECTIONS {\n  .models : ALIGN(64) { *(.models) } > MODELS\n} INSERT AFTER .rodata;\n";
    let mut script = fs::read_to_string(&map).expect("a memory map") + models;
    if env::var_os("CARGO_FEATURE_REGIONS").is_some() {
        if !script.contains("REGION_ALIAS(FAST,") {
            println!("cargo::error={map} has no FAST, SLOW and WEIGHTS memory for the binary `regions`");
            return;
        }
        let two = "boards/regions.x";
        println!("cargo::rerun-if-changed={two}");
        script += &fs::read_to_string(two).expect("its sections");
        embed::embed_layouts();
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    fs::write(out.join("memory.x"), script).expect("a writable folder");
    // The names of a device's interrupts, of which the firmware uses none.
    fs::write(out.join("device.x"), "").expect("a writable folder");
    println!("cargo::rustc-link-search={}", out.display());
    println!("cargo::rustc-link-arg-bins=-Tlink.x");
    println!("cargo::rustc-link-arg-bins=--nmagic");
    if env::var_os("CARGO_FEATURE_DEFMT").is_some() {
        println!("cargo::rustc-link-arg-bin=log=-Tdefmt.x");
    }
    println!("cargo::rustc-env=SELVEDGE_BOARD={}", memory.board);
    embed::embed(memory);
}
