//! Lays out the memory of the chosen board, embeds the model with the ops it needs and one input,
//! and runs it on the host: the digest that the board must reproduce.
//!
//! `SELVEDGE_MODEL` names the artifact, a model with one input (default: the digit classifier that
//! build.sh makes). The input is the first record of the file beside it with the extension
//! `inputs` (raw bytes), where there is one, else a fixed pattern.

use std::collections::BTreeSet;
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use selvedge::artifact::TensorView;
use selvedge::{AlignedBuf, Artifact, DType, IsaKind, Session};
use selvedge_firmware::digest::digest;

const KIB: usize = 1024;

/// Where a board has its memory, in bytes.
struct Board {
    feature: &'static str,
    flash: (usize, usize),
    ram: (usize, usize),
}

const BOARDS: [Board; 5] = [
    Board { feature: "nrf52840", flash: (0, 1024 * KIB), ram: (0x2000_0000, 256 * KIB) },
    // The first 256 bytes of flash hold the second-stage boot loader; the last two banks of RAM are
    // not striped and left out.
    Board { feature: "rp2040", flash: (0x1000_0100, 2048 * KIB - 256), ram: (0x2000_0000, 256 * KIB) },
    Board { feature: "stm32f411", flash: (0x0800_0000, 512 * KIB), ram: (0x2000_0000, 128 * KIB) },
    // The tightly coupled data memory: no wait states, no cache.
    Board { feature: "stm32h743", flash: (0x0800_0000, 2048 * KIB), ram: (0x2000_0000, 128 * KIB) },
    Board { feature: "mps2", flash: (0, 4096 * KIB), ram: (0x2000_0000, 4096 * KIB) },
];

/// Flash that code and constants take besides the model, and RAM that stack, logging and
/// measurements take besides the arena.
const CODE: usize = 64 * KIB;
const STACK: usize = 16 * KIB;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let chosen = |board: &&Board| env::var_os(format!("CARGO_FEATURE_{}", board.feature.to_uppercase())).is_some();
    let boards: Vec<&Board> = BOARDS.iter().filter(chosen).collect();
    if let [board] = boards[..] {
        if let Err(problem) = build(board) {
            println!("cargo::error={problem}");
        }
    } else {
        let names = BOARDS.map(|board| board.feature).join(" ");
        println!("cargo::error=choose one board with --features BOARD: {names}");
    }
}

fn build(board: &Board) -> Result<(), String> {
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    link(board, &out)?;
    println!("cargo::rerun-if-env-changed=SELVEDGE_MODEL");
    let made = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/device-inputs/digits.slvg");
    let path = env::var_os("SELVEDGE_MODEL").map_or(made, PathBuf::from);
    let bytes = read(&path).map_err(|e| format!("{e}; name an artifact with SELVEDGE_MODEL, or use build.sh"))?;
    let file = AlignedBuf::from(&bytes[..]);
    let artifact = Artifact::parse(&file).map_err(|e| format!("{}: {e}", path.display()))?;
    fits(board, &path, bytes.len(), artifact.arena_bytes())?;
    artifact.verify_digest().map_err(|e| format!("{}: {e}", path.display()))?;
    let tensor = match artifact.inputs() {
        &[input] => artifact.tensor(input as usize).map_err(|e| e.to_string())?,
        inputs => return Err(format!("{}: a model with one input, this has {}", path.display(), inputs.len())),
    };
    let input = input(&tensor, &path)?;
    let digest = expected(artifact, &input).map_err(|e| format!("{} on the host: {e}", path.display()))?;
    let mut text = String::new();
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let _ = writeln!(text, "pub const NAME: &str = {name:?};");
    let _ = writeln!(text, "pub const STEPS: usize = {};", artifact.step_count());
    let _ = writeln!(text, "pub const HOST_DIGEST: u64 = {digest:#018x};");
    let _ = writeln!(text, "pub static OPS: &[selvedge::OpEntry] = {};", ops(&artifact));
    let _ = writeln!(text, "pub static INPUT: &[u8] = include_bytes!(concat!(env!(\"OUT_DIR\"), \"/input.bin\"));");
    let write = |name: &str, bytes: &[u8]| fs::write(out.join(name), bytes).map_err(|e| format!("{name}: {e}"));
    write("chosen.rs", text.as_bytes())?;
    write("input.bin", &input)?;
    write("model.slvg", &bytes)
}

