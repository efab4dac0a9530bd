//! Which convolutions can be factorized, their spectra, and the choice of form and rank.

use super::{ConvForm, FactorForm, FactorizeError};
use crate::graph::{Graph, Layout, Node, Op, Window};
use crate::linalg::{Svd, svd};
use nalgebra::DMatrix;

/// A convolution with the decompositions of its forms.
pub(super) struct Candidate {
    /// Position of the node in the graph.
    pub index: usize,
    pub window: Window,
    pub layout: Layout,
    /// Output and input channels.
    pub outs: usize,
    pub ins: usize,
    /// Multiply-accumulates of the whole.
    pub macs: u64,
    pub forms: Vec<Form>,
}

/// One form of a candidate.
pub(super) struct Form {
    pub form: ConvForm,
    pub svd: Svd,
    /// Multiply-accumulates for each unit of rank.
    pub macs: u64,
    /// Squared singular values summed up to each rank, from rank 1 on, over their total.
    pub energy: Vec<f64>,
}

/// A form of a candidate, by index, and a rank.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Choice {
    pub form: usize,
    pub rank: usize,
}

/// Every convolution that can be factorized.
pub(super) fn candidates(graph: &Graph, wanted: FactorForm) -> Vec<Candidate> {
    graph.nodes.iter().enumerate().filter_map(|(index, node)| candidate(graph, index, node, wanted)).collect()
}

fn candidate(graph: &Graph, index: usize, node: &Node, wanted: FactorForm) -> Option<Candidate> {
    let Op::Conv { window, groups: 1, layout, .. } = &node.op else { return None };
    let value = |slot: usize| node.inputs.get(slot).copied().flatten().map(|id| graph.value(id));
    let (x, w, y) = (value(0)?, value(1)?, graph.value(*node.outputs.first()?));
    // What the file quantized stays as it is.
    if w.codes.is_some() || y.quant.is_some() {
        return None;
    }
    let (&[outs, ins, kh, kw], weights) = (w.shape.as_slice(), w.f32s()?) else { return None };
    let (in_w, [n, out_h, out_w]) = match (layout, x.shape.as_slice(), y.shape.as_slice()) {
        (Layout::Nchw, &[_, _, _, in_w], &[n, _, h, w]) | (Layout::Nhwc, &[_, _, in_w, _], &[n, h, w, _]) => {
            (in_w, [n, h, w])
        }
        _ => return None,
    };
    let pixels = n * out_h * out_w;
    let whole = pixels * outs * ins * kh * kw;
    let at = |n: usize, c: usize, y: usize, x: usize| f64::from(weights[((n * ins + c) * kh + y) * kw + x]);
    // Rows of the matrix are the outputs of the second factor in the channel-wise form, the inputs
    // of the first in the other.
    let mut forms = Vec::new();
    if wanted != FactorForm::Spatial {
        let macs = pixels * (ins * kh * kw + outs);
        forms.push((
            ConvForm::Channel,
            macs,
            DMatrix::from_fn(outs, ins * kh * kw, |n, k| f64::from(weights[n * ins * kh * kw + k])),
        ));
    }
    if wanted != FactorForm::Channel && kw > 1 {
        let macs = n * out_h * in_w * ins * kh + pixels * outs * kw;
        let matrix = DMatrix::from_fn(ins * kh, outs * kw, |i, o| at(o / kw, i / kh, i % kh, o % kw));
        forms.push((ConvForm::Spatial, macs, matrix));
    }
    let forms = forms.into_iter().filter(|(_, macs, _)| *macs < whole);
    let forms: Vec<Form> = forms.filter_map(|(form, macs, matrix)| Form::new(form, macs, &matrix)).collect();
    let (window, layout) = (*window, *layout);
    (!forms.is_empty()).then_some(Candidate { index, window, layout, outs, ins, macs: whole as u64, forms })
}

impl Form {
    /// `None` for weights that are all zero and for those without a decomposition.
    fn new(form: ConvForm, macs: usize, matrix: &DMatrix<f64>) -> Option<Form> {
        let svd = svd(matrix)?;
        let total: f64 = svd.sigma.iter().map(|s| s * s).sum();
        if total <= 0.0 {
            return None;
        }
        let mut sum = 0.0;
        let mut energy: Vec<f64> = svd
            .sigma
            .iter()
            .map(|s| {
                sum += s * s;
                sum / total
            })
            .collect();
        // Sums in another order than the total's could miss 1.
        *energy.last_mut()? = 1.0;
        Some(Form { form, svd, macs: macs as u64, energy })
    }
}

impl Candidate {
    /// Multiply-accumulates of a choice.
    pub fn macs_of(&self, choice: Choice) -> u64 {
        self.forms[choice.form].macs * choice.rank as u64
    }

    /// The choice with the fewest multiply-accumulates that keeps this energy; `None` where the
    /// whole takes no more.
    pub fn at_energy(&self, energy: f64) -> Option<Choice> {
        let choices = self.forms.iter().enumerate().map(|(form, f)| {
            let rank = 1 + f.energy.partition_point(|&e| e < energy).min(f.energy.len() - 1);
            Choice { form, rank }
        });
        let best = choices.min_by_key(|&choice| self.macs_of(choice));
        best.filter(|&choice| self.macs_of(choice) < self.macs)
    }

    /// The choice of this rank that keeps the most energy, of those that save something.
    pub fn at_rank(&self, rank: usize) -> Option<Choice> {
        let choices = self.forms.iter().enumerate();
        let choices = choices.map(|(form, f)| Choice { form, rank: rank.min(f.energy.len()) });
        let energy = |choice: &Choice| self.forms[choice.form].energy[choice.rank - 1];
        choices
            .filter(|&choice| self.macs_of(choice) < self.macs)
            .max_by(|a, b| energy(a).total_cmp(&energy(b)).then(self.macs_of(*b).cmp(&self.macs_of(*a))))
    }
}

/// The highest energy at which the candidates take at most this part of their multiply-accumulates.
pub(super) fn energy_within(candidates: &[Candidate], part: f64) -> Result<f64, FactorizeError> {
    let before: u64 = candidates.iter().map(|c| c.macs).sum();
    let ratio = |energy: f64| {
        let after: u64 =
            candidates.iter().map(|c| c.at_energy(energy).map_or(c.macs, |choice| c.macs_of(choice))).sum();
        after as f64 / before.max(1) as f64
    };
    // Ranks only change at these; the multiply-accumulates never fall from one to the next.
    let mut steps: Vec<f64> = candidates.iter().flat_map(|c| &c.forms).flat_map(|f| &f.energy).copied().collect();
    steps.sort_by(f64::total_cmp);
    steps.dedup();
    let fits = steps.partition_point(|&energy| ratio(energy) <= part);
    match fits.checked_sub(1) {
        Some(index) => Ok(steps[index]),
        None => {
            let least = steps.first().map_or(1.0, |&energy| ratio(energy));
            Err(FactorizeError::OutOfReach { asked: part, least })
        }
    }
}
