//! Writes a plan into the graph: grids, quantized copies, codes.

use super::bias::corrected_bias;
use super::dynamic_matmul::quantize_matmul;
use super::error::QuantizeError;
use super::grid::wide_grid;
use super::low_bit::{LayerMatrix, formats, roles, round_master};
use super::plan::{Plan, Run, int8_cell};
use super::roles::{Role, data_inputs};
use super::scheme::{ActivationFormat, LowBitFormat, PreparedLayer, QuantScheme, WeightFormat};
use super::weights::{Quantized, least_scale, quantize_bias, quantize_constant, quantize_weights};
use crate::calibrate::Ranges;
use crate::graph::{ActQuant, Constant, Graph, LowBitWeights, MasterWeights, Node, Op, Recurrent, Value, ValueId};
use crate::lowbit::{Clip, LowBitError, nearest};
use crate::passes::edit::put_constant;

/// Applies a static plan to `graph`.
pub(super) fn apply(
    graph: &mut Graph,
    plan: &Plan,
    ranges: &Ranges,
    scheme: &QuantScheme,
) -> Result<(), QuantizeError> {
    let formats = formats(graph, scheme);
    let wide = scheme.activations == ActivationFormat::I16;
    for (index, &format) in formats.iter().enumerate() {
        if plan.runs[index] != Run::Integer {
            continue;
        }
        match graph.nodes[index].op {
            Op::Conv { .. } | Op::Dense { .. } => {
                let x = graph.nodes[index].inputs[0].and_then(|id| graph.value(id).quant.or(plan.grids[id.index()]));
                let Some(grid) = x else { continue };
                quantize_layer(graph, index, Some(grid), format, scheme)?;
            }
            Op::Binary { .. } | Op::Concat { .. } => quantize_operands(graph, index, wide)?,
            Op::Recurrent(_) => quantize_recurrent(graph, index, ranges)?,
            _ => {}
        }
    }
    let copies = copies(graph, plan);
    for (index, grid) in plan.grids.iter().enumerate() {
        if !plan.split[index] && grid.is_some() {
            graph.values[index].quant = *grid;
        }
    }
    insert(graph, plan, &copies);
    Ok(())
}

/// Marks the weights of every layer that can be quantized at run time.
/// Returns how each node runs.
pub(super) fn apply_dynamic(graph: &mut Graph, scheme: &QuantScheme) -> Result<Vec<Run>, QuantizeError> {
    let formats = formats(graph, scheme);
    let mut runs = Vec::with_capacity(graph.nodes.len());
    for (index, role) in roles(graph, scheme).into_iter().enumerate() {
        let format = formats[index];
        let node = &graph.nodes[index];
        let from_file = data_inputs(node).any(|id| graph.value(id).quant.is_some())
            || node.outputs.iter().any(|&id| graph.value(id).quant.is_some());
        runs.push(match role {
            Role::Other => Run::Other,
            _ if from_file => Run::File,
            Role::Layer => {
                quantize_layer(graph, index, None, format, scheme)?;
                Run::Integer
            }
            _ if scheme.int8_matmul && quantize_matmul(graph, index) => Run::Integer,
            Role::Float(reason) => Run::Float(reason),
            _ => Run::Float("without calibration only layers run in integers".into()),
        });
    }
    Ok(runs)
}

pub(super) fn finite(node: &Node, value: &Value) -> Result<Vec<f32>, QuantizeError> {
    let data = value.f32s().unwrap_or_default();
    match data.iter().position(|x| !x.is_finite()) {
        None => Ok(data.to_vec()),
        Some(index) => {
            let (node, value) = (node.name.clone(), value.name.clone());
            Err(QuantizeError::NotFinite { node, value, index })
        }
    }
}

