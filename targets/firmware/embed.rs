//! For build scripts of firmware: writes the table of models that an image holds.
//!
//! `SELVEDGE_INPUTS` names the folder that `device_inputs` wrote (default: `target/device-inputs`
//! of the workspace); `SELVEDGE_MODELS` chooses models by name, comma-separated (default: all).

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// Inputs recorded for each model.
const INPUTS: usize = 8;

/// Memory of a board, in bytes.
pub struct Memory {
    pub board: &'static str,
    /// Flash for models and inputs: all that code leaves.
    pub models: usize,
    /// RAM for the arena: all that the stack and statics leave.
    pub arena: usize,
}

struct Model {
    name: String,
    artifact: PathBuf,
    inputs: PathBuf,
    ops: String,
    flash: usize,
    arena: usize,
}

fn folder() -> PathBuf {
    println!("cargo::rerun-if-env-changed=SELVEDGE_INPUTS");
    println!("cargo::rerun-if-env-changed=SELVEDGE_MODELS");
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/device-inputs");
    env::var_os("SELVEDGE_INPUTS").map_or(default, PathBuf::from)
}

fn read(folder: &Path, name: &str) -> Model {
    let file = |suffix: &str| {
        let path = folder.join(format!("{name}.{suffix}"));
        println!("cargo::rerun-if-changed={}", path.display());
        let path = path.canonicalize().unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let bytes = fs::read(&path).expect("a readable file");
        (path, bytes)
    };
    let ((artifact, model), (inputs, input)) = (file("slvg"), file("inputs"));
    let ops = String::from_utf8(file("ops").1).expect("text");
    let arena = u32::from_le_bytes(model[16..20].try_into().expect("a header")) as usize;
    Model { name: name.to_string(), artifact, inputs, ops, flash: model.len() + input.len(), arena }
}

/// Why a model does not fit, with the bytes needed and the bytes there.
fn refusal(model: &Model, memory: &Memory) -> Option<String> {
    let mut reasons = Vec::new();
    if model.arena > memory.arena {
        reasons.push(format!("needs an arena of {} bytes of RAM, there are {}", model.arena, memory.arena));
    }
    if model.flash > memory.models {
        reasons.push(format!("needs {} bytes of flash with its inputs, there are {}", model.flash, memory.models));
    }
    (!reasons.is_empty()).then(|| format!("{} does not fit on {}: {}", model.name, memory.board, reasons.join("; ")))
}

/// Writes into `OUT_DIR`: `models.rs` with `MODELS` and `ARENA_BYTES`, the largest arena; of the
/// first model `model.slvg`, `input.bin` (the first input) and `ops.rs` (its table).
///
/// A model that does not fit stops the build with the byte counts.
pub fn embed(memory: &Memory) {
    let folder = folder();
    let list = folder.join("models.txt");
    println!("cargo::rerun-if-changed={}", list.display());
    let all = fs::read_to_string(&list).unwrap_or_else(|e| {
        panic!(
            "{}: {e}; write the folder with `cargo run -p selvedge-tests --bin device_inputs -- FOLDER`",
            list.display()
        )
    });
    let chosen = env::var("SELVEDGE_MODELS").ok().filter(|names| !names.is_empty());
    let names: Vec<&str> = match &chosen {
        Some(names) => names.split(',').collect(),
        None => all.lines().collect(),
    };
    let models: Vec<Model> = names.into_iter().map(|name| read(&folder, name)).collect();
    let refusals: Vec<String> = models.iter().filter_map(|model| refusal(model, memory)).collect();
    let flash: usize = models.iter().map(|m| m.flash).sum();
    if !refusals.is_empty() || flash > memory.models {
        for refusal in &refusals {
            println!("cargo::error={refusal}");
        }
        if refusals.is_empty() {
            println!("cargo::error={} models need {flash} bytes of flash, there are {}", models.len(), memory.models);
        }
        return;
    }
    if let Some(first) = models.first() {
        let input = fs::read(&first.inputs).expect("a readable file");
        fs::copy(&first.artifact, out("model.slvg")).expect("a writable folder");
        fs::write(out("input.bin"), &input[..input.len() / INPUTS]).expect("a writable folder");
        fs::write(out("ops.rs"), format!("selvedge::{}\n", first.ops.trim())).expect("a writable folder");
    }
    fs::write(out("models.rs"), table(&models)).expect("a writable folder");
}

/// Copies into `OUT_DIR` the layouts of the model that `regions.txt` names.
#[allow(dead_code)] // Boards of one memory embed no layouts.
pub fn embed_layouts() {
    for file in ["regions.slvg", "regions.head", "regions.weights", "staged.head", "staged.weights"] {
        let path = folder().join(file);
        println!("cargo::rerun-if-changed={}", path.display());
        fs::copy(&path, out(file)).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    }
}

fn out(file: &str) -> PathBuf {
    Path::new(&env::var_os("OUT_DIR").expect("cargo sets it")).join(file)
}

/// The source text of the table of models.
fn table(models: &[Model]) -> String {
    let arena = models.iter().map(|m| m.arena).max().unwrap_or(0);
    let mut text = format!("pub const ARENA_BYTES: usize = {arena};\npub static MODELS: &[Model] = &[\n");
    let mut statics = String::new();
    for (i, model) in models.iter().enumerate() {
        let (artifact, inputs) = (model.artifact.display(), model.inputs.display());
        for (name, path) in [("ARTIFACT", &artifact), ("INPUTS", &inputs)] {
            statics += &format!(
                "#[unsafe(link_section = \".models\")]\nstatic {name}_{i}: Aligned<[u8; include_bytes!({path:?}).len()]> = Aligned(*include_bytes!({path:?}));\n",
                path = path.to_string()
            );
        }
        text += &format!(
            "    Model {{ name: {:?}, artifact: &ARTIFACT_{i}.0, inputs: &INPUTS_{i}.0, ops: selvedge::{} }},\n",
            model.name,
            model.ops.trim()
        );
    }
    text += "];\n";
    text + &statics
}
