//! Compiling a case and comparing what the session computes.

use super::Case;
use selvedge::{AlignedBuf, Artifact, Session};
use selvedge_compiler::data::{Array, ArrayData, OnnxTensor, read_tensor};
use selvedge_compiler::import::{Bound, ImportOptions, Outline, outline};
use selvedge_compiler::quantize::{QuantScheme, WeightFormat};
use selvedge_compiler::{CompileOptions, Compiled, compile};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Relative and absolute difference that floats may have (the package's own tests allow 1e-3 and 1e-7; sums in
/// another order need a little more near zero). Integers are equal.
const RELATIVE: f64 = 1e-3;
const ABSOLUTE: f64 = 1e-5;

/// What became of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The session computed every output from at least one input; this many inputs were bound to constants.
    Passed { bound: usize },
    /// The compiler knew the outputs in advance.
    Folded,
    /// The compiler or the session refused, with this reason.
    Refused(String),
    /// The session computed something else.
    Wrong(String),
    /// A panic, with its message.
    Panicked(String),
}

/// Runs a case: first with all inputs computed, then with fewer and fewer.
pub fn run(case: &Case) -> Outcome {
    let attempt = AssertUnwindSafe(|| attempts(case));
    catch_unwind(attempt).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
        Outcome::Panicked(text.unwrap_or_default())
    })
}

fn attempts(case: &Case) -> Outcome {
    let read = |tensors: &[Vec<u8>]| tensors.iter().map(|t| read_tensor(t)).collect::<Result<Vec<_>, _>>();
    let mut sets = Vec::new();
    for set in &case.sets {
        match (read(&set.inputs), read(&set.outputs)) {
            (Ok(inputs), Ok(outputs)) => sets.push((inputs, outputs)),
            (Err(e), _) | (_, Err(e)) => return refused(e),
        }
    }
    let outline = match outline(&case.model) {
        Ok(outline) => outline,
        Err(e) => return refused(e),
    };
    let (Some((inputs, _)), false) = (sets.first(), outline.inputs.is_empty()) else {
        return Outcome::Folded;
    };
    let mut first = None;
    for live in choices(&outline, inputs.len()) {
        let outcome = sets.iter().map(|(i, o)| attempt(case, &outline, i, o, &live)).find(|o| !passed(o));
        let bound = live.iter().filter(|&&live| !live).count();
        match outcome {
            None => return Outcome::Passed { bound },
            // A wrong answer stays one, whatever other inputs give.
            Some(wrong @ Outcome::Wrong(_)) => return wrong,
            // Of the refusals the one with all inputs computed says most.
            Some(other) => {
                first.get_or_insert(other);
            }
        }
    }
    first.unwrap_or(Outcome::Folded)
}

fn passed(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Passed { .. })
}

fn refused(e: impl std::fmt::Display) -> Outcome {
    Outcome::Refused(e.to_string())
}

/// Which inputs to compute: all, the first n, those of floats, each alone.
fn choices(outline: &Outline, count: usize) -> Vec<Vec<bool>> {
    let mut list: Vec<Vec<bool>> = (1..=count).rev().map(|n| (0..count).map(|i| i < n).collect()).collect();
    list.push(outline.inputs.iter().map(|i| matches!(i.type_code, 1 | 10 | 11 | 16)).collect());
    list.extend((1..count).map(|only| (0..count).map(|i| i == only).collect()));
    list.retain(|live: &Vec<bool>| live.len() == count && live.contains(&true));
    let mut seen = Vec::new();
    list.retain(|live| {
        !seen.contains(live) && {
            seen.push(live.clone());
            true
        }
    });
    list
}

