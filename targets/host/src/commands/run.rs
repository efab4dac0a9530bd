//! `selvedge run`: an artifact on inputs from files.

use crate::error::Failure;
use crate::feed::Feed;
use crate::files::{open_artifact, read_input};
use crate::progress;
use selvedge::artifact::tensor_flags;
use selvedge::{AlignedBuf, Artifact, DType, StreamSession, state_bytes};
use selvedge_compiler::data::{Array, ArrayData, write_npz};
use std::io::Write;
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Args {
    /// Artifact to run
    model: PathBuf,
    /// Input file (.npy, .npz[:KEY], .png, .wav), in the order of the inputs, or NAME=FILE; an array with more entries than the batch runs every entry,
    /// frame by frame through one state where the model keeps state
    #[arg(long, required = true)]
    input: Vec<String>,
    /// Write the outputs, stacked, under their ONNX names
    #[arg(long, value_name = "FILE.npz")]
    output: Option<PathBuf>,
    /// Print the K greatest elements of each output
    #[arg(long, value_name = "K")]
    top: Option<usize>,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let file = open_artifact(&args.model)?;
    let model = args.model.display().to_string();
    let failed = |e: selvedge::Error| Failure::bad(format!("{model}: {e}"));
    let artifact = Artifact::parse(&file).map_err(failed)?;
    let mut arena = AlignedBuf::zeroed(artifact.arena_bytes());
    let mut state = vec![0; state_bytes(&artifact)];
    let mut session = StreamSession::new(artifact, &mut arena, &mut state).map_err(failed)?;
    let feeds = feeds(&args.input, &artifact)?;
    let entries = feeds.iter().map(Feed::entries).max().unwrap_or(0);
    if let Some(feed) = feeds.iter().find(|f| f.entries() != entries && f.entries() != 1) {
        return Err(Failure::bad(format!(
            "the inputs have different numbers of entries: {entries} and {}",
            feed.entries()
        )));
    }
    let mut stacked: Vec<Vec<u8>> = vec![Vec::new(); session.output_count()];
    let bar = progress::bar(entries, "running");
    let mut out = std::io::stdout().lock();
    for entry in 0..entries {
        for (index, feed) in feeds.iter().enumerate() {
            feed.fill_input(session.input(index).map_err(failed)?, if feed.entries() == 1 { 0 } else { entry })?;
        }
        session.step().map_err(|e| Failure::bad(format!("{model}, entry {entry}: {e}")))?;
        for (index, bytes) in stacked.iter_mut().enumerate() {
            let output = session.output(index).map_err(failed)?;
            bytes.extend_from_slice(output.bytes());
            if args.output.is_none() || args.top.is_some() {
                let mut values = vec![0.0; output.elements()];
                output.dequantize_into(&mut values).map_err(failed)?;
                writeln!(out, "{}", describe(entry, &name(&artifact, index), &values, args.top))?;
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    if let Some(path) = &args.output {
        let mut arrays = Vec::new();
        for (index, bytes) in stacked.iter().enumerate() {
            let output = session.output(index).map_err(failed)?;
            arrays.push((name(&artifact, index), stack(output.dtype(), output.dims(), entries, bytes)?));
        }
        write_npz(path, &arrays)?;
    }
    Ok(())
}

/// The tensors that are no state of a stream.
fn plain(artifact: &Artifact<'_>, tensors: &[u16]) -> Vec<u16> {
    let state = |t: u16| artifact.record(t as usize).is_ok_and(|record| record.flags & tensor_flags::STATE != 0);
    tensors.iter().copied().filter(|&t| !state(t)).collect()
}

fn name(artifact: &Artifact<'_>, output: usize) -> String {
    let index = plain(artifact, artifact.outputs()).get(output).map_or(usize::MAX, |&t| t as usize);
    artifact.name(index).map_or_else(|| format!("output{output}"), str::to_owned)
}

/// Files to inputs: by name where NAME=FILE is given, else by position.
pub fn feeds(specs: &[String], artifact: &Artifact<'_>) -> Result<Vec<Feed>, Failure> {
    let inputs = plain(artifact, artifact.inputs());
    let names: Vec<String> = inputs
        .iter()
        .enumerate()
        .map(|(i, &t)| artifact.name(t as usize).map_or(format!("input{i}"), str::to_owned))
        .collect();
    if specs.len() != inputs.len() {
        let list = names.join(", ");
        return Err(Failure::bad(format!(
            "the model has {} inputs ({list}); give --input that many times",
            inputs.len()
        )));
    }
    let mut files: Vec<Option<&str>> = vec![None; inputs.len()];
    for (position, spec) in specs.iter().enumerate() {
        let named = names.iter().position(|n| spec.strip_prefix(n.as_str()).is_some_and(|rest| rest.starts_with('=')));
        let (index, file) = named.map_or((position, spec.as_str()), |i| (i, &spec[names[i].len() + 1..]));
        if files[index].replace(file).is_some() {
            return Err(Failure::bad(format!("input '{}' is given twice", names[index])));
        }
    }
    let mut feeds = Vec::new();
    for ((file, &tensor), name) in files.iter().zip(&inputs).zip(&names) {
        let file = file.ok_or_else(|| Failure::bad(format!("no file for input '{name}'")))?;
        let view = artifact.tensor(tensor as usize).map_err(Failure::bad)?;
        feeds.push(Feed::new(file, read_input(file)?, name, view.dims)?);
    }
    Ok(feeds)
}

/// One line a result: the first elements, or the greatest ones.
fn describe(entry: usize, name: &str, values: &[f32], top: Option<usize>) -> String {
    let mut order: Vec<usize> = (0..values.len()).collect();
    let count = match top {
        Some(k) => {
            order.sort_by(|&a, &b| values[b].total_cmp(&values[a]).then(a.cmp(&b)));
            k
        }
        None => 12,
    };
    let shown: Vec<String> = order.iter().take(count).map(|&i| format!("[{i}] {:.5}", values[i])).collect();
    let rest =
        if top.is_none() && values.len() > count { format!(" … ({} elements)", values.len()) } else { String::new() };
    format!("entry {entry}  {name}  {}{rest}", shown.join("  "))
}

/// Outputs of all entries along the first axis.
fn stack(dtype: DType, dims: &[u32], entries: usize, bytes: &[u8]) -> Result<Array, Failure> {
    let mut shape: Vec<usize> = dims.iter().map(|&d| d as usize).collect();
    match shape.first_mut() {
        Some(first) => *first *= entries,
        None => shape.push(entries),
    }
    let data = ArrayData::from_bytes(dtype.into(), bytes)
        .ok_or_else(|| Failure::bad("an output has an odd number of bytes"))?;
    Ok(Array { shape, data })
}
