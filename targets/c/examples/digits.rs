//! Writes the digit classifier for the C programs of this folder: `cargo run --example digits -- DIR`
//! makes `digits.h` (artifact, arena size, images), `expected.txt` (what a C program must print)
//! and `digits.ops` (for `SELVEDGE_OPS`).

use std::fmt::Write;
use std::path::PathBuf;
use std::{env, fs};

use selvedge::Artifact;
use selvedge_compiler::inspect::summarize;
use selvedge_zoo::digits;

#[path = "../tests/support/mod.rs"]
mod support;

const IMAGES: usize = 16;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = PathBuf::from(env::args().nth(1).ok_or("usage: digits DIR")?);
    let artifact = support::artifact();
    let view = Artifact::parse(&artifact)?;
    let arena_bytes = view.arena_bytes();
    let list = |bytes: &[u8]| {
        let lines = bytes.chunks(16).map(|line| line.iter().map(|b| format!("{b},")).collect::<String>());
        lines.collect::<Vec<_>>().join("\n")
    };
    let pixels: Vec<u8> = (0..IMAGES).flat_map(|i| *digits::test_set().pixels(i)).collect();
    let header = format!(
        "#define DIGITS_ARENA_BYTES {arena_bytes}\n#define DIGITS_IMAGES {IMAGES}\n#define DIGITS_PIXELS {}\n\
         #define DIGITS_MAX_PIXEL {}\n#define DIGITS_CLASSES {}\n\
         static const SELVEDGE_ALIGNED uint8_t digits_model[{}] = {{\n{}\n}};\n\
         static const uint8_t digits_images[{}] = {{\n{}\n}};\n",
        digits::PIXELS,
        digits::MAX_PIXEL,
        digits::CLASSES,
        artifact.len(),
        list(&artifact),
        pixels.len(),
        list(&pixels),
    );
    let mut expected = String::new();
    for (i, (class, bytes)) in support::expected(&artifact, IMAGES).iter().enumerate() {
        let bytes: String = bytes.iter().map(|b| format!(" {b:02x}")).collect();
        writeln!(expected, "image {i}: class {class}, output{bytes}")?;
    }
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("digits.h"), header)?;
    fs::write(folder.join("expected.txt"), expected)?;
    fs::write(folder.join("digits.ops"), summarize(&view, &|_, _| String::new())?.ops)?;
    Ok(())
}
