//! `selvedge adapter`: LoRA adapters on compiled artifacts.

use super::run::feeds;
use crate::error::Failure;
use crate::feed::Feed;
use crate::files::open_artifact;
use crate::progress;
use crate::table::{render, thousands};
use clap::Subcommand;
use selvedge::{AlignedBuf, Artifact, Session};
use selvedge_compiler::adapter::{
    AttachOptions, LayerReport, LoraAdapter, LoraConfig, Observations, Observer, attach, attached, detach,
};
use std::path::{Path, PathBuf};

#[derive(Subcommand)]
pub enum Args {
    /// Attach a LoRA adapter (safetensors) to an artifact; its weights stay as they are
    Attach(AttachArgs),
    /// Detach an adapter: the artifact as it was
    Detach(DetachArgs),
    /// List the adapters of an artifact
    List {
        /// Artifact
        model: PathBuf,
    },
}

#[derive(clap::Args)]
pub struct AttachArgs {
    /// Artifact
    model: PathBuf,
    /// Adapter (.safetensors); adapter_config.json is read where it lies beside it
    adapter: PathBuf,
    /// Where to write the artifact with the adapter
    #[arg(short, long, value_name = "OUT.slvg")]
    output: PathBuf,
    /// Name to detach it by; the file's name by default
    #[arg(long)]
    name: Option<String>,
    /// Factor of the whole adapter
    #[arg(long, default_value_t = 1.0)]
    strength: f32,
    /// The layer a module of the adapter means, by the name of its output tensor (repeatable)
    #[arg(long, value_name = "MODULE=TENSOR")]
    map: Vec<String>,
    /// Inputs as for `selvedge run --input`: finer scales of the adapter than without samples
    #[arg(long, value_name = "[NAME=]FILE")]
    samples: Vec<String>,
}

#[derive(clap::Args)]
pub struct DetachArgs {
    /// Artifact
    model: PathBuf,
    /// Name of the adapter; may be left out where there is one
    name: Option<String>,
    /// Where to write the artifact without the adapter
    #[arg(short, long, value_name = "OUT.slvg")]
    output: PathBuf,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    match args {
        Args::Attach(args) => attach_file(args),
        Args::Detach(args) => detach_file(args),
        Args::List { model } => list(model),
    }
}

fn attach_file(args: &AttachArgs) -> Result<(), Failure> {
    let file = open_artifact(&args.model)?;
    let model = args.model.display().to_string();
    let artifact = Artifact::parse(&file).map_err(|e| Failure::bad(format!("{model}: {e}")))?;
    let source = args.adapter.display().to_string();
    let bytes = std::fs::read(&args.adapter).map_err(|e| Failure::bad(format!("{source}: {e}")))?;
    let adapter = LoraAdapter::read(&bytes, &config(&args.adapter)?);
    let adapter = adapter.map_err(|e| Failure::bad(format!("{source}: {e}")))?;
    adapter.notes.iter().for_each(|note| eprintln!("note: {source}: {note}"));
    let pair = |spec: &String| {
        let (module, tensor) = spec.split_once('=').filter(|(m, t)| !m.is_empty() && !t.is_empty())?;
        Some((module.to_owned(), tensor.to_owned()))
    };
    let map: Option<Vec<_>> = args.map.iter().map(pair).collect();
    let map = map.ok_or_else(|| Failure::bad("--map takes MODULE=TENSOR"))?;
    let module = |wanted: &String| adapter.layers.iter().any(|layer| layer.module == *wanted);
    if let Some((unknown, _)) = map.iter().find(|(wanted, _)| !module(wanted)) {
        let all: Vec<&str> = adapter.layers.iter().map(|layer| layer.module.as_str()).collect();
        return Err(Failure::bad(format!("--map {unknown}: the adapter's modules are {}", all.join(", "))));
    }
    let stem = args.adapter.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let options = AttachOptions {
        name: args.name.clone().unwrap_or(stem),
        strength: args.strength,
        map,
        observed: observe(&artifact, &args.samples, &model)?,
    };
    let made = attach(&artifact, &adapter, &options).map_err(|e| Failure::bad(format!("{model}: {e}")))?;
    // What cannot be undone is not written.
    let joined = AlignedBuf::from(&made.artifact[..]);
    let view = Artifact::parse(&joined).map_err(Failure::bad)?;
    let mut arena = AlignedBuf::zeroed(view.arena_bytes());
    Session::new(view, &mut arena).map_err(Failure::bad)?;
    let back = detach(&view, &options.name).map_err(Failure::bad)?;
    if back.artifact[..] != file[..artifact.header().total_bytes as usize] {
        eprintln!(
            "note: {model} comes from another version of the compiler: detaching gives an artifact with the same \
             outputs, laid out anew"
        );
    }
    std::fs::write(&args.output, &made.artifact)
        .map_err(|e| Failure::bad(format!("{}: {e}", args.output.display())))?;
    let row = |layer: &LayerReport| {
        let error = format!("{:.2}", layer.relative_error * 100.0);
        vec![layer.layer.clone(), layer.module.clone(), layer.rank.to_string(), error]
    };
    let rows: Vec<Vec<String>> = made.layers.iter().map(row).collect();
    print!("{}", render(&["layer", "module", "rank", "error %"], &rows));
    let on = if made.layers.iter().all(|layer| layer.observed) { "the samples" } else { "Gaussian activations" };
    println!("error: of what the int8 branch adds, relative to the adapter in float, on {on}");
    println!(
        "{}: adapter '{}' on {} layers; {} bytes more flash, {} bytes more arena",
        args.output.display(),
        options.name,
        made.layers.len(),
        thousands(made.added_bytes as u64),
        made.added_arena
    );
    Ok(())
}

