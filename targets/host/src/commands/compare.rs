//! `selvedge compare`: an artifact against its model in f32, layer by layer.

use crate::commands::compile::samples;
use crate::commands::inspect::shorten;
use crate::error::Failure;
use crate::files::open_artifact;
use crate::progress;
use crate::table::render;
use selvedge::{
    AlignedBuf, Artifact, DType, Error, Probe, StepCtx, StepOutputs, StreamSession, TensorView, state_bytes,
};
use selvedge_compiler::calibrate::{FloatModel, Observe, Sample};
use selvedge_compiler::compare::{Comparison, Side, compare_layers};
use selvedge_compiler::data::ArrayData;
use selvedge_compiler::graph::Graph;
use selvedge_compiler::import::ImportOptions;
use selvedge_compiler::load;
use selvedge_compiler::simulate::{SimMode, Simulator};
use std::collections::HashMap;
use std::io::Write;
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Args {
    /// ONNX model
    model: PathBuf,
    /// Artifact compiled from it
    artifact: PathBuf,
    /// Inputs to compare on: an array of many entries, FILE.npy or FILE.npz[:KEY]
    #[arg(long, value_name = "FILE")]
    inputs: String,
    /// Shape of an input with symbolic dims, NAME=1x3x32x32 (repeatable)
    #[arg(long, value_name = "NAME=DIMS")]
    shape: Vec<String>,
    /// An input that was made a constant when the artifact was compiled, as in sigma=0.5 or sizes=sizes.npy (repeatable)
    #[arg(long, value_name = "NAME=NUMBER|FILE")]
    bind: Vec<String>,
    /// The model runs frame by frame: the input takes what the output held after the frame before, as in
    /// h0=hn (repeatable); the entries of --inputs are the frames
    #[arg(long, value_name = "INPUT=OUTPUT")]
    state: Vec<String>,
    /// LSTM, GRU and RNN without a state before their first step keep theirs from run to run
    #[arg(long)]
    stream: bool,
    /// Fail (exit code 1) below this top-1 agreement, 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    min_agreement: f64,
    /// One JSON object on stdout
    #[arg(long)]
    json: bool,
}

/// An artifact that shows its values in real numbers.
struct ArtifactModel<'a> {
    session: StreamSession<'a>,
    /// Elements of each value in the float graph: values whose dead channels were removed differ.
    elements: HashMap<&'a str, usize>,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let name = args.model.display().to_string();
    let onnx = super::compile::read_model(&args.model)?;
    let shapes = args.shape.iter().map(|s| super::compile::shape(s)).collect::<Result<_, _>>()?;
    let bind = args.bind.iter().map(|text| super::compile::bind(text)).collect::<Result<_, _>>()?;
    let states = args.state.iter().map(|text| super::compile::state(text)).collect::<Result<_, _>>()?;
    let folder = super::compile::folder(&args.model);
    let options = ImportOptions { shapes, bind, states, stream: args.stream, folder, ..ImportOptions::default() };
    let graph = load(&onnx, &options).map_err(|e| Failure::bad(format!("{name}: {e}")))?;
    let file = open_artifact(&args.artifact)?;
    let artifact_name = args.artifact.display().to_string();
    let failed = |e: Error| Failure::bad(format!("{artifact_name}: {e}"));
    let artifact = Artifact::parse(&file).map_err(failed)?;
    if artifact.inputs().len() != graph.inputs.len() || artifact.outputs().len() != graph.outputs.len() {
        return Err(Failure::bad(format!(
            "{artifact_name} was not compiled from {name}: inputs or outputs differ in number (give --bind, --state and --stream as when compiling)"
        )));
    }
    let mut arena = AlignedBuf::zeroed(artifact.arena_bytes());
    let mut state = vec![0; state_bytes(&artifact)];
    let session = StreamSession::new(artifact, &mut arena, &mut state).map_err(failed)?;
    let elements = graph.values.iter().map(|v| (v.name.as_str(), v.elements())).collect();
    let mut tested = ArtifactModel { session, elements };
    let mut reference = Simulator::new(&graph, SimMode::Float).map_err(|e| Failure::bad(format!("{name}: {e}")))?;
    let samples = samples(&args.inputs, &graph)?;
    let bar = progress::bar(samples.len(), "comparing");
    let outputs: Vec<String> = graph.outputs.iter().map(|&o| graph.value(o).name.clone()).collect();
    let comparison = compare_layers(
        &mut Side::of(&graph, &mut reference),
        &mut Side::of(&graph, &mut tested),
        samples.into_iter().inspect(|_| bar.inc(1)),
        &outputs,
    )
    .map_err(|e| Failure::bad(format!("{artifact_name}: {e}")))?;
    bar.finish_and_clear();
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&comparison).map_err(Failure::bad)?)?;
    } else {
        out.write_all(text(&comparison, &graph).as_bytes())?;
    }
    if comparison.top1_agreement < args.min_agreement {
        return Err(Failure::No(format!(
            "top-1 agreement {:.4} is below {}",
            comparison.top1_agreement, args.min_agreement
        )));
    }
    Ok(())
}

