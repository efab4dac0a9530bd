//! Reads a report off a graph before and after quantization.

use super::{ActivationReport, Execution, LayerReport, QuantReport, Sizes, WeightReport};
use crate::calibrate::Ranges;
use crate::compare::snr_db;
use crate::graph::{Graph, Node, Op, StoredWeights, Value, ValueId};
use crate::picture::PictureIo;
use crate::quantize::grid::ends;
use crate::quantize::roles::op_name;
use std::collections::HashSet;

impl QuantReport {
    /// `executions` tells for each node of `original` how it runs.
    pub(crate) fn new(
        original: &Graph,
        quantized: &Graph,
        ranges: Option<&Ranges>,
        executions: &[Execution],
        mode: String,
    ) -> Self {
        let producers = quantized.producers();
        let mut layers = Vec::new();
        for (node, execution) in original.nodes.iter().zip(executions) {
            let Some(&output) = node.outputs.first() else { continue };
            let moves = matches!(
                node.op,
                Op::Reshape
                    | Op::Transpose { .. }
                    | Op::Slice { .. }
                    | Op::Gather { .. }
                    | Op::GatherElements { .. }
                    | Op::Expand
                    | Op::FakeQuant
            );
            if moves || *execution == Execution::Other {
                continue;
            }
            let Some(after) = producers[output.index()].map(|index| &quantized.nodes[index]) else { continue };
            let constants = |graph: &Graph, node: &Node, bytes: fn(&Value) -> usize| -> usize {
                node.inputs.iter().flatten().map(|&id| graph.value(id)).filter(|v| v.is_constant()).map(bytes).sum()
            };
            let value = quantized.value(output);
            layers.push(LayerReport {
                name: node.name.clone(),
                op: op_name(&node.op),
                value: value.name.clone(),
                shape: value.shape.clone(),
                execution: execution.clone(),
                macs: macs(original, node),
                f32_bytes: constants(original, node, |v| v.elements() * 4),
                bytes: constants(quantized, after, stored_bytes),
                weights: weight_report(original, quantized, node, after),
                activation: activation_report(quantized, output, ranges),
                snr_db: None,
                micros: None,
            });
        }
        let sizes = Sizes {
            f32_bytes: constant_bytes(original, |v| v.elements() * 4),
            bytes: constant_bytes(quantized, stored_bytes),
            ..Sizes::default()
        };
        let samples = ranges.map(|r| r.samples);
        QuantReport {
            model: original.name.clone(),
            mode,
            samples,
            layers,
            sizes,
            regions: Vec::new(),
            sensitivities: Vec::new(),
            frontier: Vec::new(),
            factorized: Vec::new(),
            picture: PictureIo::of(original),
            comparison: None,
        }
    }
}

/// Bytes of each constant that is read, counted once.
fn constant_bytes(graph: &Graph, bytes: fn(&Value) -> usize) -> usize {
    let read: HashSet<ValueId> = graph.nodes.iter().flat_map(|node| node.inputs.iter().flatten().copied()).collect();
    read.into_iter().map(|id| graph.value(id)).filter(|v| v.is_constant()).map(bytes).sum()
}

/// Codes and scales, or elements.
fn stored_bytes(value: &Value) -> usize {
    if let Some(low) = &value.low_bit {
        let branches: usize = value.branches.iter().map(|b| b.down.len() + b.up.len()).sum();
        return low.rows.bytes() + low.rows.n * 4 + branches;
    }
    if value.stored == Some(StoredWeights::F16) {
        return value.elements() * 2;
    }
    match &value.codes {
        Some(codes) => {
            codes.codes.len() * usize::from(codes.bits) / 8 + if codes.bits == 32 { 0 } else { codes.scales.len() * 4 }
        }
        None => value.elements() * 4,
    }
}

fn macs(graph: &Graph, node: &Node) -> u64 {
    let shape = |slot: usize| node.inputs.get(slot).copied().flatten().map(|id| graph.value(id));
    let out = node.outputs.first().map_or(0, |&id| graph.value(id).elements()) as u64;
    let per = |w: &Value, skip: usize| w.shape.get(skip..).unwrap_or_default().iter().product::<usize>() as u64;
    match node.op {
        Op::Conv { .. } | Op::ConvInteger { .. } | Op::Dense { .. } => shape(1).map_or(0, |w| out * per(w, 1)),
        Op::ConvTranspose { .. } => shape(1).zip(shape(0)).map_or(0, |(w, x)| x.elements() as u64 * per(w, 1)),
        Op::MatMul | Op::DynamicMatMul { .. } | Op::MatMulInteger => {
            shape(0).map_or(0, |a| out * a.shape.last().copied().unwrap_or(1) as u64)
        }
        // Rows of the weights are the gates' values of one step.
        Op::Recurrent(_) => shape(0).zip(shape(1)).zip(shape(2)).map_or(0, |((x, w), r)| {
            let frames = x.shape.iter().take(2).product::<usize>() as u64;
            frames * w.shape.first().map_or(0, |&rows| rows as u64) * (per(w, 1) + per(r, 1))
        }),
        _ => 0,
    }
}

fn weight_report(original: &Graph, quantized: &Graph, node: &Node, after: &Node) -> Option<WeightReport> {
    if !matches!(node.op, Op::Conv { .. } | Op::Dense { .. }) {
        return None;
    }
    let (before, after) = (original.value(node.inputs[1]?), quantized.value(after.inputs[1]?));
    let one = vec![1.0];
    let (bits, scales) = match (&after.low_bit, &after.codes) {
        _ if after.stored == Some(StoredWeights::F16) => (16, &one),
        (Some(low), _) => (low.rows.width.bits() as u8, &low.rows.row_scale),
        (None, codes) => codes.as_ref().map(|codes| (codes.bits, &codes.scales))?,
    };
    let channels = after.shape.first().copied().unwrap_or(1);
    let per = (after.elements() / channels.max(1)).max(1);
    Some(WeightReport {
        bits,
        channels,
        scale_min: scales.iter().copied().fold(f32::INFINITY, f32::min),
        scale_max: scales.iter().copied().fold(0.0, f32::max),
        snr_db: snr_db(before.f32s()?, after.f32s()?),
        zero_channels: before.f32s()?.chunks(per).filter(|row| row.iter().all(|&w| w == 0.0)).count(),
    })
}

fn activation_report(quantized: &Graph, output: ValueId, ranges: Option<&Ranges>) -> ActivationReport {
    let value = quantized.value(output);
    let range = ranges.and_then(|r| r.get(&value.name));
    let grid = value.quant.filter(|q| q.bits == 8 || q.is_wide());
    ActivationReport {
        seen: range.map(|r| (r.min, r.max)),
        grid: grid.map(ends),
        scale: value.quant.map(|q| q.scale),
        zero_point: value.quant.map(|q| q.zero_point),
        constant_channels: range.map_or(0, |r| r.constant_channels),
        channels: range.map_or(0, |r| r.channels),
    }
}
