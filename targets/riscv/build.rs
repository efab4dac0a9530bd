//! Gives the linker the memory of the board, and embeds the models.

#[path = "../firmware/embed.rs"]
mod embed;

use embed::Memory;

const KIB: usize = 1024;

/// What code, statics and stack leave.
const VIRT: Memory = Memory { board: "virt", models: (4096 - 512) * KIB, arena: (4096 - 64) * KIB };

fn main() {
    let here = env!("CARGO_MANIFEST_DIR");
    println!("cargo::rerun-if-changed=virt.x");
    println!("cargo::rustc-link-arg-bins=-T{here}/virt.x");
    println!("cargo::rustc-link-arg-bins=-Tlink.x");
    embed::embed(&VIRT);
}