fn text(c: &Comparison, graph: &Graph) -> String {
    let db = |snr: f64| if snr >= 999.0 { "equal".to_string() } else { format!("{snr:.1}") };
    let rows: Vec<Vec<String>> =
        c.layers.iter().map(|l| vec![db(l.snr_db), format!("{:.4}", l.max_abs_diff), shorten(&l.name)]).collect();
    let mut text = render(&["SNR dB", "largest difference", "value"], &rows);
    if c.layers.len() <= graph.outputs.len() {
        text += "only outputs are compared: compile with `--names all` to see every layer\n";
    }
    text += &format!(
        "\n{} inputs: same top-1 on {:.2} %, output SNR {} dB, largest output difference {:.5}\n",
        c.inputs,
        c.top1_agreement * 100.0,
        db(c.snr_db),
        c.max_abs_diff
    );
    match &c.worst_layer {
        Some(worst) => text + &format!("worst layer: {worst}\n"),
        None => text,
    }
}

impl FloatModel for ArtifactModel<'_> {
    fn run(&mut self, sample: &Sample, observe: &mut Observe<'_>) -> Result<(), String> {
        let text = |e: Error| e.to_string();
        for (index, tensor) in sample.tensors.iter().enumerate() {
            let input = self.session.input(index).map_err(text)?;
            match &tensor.data {
                ArrayData::F32(v) => input.quantize_from_f32(v),
                data => input.copy_from_bytes(&data.to_bytes()),
            }
            .map_err(text)?;
        }
        self.session.step_probed(&mut Shower { elements: &self.elements, observe }).map_err(text)
    }
}

struct Shower<'a, 'o> {
    elements: &'a HashMap<&'a str, usize>,
    observe: &'a mut Observe<'o>,
}

impl Probe for Shower<'_, '_> {
    fn after_step(&mut self, step: &StepCtx<'_>, outputs: &mut StepOutputs<'_>) {
        for (i, &index) in step.step().outputs.iter().enumerate() {
            let (Some(name), Ok(view)) = (step.artifact().name(index as usize), outputs.tensor(i)) else { continue };
            if self.elements.get(name) == Some(&view.elements)
                && let Some(values) = real(&view, outputs.bytes(i))
            {
                let dims: Vec<usize> = view.dims.iter().map(|&d| d as usize).collect();
                (self.observe)(name, &dims, &values);
            }
        }
    }
}

/// Real values of an f32, int8, uint8 or int16 tensor.
fn real(view: &TensorView<'_>, bytes: &[u8]) -> Option<Vec<f32>> {
    let (scale, zp) = view.quantization().unwrap_or((1.0, 0));
    Some(match view.dtype {
        DType::F32 => bytes.as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect(),
        DType::I8 => bytes.iter().map(|&b| (b as i8 as i32 - zp) as f32 * scale).collect(),
        DType::U8 => bytes.iter().map(|&b| (b as i32 - zp) as f32 * scale).collect(),
        DType::I16 => bytes.as_chunks::<2>().0.iter().map(|&b| f32::from(i16::from_le_bytes(b)) * scale).collect(),
        _ => return None,
    })
}