/// `adapter_config.json` beside an adapter, or nothing.
fn config(adapter: &Path) -> Result<LoraConfig, Failure> {
    let path = adapter.with_file_name("adapter_config.json");
    let Ok(text) = std::fs::read_to_string(&path) else { return Ok(LoraConfig::default()) };
    serde_json::from_str(&text).map_err(|e| Failure::bad(format!("{}: {e}", path.display())))
}

/// Runs the artifact on samples and watches what its layers read.
fn observe(artifact: &Artifact<'_>, samples: &[String], model: &str) -> Result<Observations, Failure> {
    if samples.is_empty() {
        return Ok(Observations::default());
    }
    let failed = |e: selvedge::Error| Failure::bad(format!("{model}: {e}"));
    let mut arena = AlignedBuf::zeroed(artifact.arena_bytes());
    let mut session = Session::new(*artifact, &mut arena).map_err(failed)?;
    let feeds = feeds(samples, artifact)?;
    let mut observer = Observer::new(artifact).map_err(Failure::bad)?;
    let entries = feeds.iter().map(Feed::entries).max().unwrap_or(0);
    let bar = progress::bar(entries, "observing");
    for entry in 0..entries {
        for (index, feed) in feeds.iter().enumerate() {
            feed.fill(&mut session, index, entry.min(feed.entries() - 1))?;
        }
        session.run_probed(&mut observer).map_err(failed)?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(observer.finish())
}

fn detach_file(args: &DetachArgs) -> Result<(), Failure> {
    let file = open_artifact(&args.model)?;
    let failed = |e: &dyn std::fmt::Display| Failure::bad(format!("{}: {e}", args.model.display()));
    let artifact = Artifact::parse(&file).map_err(|e| failed(&e))?;
    let there = attached(&artifact).map_err(|e| failed(&e))?;
    let name = match (&args.name, there.as_slice()) {
        (Some(name), _) => name.clone(),
        (None, [one]) => one.name.clone(),
        (None, []) => return Err(failed(&"no adapter is attached")),
        (None, more) => {
            let names: Vec<&str> = more.iter().map(|adapter| adapter.name.as_str()).collect();
            return Err(failed(&format!("say which adapter: {}", names.join(", "))));
        }
    };
    let made = detach(&artifact, &name).map_err(|e| failed(&e))?;
    std::fs::write(&args.output, &made.artifact)
        .map_err(|e| Failure::bad(format!("{}: {e}", args.output.display())))?;
    println!("{}: without '{name}', {} bytes", args.output.display(), thousands(made.artifact.len() as u64));
    Ok(())
}

fn list(model: &Path) -> Result<(), Failure> {
    let file = open_artifact(model)?;
    let artifact = Artifact::parse(&file).map_err(Failure::bad)?;
    let all = attached(&artifact).map_err(|e| Failure::bad(format!("{}: {e}", model.display())))?;
    if all.is_empty() {
        println!("no adapter is attached");
    }
    for adapter in all {
        let bytes = thousands(adapter.bytes() as u64);
        println!("{}: {} layers, strength {}, {bytes} bytes", adapter.name, adapter.layers, adapter.strength);
    }
    Ok(())
}
