//! Lays out the memory of the chosen board, embeds the model with the ops it needs and one input,
//! and runs it on the host: the digest the board must reproduce.
//!
//! `SELVEDGE_MODEL` names the artifact (default: `digits.slvg` beside this file, which build.sh makes). Its input comes
//! from `SELVEDGE_INPUT`, else from a file beside the artifact with the extension `inputs`: raw
//! bytes, of which the first record is taken; else it is a fixed pattern.

#[path = "src/digest.rs"]
mod digest;

use std::collections::BTreeSet;
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use digest::Digest;
use selvedge::{AlignedBuf, Artifact, DType, IsaKind, Session};

const KIB: usize = 1024;

/// Where a board has its memory, in bytes.
struct Board {
    feature: &'static str,
    flash: (usize, usize),
    ram: (usize, usize),
}

const BOARDS: [Board; 5] = [
    Board { feature: "nrf52840", flash: (0, 1024 * KIB), ram: (0x2000_0000, 256 * KIB) },
    // The first 256 bytes of flash hold the second-stage boot loader.
    Board { feature: "rp2040", flash: (0x1000_0100, 2048 * KIB - 256), ram: (0x2000_0000, 264 * KIB) },
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
    println!("cargo::rerun-if-changed=src/digest.rs");
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
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("digits.slvg");
    let path = env::var_os("SELVEDGE_MODEL").map_or(beside, PathBuf::from);
    let bytes = read(&path).map_err(|e| {
        format!("{e}; name an artifact with SELVEDGE_MODEL, or let build.sh make the digit classifier of the zoo")
    })?;
    let file = AlignedBuf::from(&bytes[..]);
    let artifact = Artifact::parse(&file).map_err(|e| format!("{}: {e}", path.display()))?;
    artifact.verify_digest().map_err(|e| format!("{}: {e}", path.display()))?;
    fits(board, &path, bytes.len(), artifact.arena_bytes())?;
    let mut arena = AlignedBuf::zeroed(artifact.arena_bytes());
    let session = Session::new(artifact, &mut arena).map_err(|e| format!("{}: {e}", path.display()))?;
    let input = input(&session, &path)?;
    let digest = expected(session, &input).map_err(|e| format!("{} on the host: {e}", path.display()))?;
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

/// Bytes of all inputs, one after the other.
fn input(session: &Session<'_>, model: &Path) -> Result<Vec<u8>, String> {
    println!("cargo::rerun-if-env-changed=SELVEDGE_INPUT");
    let artifact = session.artifact();
    let tensors = artifact.inputs().iter().map(|&i| artifact.tensor(i as usize).map_err(|e| e.to_string()));
    let tensors = tensors.collect::<Result<Vec<_>, String>>()?;
    let needed: usize = tensors.iter().map(|tensor| tensor.bytes()).sum();
    let recorded = model.with_extension("inputs");
    let named = env::var_os("SELVEDGE_INPUT").map(PathBuf::from);
    if let Some(path) = named.or(recorded.exists().then_some(recorded)) {
        let mut bytes = read(&path)?;
        if bytes.len() < needed {
            return Err(format!("{}: {} bytes, the inputs take {needed}", path.display(), bytes.len()));
        }
        bytes.truncate(needed);
        return Ok(bytes);
    }
    let mut state = 1u32;
    let mut next = || {
        // Numerical Recipes' linear congruential generator.
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    let mut bytes = Vec::new();
    for tensor in tensors {
        match tensor.dtype {
            DType::F32 => (0..tensor.elements).for_each(|_| bytes.extend((next() as f32 / 256.0).to_le_bytes())),
            DType::I8 | DType::U8 => bytes.extend((0..tensor.elements).map(|_| next())),
            // Indices and masks: zero is valid everywhere.
            _ => bytes.resize(bytes.len() + tensor.bytes(), 0),
        }
    }
    Ok(bytes)
}

/// The digest by the reference kernels.
fn expected(session: Session<'_>, mut input: &[u8]) -> Result<u64, selvedge::Error> {
    let mut session = session.with_isa(IsaKind::Reference)?;
    for i in 0..session.input_count() {
        let bytes = session.input(i)?.into_bytes();
        let (mine, rest) = input.split_at(bytes.len());
        bytes.copy_from_slice(mine);
        input = rest;
    }
    let mut digest = Digest::new();
    session.run_probed(&mut digest)?;
    Ok(digest.value())
}

/// The table of the ops in the artifact.
fn ops(artifact: &Artifact<'_>) -> String {
    let steps = (0..artifact.step_count()).filter_map(|i| artifact.step(i).ok());
    let names = steps.filter_map(|step| Some(format!("{}<{}>", step.op()?.name(), step.format()?.name())));
    let names: Vec<String> = names.collect::<BTreeSet<_>>().into_iter().collect();
    format!("selvedge::ops![{}]", names.join(", "))
}