fn attempt(case: &Case, outline: &Outline, inputs: &[OnnxTensor], outputs: &[OnnxTensor], live: &[bool]) -> Outcome {
    if inputs.len() != outline.inputs.len() {
        return refused("the data does not fit the inputs");
    }
    let mut import = ImportOptions::default();
    let mut fed = Vec::new();
    for ((declared, tensor), &live) in outline.inputs.iter().zip(inputs).zip(live) {
        import.shapes.push((declared.name.clone(), tensor.array.shape.clone()));
        if live {
            fed.push((declared.name.as_str(), &tensor.array));
        } else {
            import.bind.push((declared.name.clone(), Bound::Array(tensor.array.clone())));
        }
    }
    let options = CompileOptions {
        import,
        scheme: QuantScheme { weights: WeightFormat::F32, ..QuantScheme::w8a8() },
        ..CompileOptions::default()
    };
    let compiled = match compile(&case.model, &options) {
        Ok(compiled) => compiled,
        Err(e) => return refused(e),
    };
    match session(&compiled, &fed, outputs) {
        Ok(None) if constant(&compiled) => Outcome::Folded,
        Ok(None) => Outcome::Passed { bound: 0 },
        Ok(Some(difference)) => Outcome::Wrong(difference),
        Err(e) => Outcome::Refused(e),
    }
}

/// No output depends on an input.
fn constant(compiled: &Compiled) -> bool {
    let graph = &compiled.float_graph;
    let mut live: Vec<bool> = vec![false; graph.values.len()];
    for id in &graph.inputs {
        live[id.index()] = true;
    }
    for node in &graph.nodes {
        let reads = node.inputs.iter().flatten().any(|id| live[id.index()]);
        for id in &node.outputs {
            live[id.index()] |= reads;
        }
    }
    !graph.outputs.iter().any(|id| live[id.index()])
}

/// The first difference between what the session computes and `expected`.
fn session(compiled: &Compiled, inputs: &[(&str, &Array)], expected: &[OnnxTensor]) -> Result<Option<String>, String> {
    let text = |e: selvedge_core::Error| format!("session: {e}");
    let file = AlignedBuf::from(&compiled.artifact[..]);
    let artifact = Artifact::parse(&file).map_err(text)?;
    let mut arena = AlignedBuf::zeroed(artifact.arena_bytes());
    let mut session = Session::new(artifact, &mut arena).map_err(text)?;
    for (name, array) in inputs {
        let at = compiled.program.inputs.iter().position(|&t| compiled.program.tensors[t].name == *name);
        let at = at.ok_or_else(|| format!("the program has no input {name}"))?;
        session.input(at).map_err(text)?.copy_from_bytes(&array.data.to_bytes()).map_err(text)?;
    }
    session.run().map_err(text)?;
    if session.output_count() != expected.len() {
        return Ok(Some(format!("{} outputs, expected {}", session.output_count(), expected.len())));
    }
    for (index, want) in expected.iter().enumerate() {
        let output = session.output(index).map_err(text)?;
        let dims: Vec<usize> = output.dims().iter().map(|&d| d as usize).collect();
        if dims != want.array.shape {
            return Ok(Some(format!("output {index} has shape {dims:?}, expected {:?}", want.array.shape)));
        }
        let Some(found) = ArrayData::from_bytes(output.dtype().into(), output.bytes()) else {
            return Ok(Some(format!("output {index}: bytes of no type")));
        };
        if let Some(difference) = difference(&found, &want.array.data) {
            return Ok(Some(format!("output {index}{difference}")));
        }
    }
    Ok(None)
}

fn difference(found: &ArrayData, want: &ArrayData) -> Option<String> {
    if let (ArrayData::F32(found), ArrayData::F32(want)) = (found, want) {
        let close = |&(_, (&x, &y)): &(usize, (&f32, &f32))| {
            let (x, y) = (f64::from(x), f64::from(y));
            x == y || (x.is_nan() && y.is_nan()) || (x - y).abs() <= ABSOLUTE + RELATIVE * y.abs()
        };
        let off = found.iter().zip(want).enumerate().find(|pair| !close(pair));
        return off.map(|(i, (x, y))| format!(", element {i}: {x}, expected {y}"));
    }
    if found.dtype() != want.dtype() {
        return Some(format!(" is {:?}, expected {:?}", found.dtype(), want.dtype()));
    }
    let (found, want) = (found.to_i64()?, want.to_i64()?);
    let off = found.iter().zip(&want).enumerate().find(|(_, (x, y))| x != y);
    off.map(|(i, (x, y))| format!(", element {i}: {x}, expected {y}"))
}