/// Quantizes weights and, with the grid of its input known, bias of a Conv or Dense.
fn quantize_layer(
    graph: &mut Graph,
    index: usize,
    x: Option<ActQuant>,
    format: WeightFormat,
    scheme: &QuantScheme,
) -> Result<(), QuantizeError> {
    let node = &graph.nodes[index];
    let Some(w) = node.inputs.get(1).copied().flatten() else { return Ok(()) };
    let b = node.inputs.get(2).copied().flatten();
    let data = finite(node, graph.value(w))?;
    let bias = b.map(|id| finite(node, graph.value(id))).transpose()?;
    let channels = graph.value(w).shape[0];
    let zero = [0.0];
    // Biases of int16 layers have 64 bits, of which they may take 11 more.
    let step = |grid: ActQuant| if grid.bits == 8 { grid.scale } else { grid.scale * 2048.0 };
    let known = x.map(|grid| (bias.as_deref().unwrap_or(&zero), step(grid)));
    let prepared = scheme.prepared.get(&node.name);
    let matrix = LayerMatrix::of(graph, node);
    let mut scales = Vec::new();
    match (format, matrix) {
        (WeightFormat::Low(format), Some(matrix)) => {
            let format = LowBitFormat { group: if matrix.depthwise { 0 } else { format.group }, ..format };
            let (n, k) = (matrix.n, matrix.k);
            let (rows, master) = if scheme.elastic {
                let (codes, master_scales) = master(&data, channels, known, &matrix);
                let made = round_master(&codes, &master_scales, (n, k), format);
                let (rows, ratios) = made.map_err(|error| low_bit_error(node, error))?;
                (rows, Some(MasterWeights { codes, ratios }))
            } else {
                let rows = prepared.and_then(|p| p.rows.clone());
                let rows = rows.map_or_else(
                    || nearest(&matrix.rows(&data), (n, k), format.width, format.group, Clip::Search, &[]),
                    Ok,
                );
                let mut rows = rows.map_err(|error| low_bit_error(node, error))?;
                // As for int8 weights: next to a large bias coarser ones change no output code.
                if let Some((bias, s_x)) = known {
                    (0..n).for_each(|row| rows.coarsen(row, least_scale(bias[row.min(bias.len() - 1)], s_x)));
                }
                (rows, None)
            };
            scales.clone_from(&rows.row_scale);
            let data = matrix.graph_order(&rows.dequantize());
            let mut value = graph.value(w).clone();
            value.data = Some(Constant::F32(data));
            value.low_bit = Some(LowBitWeights { rows, dynamic: x.is_none(), a4: scheme.activations_a4 });
            value.master = master;
            put_constant(graph, index, 1, value);
        }
        _ => {
            let mut weights = quantize_weights(&data, channels, known);
            weights.codes.dynamic = x.is_none();
            scales.clone_from(&weights.codes.scales);
            replace(graph, index, 1, weights, None);
            if let (true, Some(matrix), Some(w)) = (scheme.elastic, matrix, graph.nodes[index].inputs[1]) {
                let codes = master(&data, channels, known, &matrix).0;
                graph.value_mut(w).master = Some(MasterWeights { codes, ratios: Vec::new() });
            }
        }
    }
    if let Some(prepared) = prepared.filter(|p| !p.branches.is_empty()) {
        add_branches(graph, index, prepared);
    }
    let corrected = prepared.and_then(|p| p.means.as_ref()).filter(|_| !scheme.elastic).and_then(|means| {
        let back = graph.value(graph.nodes[index].inputs[1]?).f32s()?;
        corrected_bias(&matrix?, (&data, back), bias.as_deref(), means)
    });
    if let Some(bias) = &corrected {
        put_bias(graph, index, bias);
    }
    if let (Some(bias), Some(grid)) = (corrected.or(bias), x.filter(|grid| grid.bits == 8)) {
        replace(graph, index, 2, quantize_bias(&bias, grid.scale, &scales), None);
    }
    Ok(())
}

/// Quantizes both matrices of a recurrent layer, one scale a row; biases stay real numbers.
fn quantize_recurrent(graph: &mut Graph, index: usize, ranges: &Ranges) -> Result<(), QuantizeError> {
    let node = graph.nodes[index].clone();
    let Op::Recurrent(layer) = &node.op else { return Ok(()) };
    let cell = int8_cell(graph, ranges, &node, layer);
    for slot in [Recurrent::BIAS, Recurrent::RECURRENT_BIAS] {
        if let Some(id) = node.inputs.get(slot).copied().flatten() {
            finite(&node, graph.value(id))?;
        }
    }
    for slot in [Recurrent::WEIGHTS, Recurrent::RECURRENT] {
        let Some(id) = node.inputs.get(slot).copied().flatten() else { continue };
        let data = finite(&node, graph.value(id))?;
        let rows = graph.value(id).shape[0];
        let mut quantized = quantize_weights(&data, rows, None);
        quantized.codes.dynamic = false;
        replace(graph, index, slot, quantized, None);
    }
    if let Op::Recurrent(layer) = &mut graph.nodes[index].op {
        layer.int8 = Some(cell);
    }
    Ok(())
}

/// Gives the f32 constants among the operands of a node grids of their own.
fn quantize_operands(graph: &mut Graph, index: usize, wide: bool) -> Result<(), QuantizeError> {
    for slot in 0..graph.nodes[index].inputs.len() {
        let node = &graph.nodes[index];
        let Some(value) = node.inputs[slot].map(|id| graph.value(id)) else { continue };
        if value.f32s().is_none() || value.codes.is_some() || value.quant.is_some() {
            continue;
        }
        let data = finite(node, value)?;
        if wide {
            let most = data.iter().fold(0.0, |most: f32, x| most.max(x.abs()));
            let value = Value { quant: Some(wide_grid(-most, most)), ..value.clone() };
            put_constant(graph, index, slot, value);
            continue;
        }
        let (quantized, grid) = quantize_constant(&data);
        replace(graph, index, slot, quantized, Some(grid));
    }
    Ok(())
}

