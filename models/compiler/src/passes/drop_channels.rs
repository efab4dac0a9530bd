//! Takes channels out of values, weights and biases.
use super::dead_channels::{Constants, Needed};
use super::edit::{add_constant, input};
use super::integer::IntegerLayer;
use crate::graph::{Constant, Graph, LowBitWeights, LowRankBranch, Op, QuantCodes, Value};

/// Multiply-accumulates of all Conv and Dense nodes.
pub(crate) fn macs(graph: &Graph) -> u64 {
    let cost = |index: usize| {
        let node = &graph.nodes[index];
        let (Op::Conv { .. } | Op::Dense { .. }) = node.op else { return Some(0) };
        let per_output: usize = graph.value(input(graph, index, 1)?).shape[1..].iter().product();
        Some((graph.value(node.outputs[0]).elements() * per_output) as u64)
    };
    (0..graph.nodes.len()).filter_map(cost).sum()
}

/// Keeps only the `needed` channels; dropped constants go into the biases.
/// Appends name, output and input channels dropped of each layer concerned.
pub(crate) fn drop_channels<'a>(
    graph: &mut Graph,
    layers: impl Iterator<Item = (usize, &'a IntegerLayer)>,
    constants: &Constants,
    needed: &Needed,
    report: &mut Vec<(String, usize, usize)>,
) {
    for (index, layer) in layers {
        let (ins, outs) = (&needed[layer.x.index()], &needed[layer.y.index()]);
        let dropped = |needed: &[bool]| needed.iter().filter(|&&needed| !needed).count();
        if dropped(ins) + dropped(outs) > 0 {
            report.push((graph.nodes[index].name.clone(), dropped(outs), dropped(ins)));
            shrink_layer(graph, index, layer, &constants[layer.x.index()], ins, outs);
        }
    }
    for (value, needed) in graph.values.iter_mut().zip(needed).filter(|(value, _)| !value.is_constant()) {
        if needed.iter().all(|&needed| needed) {
            continue;
        }
        let kept: Vec<usize> = (0..needed.len()).filter(|&c| needed[c]).collect();
        if let Some(last) = value.shape.last_mut() {
            *last = kept.len();
        }
        value.channels = Some(match value.channels.take() {
            Some(before) => kept.into_iter().map(|c| before[c]).collect(),
            None => kept,
        });
    }
}

fn shrink_layer(
    graph: &mut Graph,
    index: usize,
    layer: &IntegerLayer,
    constants: &[Option<i32>],
    ins: &[bool],
    outs: &[bool],
) {
    let depthwise = layer.is_depthwise();
    let kept_outs: Vec<usize> = (0..layer.outs).filter(|&o| outs[o]).collect();
    let kept_ins: Vec<usize> = (0..layer.ins).filter(|&k| depthwise || ins[k]).collect();
    let bias = shrink_bias(graph, index, layer, constants, ins, &kept_outs);
    let old = graph.value(layer.weights);
    let name = old.name.clone();
    let mut shape = old.shape.clone();
    (shape[0], shape[1]) = (kept_outs.len(), kept_ins.len());
    let cells: Vec<usize> = kept_outs
        .iter()
        .flat_map(|&o| kept_ins.iter().map(move |&k| (o * layer.ins + k) * layer.cells))
        .flat_map(|start| start..start + layer.cells)
        .collect();
    let weights = Value {
        shape,
        data: old.f32s().map(|data| Constant::F32(pick(data, &cells))),
        codes: old
            .codes
            .as_ref()
            .map(|codes| QuantCodes { codes: pick(&codes.codes, &cells), ..scales(codes, &kept_outs) }),
        low_bit: old.low_bit.as_ref().map(|low| keep_low_bit(low, layer, &kept_outs, &kept_ins)),
        ..old.clone()
    };
    let weights = add_constant(graph, &format!("{name}.live"), weights);
    graph.nodes[index].inputs[1] = Some(weights);
    if let Some(bias) = bias {
        let name = format!("{}.live", bias.name);
        let bias = add_constant(graph, &name, bias);
        graph.nodes[index].inputs.resize(3, None);
        graph.nodes[index].inputs[2] = Some(bias);
    }
    if let (Op::Conv { groups, .. }, true) = (&mut graph.nodes[index].op, depthwise) {
        *groups = kept_outs.len();
    }
}

