//! Writes the digit classifier for the C programs of this folder: `digits_for_c DIR`
//! makes `digits.h` (artifacts, arena sizes, images), `expected.txt` (what a C program must print)
//! and `digits.ops` (for `SELVEDGE_OPS`).

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::PathBuf;
use std::{env, fs};

use selvedge::{AlignedBuf, Artifact};
use selvedge_compiler::inspect::summarize;
use selvedge_zoo::digits;

#[path = "../tests/support/mod.rs"]
mod support;

const IMAGES: usize = 16;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = PathBuf::from(env::args().nth(1).ok_or("usage: digits_for_c DIR")?);
    let mut header = format!(
        "#define DIGITS_IMAGES {IMAGES}\n#define DIGITS_PIXELS {}\n#define DIGITS_MAX_PIXEL {}\n#define DIGITS_CLASSES {}\n",
        digits::PIXELS,
        digits::MAX_PIXEL,
        digits::CLASSES
    );
    let pixels: Vec<u8> = (0..IMAGES).flat_map(|i| *digits::test_set().pixels(i)).collect();
    array(&mut header, "digits_images", &pixels)?;
    let (mut expected, mut ops) = (String::new(), BTreeSet::new());
    for (name, artifact) in [("digits", support::artifact()), ("digits_i8", support::artifact_i8())] {
        let view = Artifact::parse(&artifact)?;
        let arena = view.arena_bytes();
        writeln!(header, "#define {}_ARENA_BYTES {arena}", name.to_uppercase())?;
        array(&mut header, &format!("{name}_model"), &artifact)?;
        writeln!(expected, "{name}: {} bytes, arena {arena}", artifact.len())?;
        lines(&mut expected, &artifact)?;
        for step in summarize(&view, &|_, _| String::new())?.steps {
            ops.insert(step.op.split_once('>').map_or(step.op.clone(), |(op, _)| format!("{op}>")));
        }
    }
    let (head, weights) = support::split();
    let [fast, slow] = Artifact::parse_head(&head)?.region_bytes();
    writeln!(header, "#define DIGITS_FAST_BYTES {fast}\n#define DIGITS_SLOW_BYTES {slow}")?;
    array(&mut header, "digits_head", &head)?;
    array(&mut header, "digits_weights", &weights)?;
    writeln!(expected, "digits, split: {} bytes, fast {fast}, slow {slow}", head.len() + weights.len())?;
    lines(&mut expected, &support::artifact())?;
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("digits.h"), header)?;
    fs::write(folder.join("expected.txt"), expected)?;
    fs::write(folder.join("digits.ops"), ops.into_iter().collect::<Vec<_>>().join(","))?;
    Ok(())
}

/// What the artifact makes of the images.
fn lines(expected: &mut String, artifact: &AlignedBuf) -> std::fmt::Result {
    for (i, (class, bytes)) in support::expected(artifact, IMAGES).iter().enumerate() {
        let bytes: String = bytes.iter().map(|b| format!(" {b:02x}")).collect();
        writeln!(expected, "image {i}: class {class}, output{bytes}")?;
    }
    Ok(())
}

/// A constant array, aligned for an artifact.
fn array(header: &mut String, name: &str, bytes: &[u8]) -> std::fmt::Result {
    writeln!(header, "static const SELVEDGE_ALIGNED uint8_t {name}[{}] = {{", bytes.len())?;
    for line in bytes.chunks(16) {
        let line: Vec<String> = line.iter().map(u8::to_string).collect();
        writeln!(header, "{},", line.join(","))?;
    }
    writeln!(header, "}};")
}