/// Puts quantized data into an operand; a constant with other readers is copied.
pub(super) fn replace(graph: &mut Graph, node: usize, slot: usize, quantized: Quantized, quant: Option<ActQuant>) {
    let Some(id) = graph.nodes[node].inputs[slot] else { return };
    let mut value = graph.value(id).clone();
    // A bias given once for all channels is spread: each has its own scale.
    if value.elements() != quantized.data.len() {
        value.shape = vec![quantized.data.len()];
    }
    value.data = Some(Constant::F32(quantized.data));
    value.codes = Some(quantized.codes);
    value.quant = quant;
    put_constant(graph, node, slot, value);
}

/// Gives a layer this bias, in f32.
fn put_bias(graph: &mut Graph, index: usize, bias: &[f32]) {
    let name = format!("{}/bias", graph.nodes[index].name);
    let value = Value::constant(name, vec![bias.len()], Constant::F32(bias.to_vec()));
    match graph.nodes[index].inputs.get(2).copied().flatten() {
        Some(old) => put_constant(graph, index, 2, Value { name: graph.value(old).name.clone(), ..value }),
        None => {
            let id = graph.add_value(value);
            graph.nodes[index].inputs.resize(2, None);
            graph.nodes[index].inputs.push(Some(id));
        }
    }
}

fn low_bit_error(node: &Node, error: LowBitError) -> QuantizeError {
    QuantizeError::LowBit { node: node.name.clone(), error }
}

/// The int8 weights of an elastic artifact, rows `[n, k]` with a scale each.
fn master(data: &[f32], channels: usize, bias: Option<(&[f32], f32)>, matrix: &LayerMatrix) -> (Vec<i8>, Vec<f32>) {
    let codes = quantize_weights(data, channels, bias).codes;
    let signed: Vec<i8> = codes.codes.iter().map(|&code| code as i8).collect();
    (matrix.rows(&signed), codes.scales)
}

/// Gives a layer's weights their low-rank branches.
fn add_branches(graph: &mut Graph, index: usize, prepared: &PreparedLayer) {
    let Some(w) = graph.nodes[index].inputs.get(1).copied().flatten() else { return };
    let matrix = LayerMatrix::of(graph, &graph.nodes[index]);
    let value = graph.value_mut(w);
    value.branches.clone_from(&prepared.branches);
    if let (Some(matrix), Some(Constant::F32(data))) = (matrix, &mut value.data) {
        let more = matrix.graph_order(&prepared.branch_data);
        data.iter_mut().zip(more).for_each(|(w, more)| *w += more);
    }
}

/// Quantized copies of the values whose f32 form stays: `(value, copy)`.
fn copies(graph: &mut Graph, plan: &Plan) -> Vec<(ValueId, ValueId)> {
    let mut copies = Vec::new();
    for index in 0..plan.split.len() {
        if plan.split[index] {
            let source = &graph.values[index];
            let mut copy = Value::new(format!("{}/quantized", source.name), source.dtype, source.shape.clone());
            (copy.perm, copy.quant) = (source.perm.clone(), plan.grids[index]);
            copies.push((ValueId(index as u32), graph.add_value(copy)));
        }
    }
    copies
}

/// Lets integer nodes read the copies and inserts the nodes that make them.
fn insert(graph: &mut Graph, plan: &Plan, copies: &[(ValueId, ValueId)]) {
    let quantize = |graph: &Graph, &(value, copy): &(ValueId, ValueId)| Node {
        name: format!("{}/quantize", graph.value(value).name),
        op: Op::FakeQuant,
        inputs: vec![Some(value)],
        outputs: vec![copy],
    };
    let mut nodes: Vec<Node> =
        copies.iter().filter(|(value, _)| graph.inputs.contains(value)).map(|pair| quantize(graph, pair)).collect();
    for (mut node, run) in std::mem::take(&mut graph.nodes).into_iter().zip(&plan.runs) {
        if *run == Run::Integer {
            let data: Vec<ValueId> = data_inputs(&node).collect();
            for input in node.inputs.iter_mut().flatten().filter(|id| data.contains(id)) {
                if let Some((_, copy)) = copies.iter().find(|(value, _)| value == input) {
                    *input = *copy;
                }
            }
        }
        let made: Vec<Node> =
            copies.iter().filter(|(value, _)| node.outputs.contains(value)).map(|pair| quantize(graph, pair)).collect();
        nodes.push(node);
        nodes.extend(made);
    }
    graph.nodes = nodes;
}