fn link(board: &Board, out: &Path) -> Result<(), String> {
    let region =
        |name: &str, (origin, bytes): (usize, usize)| format!("  {name} : ORIGIN = {origin:#x}, LENGTH = {bytes}\n");
    let mut memory = region("FLASH", board.flash) + &region("RAM", board.ram);
    println!("cargo::rustc-link-search={}", out.display());
    println!("cargo::rustc-link-arg-bins=--nmagic");
    println!("cargo::rustc-link-arg-bins=-Tlink.x");
    if board.feature == "rp2040" {
        memory += &region("BOOT2", (0x1000_0000, 256));
        println!("cargo::rustc-link-arg-bins=-Tlink-rp.x");
    }
    if board.feature != "mps2" {
        println!("cargo::rustc-link-arg-bins=-Tdefmt.x");
    }
    fs::write(out.join("memory.x"), format!("MEMORY {{\n{memory}}}\n")).map_err(|e| format!("memory.x: {e}"))
}

/// Refuses a model that the board cannot hold, with the byte counts.
fn fits(board: &Board, path: &Path, model: usize, arena: usize) -> Result<(), String> {
    let mut reasons = Vec::new();
    let mut check = |what: &str, needed: usize, besides: usize, memory: usize, name: &str| {
        if needed + besides > memory {
            reasons.push(format!(
                "its {what} takes {needed} bytes, of {memory} bytes of {name} {} are left",
                memory.saturating_sub(besides)
            ));
        }
    };
    check("artifact", model, CODE, board.flash.1, "flash");
    check("arena", arena, STACK, board.ram.1, "RAM");
    if reasons.is_empty() {
        return Ok(());
    }
    Err(format!("{} does not fit on {}: {}", path.display(), board.feature, reasons.join("; ")))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    println!("cargo::rerun-if-changed={}", path.display());
    fs::read(path).map_err(|e| format!("{}: {e}", path.display()))
}

/// Bytes of the input: recorded, or a pattern.
fn input(tensor: &TensorView<'_>, model: &Path) -> Result<Vec<u8>, String> {
    let recorded = model.with_extension("inputs");
    if recorded.exists() {
        let mut bytes = read(&recorded)?;
        if bytes.len() < tensor.bytes() {
            return Err(format!("{}: {} bytes, an input has {}", recorded.display(), bytes.len(), tensor.bytes()));
        }
        bytes.truncate(tensor.bytes());
        return Ok(bytes);
    }
    let mut state = 1u32;
    let pattern = std::iter::repeat_with(|| {
        // The linear congruential generator of Numerical Recipes.
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    let pattern = pattern.take(tensor.elements);
    Ok(match tensor.dtype {
        DType::F32 => pattern.flat_map(|byte| (byte as f32 / 256.0).to_le_bytes()).collect(),
        DType::I8 | DType::U8 => pattern.collect(),
        // Indices and masks: zero is valid everywhere.
        _ => vec![0; tensor.bytes()],
    })
}

/// The digest by the reference kernels.
fn expected(artifact: Artifact<'_>, input: &[u8]) -> Result<u64, selvedge::Error> {
    let mut arena = AlignedBuf::zeroed(artifact.arena_bytes());
    let mut session = Session::new(artifact, &mut arena)?.with_isa(IsaKind::Reference)?;
    digest(&mut session, input)
}

/// The table of the ops in the artifact.
fn ops(artifact: &Artifact<'_>) -> String {
    let steps = (0..artifact.step_count()).filter_map(|i| artifact.step(i).ok());
    let names = steps.filter_map(|step| Some(format!("{}<{}>", step.op()?.name(), step.format()?.name())));
    let names: Vec<String> = names.collect::<BTreeSet<_>>().into_iter().collect();
    format!("selvedge::ops![{}]", names.join(", "))
}