/// Low-bit weights of the kept channels; their k runs over (window cell, input channel).
fn keep_low_bit(low: &LowBitWeights, layer: &IntegerLayer, outs: &[usize], ins: &[usize]) -> LowBitWeights {
    let mut rows = low.rows.keep(outs);
    if ins.len() < layer.ins {
        let columns: Vec<usize> =
            (0..layer.cells).flat_map(|cell| ins.iter().map(move |&k| cell * layer.ins + k)).collect();
        rows.codes = rows.codes.chunks(rows.k).flat_map(|row| pick(row, &columns)).collect();
        rows.k = columns.len();
    }
    LowBitWeights { rows, ..*low }
}

/// The rows of a layer's weights or bias that belong to the output channels `kept`.
pub(crate) fn keep_outputs(value: &Value, kept: &[usize]) -> Value {
    if value.elements() == 1 {
        // One value for all channels.
        return value.clone();
    }
    let mut shape = value.shape.clone();
    let per: usize = shape.iter().skip(1).product();
    if let Some(outs) = shape.first_mut() {
        *outs = kept.len();
    }
    let cells: Vec<usize> = kept.iter().flat_map(|&o| o * per..(o + 1) * per).collect();
    Value {
        shape,
        data: value.f32s().map(|data| Constant::F32(pick(data, &cells))),
        codes: value
            .codes
            .as_ref()
            .map(|codes| QuantCodes { codes: pick(&codes.codes, &cells), ..scales(codes, kept) }),
        low_bit: value.low_bit.as_ref().map(|low| LowBitWeights { rows: low.rows.keep(kept), ..*low }),
        branches: value.branches.iter().map(|branch| keep_branch(branch, kept)).collect(),
        ..value.clone()
    }
}

fn keep_branch(branch: &LowRankBranch, kept: &[usize]) -> LowRankBranch {
    let up = kept.iter().flat_map(|&row| branch.up[row * branch.rank..][..branch.rank].iter().copied()).collect();
    LowRankBranch { up, ..branch.clone() }
}

fn pick<T: Copy>(items: &[T], kept: &[usize]) -> Vec<T> {
    kept.iter().map(|&index| items[index]).collect()
}

/// `codes` with the scales of the kept output channels; the codes stay.
fn scales(codes: &QuantCodes, kept: &[usize]) -> QuantCodes {
    let mut codes = codes.clone();
    if codes.scales.len() > 1 {
        codes.scales = pick(&codes.scales, kept);
        codes.zeros = pick(&codes.zeros, kept);
    }
    codes
}

/// The kept outputs' bias with the dropped constants folded in; `None` if
/// there is none and none is needed.
fn shrink_bias(
    graph: &Graph,
    index: usize,
    layer: &IntegerLayer,
    constants: &[Option<i32>],
    ins: &[bool],
    kept: &[usize],
) -> Option<Value> {
    let folded = |o: usize| {
        let column = |k: usize| {
            let channel = layer.input_channel(o, k);
            let q = constants[channel].filter(|_| !ins[channel])?;
            Some((i64::from(q) - layer.x_zero) * layer.sums[o * layer.ins + k])
        };
        (0..layer.ins).filter_map(column).sum::<i64>()
    };
    let old = input(graph, index, 2).map(|id| graph.value(id));
    if kept.iter().all(|&o| folded(o) == 0) {
        let old = old?;
        return Some(Value {
            shape: vec![kept.len()],
            data: old.f32s().map(|data| Constant::F32(pick(data, kept))),
            codes: old
                .codes
                .as_ref()
                .map(|codes| QuantCodes { codes: pick(&codes.codes, kept), ..scales(codes, kept) }),
            ..old.clone()
        });
    }
    let codes: Vec<i32> = kept.iter().map(|&o| (layer.bias[o] + folded(o)) as i32).collect();
    let real = codes.iter().zip(kept).map(|(&q, &o)| (f64::from(q) * layer.acc_scale[o]) as f32).collect();
    let name = old.map_or_else(|| format!("{}.bias", graph.nodes[index].name), |old| old.name.clone());
    let mut value = Value::constant(name, vec![kept.len()], Constant::F32(real));
    value.codes = Some(QuantCodes {
        bits: 32,
        signed: true,
        axis: 0,
        block: 0,
        scales: kept.iter().map(|&o| layer.acc_scale[o] as f32).collect(),
        zeros: vec![0; kept.len()],
        codes,
        dynamic: false,
    });
    Some(value)
}
