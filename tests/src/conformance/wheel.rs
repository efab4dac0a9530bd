//! Reading the cases out of the package.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::PathBuf;

/// Where the cases lie in the package.
const ROOT: &str = "onnx/backend/test/data/";
/// The suites that are run: the others hold large models or none of the package's own.
const SUITES: [&str; 4] = ["node", "simple", "pytorch-converted", "pytorch-operator"];

/// One case: a model and sets of inputs and outputs, each a serialized tensor.
#[derive(Clone, Debug, Default)]
pub struct Case {
    /// `suite/name`
    pub name: String,
    pub model: Vec<u8>,
    pub sets: Vec<Set>,
}

/// Tensors of one run, in the order of the graph.
#[derive(Clone, Debug, Default)]
pub struct Set {
    pub inputs: Vec<Vec<u8>>,
    pub outputs: Vec<Vec<u8>>,
}

/// The package file: `SELVEDGE_ONNX_WHEEL`, or `target/onnx/*.whl` of the workspace. Says aloud what is not tested
/// where there is none.
pub fn wheel(what: &str) -> Option<PathBuf> {
    crate::wheel(what, "onnx")
}

/// Every case of the suites, by name.
///
/// # Errors
/// What kept the file from being read.
pub fn cases(wheel: &std::path::Path) -> std::io::Result<Vec<Case>> {
    let mut archive = zip::ZipArchive::new(BufReader::new(File::open(wheel)?))?;
    let mut found: BTreeMap<String, (Vec<u8>, Sets)> = BTreeMap::new();
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index)?;
        let Some(path) = entry.name().strip_prefix(ROOT).map(str::to_owned) else { continue };
        let parts: Vec<&str> = path.split('/').collect();
        let (&suite, &case) = match parts.as_slice() {
            [suite, case, _, ..] if SUITES.contains(suite) => (suite, case),
            _ => continue,
        };
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        let (model, sets) = found.entry(format!("{suite}/{case}")).or_default();
        match parts[2..] {
            ["model.onnx"] => *model = bytes,
            [set, file] => {
                let Some((kind, index)) = file.trim_end_matches(".pb").rsplit_once('_') else { continue };
                let Ok(index) = index.parse::<usize>() else { continue };
                sets.insert((set.to_owned(), kind.to_owned(), index), bytes);
            }
            _ => {}
        }
    }
    Ok(found.into_iter().map(|(name, (model, sets))| Case { name, model, sets: ordered(sets) }).collect())
}

/// By set, kind (`input`, `output`) and index.
type Sets = BTreeMap<(String, String, usize), Vec<u8>>;

fn ordered(tensors: Sets) -> Vec<Set> {
    let mut sets: BTreeMap<String, Set> = BTreeMap::new();
    for ((set, kind, _), bytes) in tensors {
        let set = sets.entry(set).or_default();
        if kind == "input" { set.inputs.push(bytes) } else { set.outputs.push(bytes) }
    }
    sets.into_values().collect()
}
