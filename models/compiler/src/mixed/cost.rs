//! What each width costs each layer.

use crate::pipeline::Compiled;
use crate::prepare::Sensitivity;
use selvedge_core::Artifact;
use selvedge_exec::{Probe, Session, StepCtx, StepOutputs};
use std::time::Instant;
use zerocopy::IntoBytes;

/// A width of a layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WidthCost {
    pub name: &'static str,
    pub bytes: usize,
    /// Noise power of the model's outputs over their signal's, this layer alone being quantized.
    pub loss: f64,
    /// Of a run on this machine; 0 where it was not measured.
    pub micros: f64,
}

/// A layer and the widths it may have, the widest first.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerCost {
    pub name: String,
    pub widths: Vec<WidthCost>,
}

impl LayerCost {
    /// Of a layer with `weights` weights in `rows` rows, before anything is measured: losses of its own output
    /// where they are known, else a quarter with each bit more.
    pub(super) fn new(name: &str, (rows, weights): (usize, usize), known: Option<&Sensitivity>) -> Self {
        let width = |(index, (name, bits)): (usize, (&'static str, usize))| {
            let found = known.and_then(|known| known.widths.get(index));
            let (bytes, loss) = match found {
                Some((_, bytes, snr)) => (*bytes, 10f64.powf(-snr / 10.0)),
                None => (weights * bits / 8 + rows * 4, 0.25f64.powi(bits as i32)),
            };
            WidthCost { name, bytes, loss, micros: 0.0 }
        };
        let widths = super::bench::WIDTHS.into_iter().zip([8, 4, 3, 2]).enumerate().map(width).collect();
        LayerCost { name: name.to_string(), widths }
    }
}

/// Runs that a step's time is the least of.
const RUNS: usize = 7;

struct Times {
    began: Instant,
    least: Vec<f64>,
}

impl Probe for Times {
    fn before_step(&mut self, _: &StepCtx<'_>) {
        self.began = Instant::now();
    }

    fn after_step(&mut self, step: &StepCtx<'_>, _: &mut StepOutputs<'_>) {
        let micros = self.began.elapsed().as_secs_f64() * 1e6;
        if let Some(least) = self.least.get_mut(step.index()) {
            *least = least.min(micros);
        }
    }
}

/// Microseconds of each step on this machine, the least of a few runs on inputs of zeros.
pub(super) fn step_micros(compiled: &Compiled) -> Result<Vec<f64>, String> {
    let mut words = vec![0u128; compiled.artifact.len().div_ceil(16)];
    words.as_mut_bytes()[..compiled.artifact.len()].copy_from_slice(&compiled.artifact);
    let artifact = Artifact::parse(&words.as_bytes()[..compiled.artifact.len()]).map_err(|e| e.to_string())?;
    let mut arena = vec![0u128; artifact.arena_bytes().div_ceil(16)];
    let mut session = Session::new(artifact, arena.as_mut_bytes()).map_err(|e| e.to_string())?;
    let mut times = Times { began: Instant::now(), least: vec![f64::INFINITY; compiled.program.steps.len()] };
    for _ in 0..RUNS {
        for (index, &input) in compiled.program.inputs.iter().enumerate() {
            let zeros = vec![0u8; compiled.program.tensors[input].bytes()];
            session.input(index).and_then(|input| input.copy_from_bytes(&zeros)).map_err(|e| e.to_string())?;
        }
        session.run_probed(&mut times).map_err(|e| e.to_string())?;
    }
    Ok(times.least.into_iter().map(|t| if t.is_finite() { t } else { 0.0 }).collect())
}

/// Gives the layers the time and the flash they took at a width, dead channels removed.
pub(super) fn set_measured(layers: &mut [LayerCost], width: usize, compiled: &Compiled, micros: &[f64]) {
    for layer in layers {
        let steps = || compiled.program.steps.iter().zip(micros).filter(|(step, _)| step.name == layer.name);
        let bytes = steps().map(|(step, _)| step.weights_bytes).sum();
        layer.widths[width].micros = steps().map(|(_, micros)| micros).sum();
        if bytes > 0 {
            layer.widths[width].bytes = bytes;
        }
    }
}
