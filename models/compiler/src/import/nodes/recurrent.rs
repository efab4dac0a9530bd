//! LSTM, GRU and RNN: one layer a direction, steps first.
use tract_onnx::pb::NodeProto;

use super::builder::Builder;
use crate::graph::{Activation, Binary, CellKind, Constant, DType, LiveWeights, Op, Recurrent, ValueId};
use crate::import::attrs;
use crate::import::error::{NodeResult, bad, refuse};
use crate::import::twin::Fact;

/// Sizes of the operator.
struct Layer {
    cell: CellKind,
    directions: usize,
    first_reverse: bool,
    batch_first: bool,
    steps: usize,
    batch: usize,
    input: usize,
    hidden: usize,
}

fn layer(b: &mut Builder, node: &NodeProto) -> NodeResult<Layer> {
    let cell = match node.op_type.as_str() {
        "LSTM" => CellKind::Lstm,
        "GRU" => CellKind::Gru,
        _ => CellKind::Rnn,
    };
    let (directions, first_reverse) = match attrs::string(node, "direction", "forward")?.as_str() {
        "forward" => (1, false),
        "reverse" => (1, true),
        "bidirectional" => (2, false),
        other => return bad(format!("direction is `{other}`")),
    };
    let batch_first = attrs::flag(node, "layout", false)?;
    let (x, w, r) = (b.required(node, 0)?, b.required(node, 1)?, b.required(node, 2)?);
    let &[first, second, input] = b.shape(x).as_slice() else {
        return bad(format!("its input has shape {:?}, expected 3 axes", b.shape(x)));
    };
    let (steps, batch) = if batch_first { (second, first) } else { (first, second) };
    let Some(&hidden) = b.shape(r).get(2) else { return bad("its recurrent weights have not 3 axes") };
    let rows = cell.gates().saturating_mul(hidden);
    let expected = [vec![directions, rows, input], vec![directions, rows, hidden]];
    let found = [b.shape(w), b.shape(r)];
    if found != expected || hidden == 0 || input == 0 {
        return bad(format!("weights of shapes {found:?}, expected {expected:?}"));
    }
    let stated = attrs::int(node, "hidden_size", hidden as i64)?;
    if stated != hidden as i64 {
        return bad(format!("hidden_size is {stated}, the weights have {hidden}"));
    }
    Ok(Layer { cell, directions, first_reverse, batch_first, steps, batch, input, hidden })
}

impl Layer {
    /// Shapes of the ONNX outputs.
    fn outputs(&self) -> [Vec<usize>; 3] {
        let (d, s, b, h) = (self.directions, self.steps, self.batch, self.hidden);
        let state = if self.batch_first { vec![b, d, h] } else { vec![d, b, h] };
        [if self.batch_first { vec![b, s, d, h] } else { vec![s, d, b, h] }, state.clone(), state]
    }
}

/// Types and shapes of the outputs that are named.
pub(super) fn facts(b: &mut Builder, node: &NodeProto) -> NodeResult<Vec<Fact>> {
    let fact = |shape| Fact { dtype: DType::F32, shape };
    Ok(layer(b, node)?.outputs().into_iter().map(fact).collect())
}

pub(super) fn recurrent(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let layer = layer(b, node)?;
    let (outputs, states) = (layer.outputs(), if layer.cell == CellKind::Lstm { 2 } else { 1 });
    if node.output.len() > 1 + states {
        return bad(format!("it has {} outputs", node.output.len()));
    }
    for (i, shape) in outputs.iter().enumerate() {
        if has_output(node, i) {
            let id = b.output(node, i)?;
            if b.shape(id) != *shape {
                return bad(format!("output {i} has shape {:?}, expected {shape:?}", b.shape(id)));
            }
        }
    }
    let mut x = b.required(node, 0)?;
    if layer.batch_first {
        x = b.transpose(node, x, vec![1, 0, 2])?;
    }
    let lengths = b.input(node, 4)?;
    if let Some(id) = lengths {
        let value = b.value(id);
        if value.dtype != DType::I32 || value.shape != [layer.batch] {
            return bad(format!("sequence_lens has type {:?} and shape {:?}", value.dtype, value.shape));
        }
    }
    let activations = activations(node, layer.cell, layer.directions)?;
    let clip = attrs::float(node, "clip", 0.0)?;
    if clip < 0.0 || clip.is_nan() {
        return bad(format!("clip is {clip}"));
    }
    let mut made: Vec<Vec<ValueId>> = Vec::new();
    for (direction, &activations) in activations.iter().enumerate() {
        let op = Recurrent {
            cell: layer.cell,
            hidden: layer.hidden,
            reverse: layer.first_reverse || direction == 1,
            activations,
            clip: (clip > 0.0).then_some(clip),
            input_forget: attrs::flag(node, "input_forget", false)?,
            linear_before_reset: attrs::flag(node, "linear_before_reset", false)?,
            sequence: has_output(node, 0),
            int8: None,
            live: None,
        };
        made.push(one_direction(b, node, &layer, direction, op, (x, lengths))?);
    }
    join(b, node, &layer, made)
}

fn has_output(node: &NodeProto, i: usize) -> bool {
    node.output.get(i).is_some_and(|name| !name.is_empty())
}

/// The layer of one direction; its outputs.
fn one_direction(
    b: &mut Builder,
    node: &NodeProto,
    layer: &Layer,
    direction: usize,
    mut op: Recurrent,
    (x, lengths): (ValueId, Option<ValueId>),
) -> NodeResult<Vec<ValueId>> {
    let (hidden, rows) = (layer.hidden, layer.cell.gates() * layer.hidden);
    let w = part(b, node, 1, direction, vec![rows, layer.input])?;
    let r = part(b, node, 2, direction, vec![rows, hidden])?;
    let (bias, recurrent_bias) = biases(b, node, layer, direction, op.linear_before_reset)?;
    let lstm = layer.cell == CellKind::Lstm;
    let peepholes = match lstm && b.input(node, 7)?.is_some() {
        true => Some(part(b, node, 7, direction, vec![3 * hidden])?),
        false => None,
    };
    let h = state(b, node, 5, layer, direction)?;
    let c = if lstm { state(b, node, 6, layer, direction)? } else { None };
    let weights = [Some(w), Some(r), bias, recurrent_bias, peepholes];
    let mut inputs = vec![Some(x)];
    if weights.iter().flatten().all(|&id| b.value(id).is_constant()) {
        inputs.extend(weights);
    } else {
        op.live = Some(LiveWeights { recurrent_bias: recurrent_bias.is_some(), peepholes: peepholes.is_some() });
        let zeros = |b: &mut Builder| b.constant("bias", vec![rows], Constant::F32(vec![0.0; rows]));
        let bias = bias.unwrap_or_else(|| zeros(b));
        let mut flat = Vec::new();
        for id in [Some(w), Some(r), Some(bias), recurrent_bias, peepholes].into_iter().flatten() {
            let n = b.value(id).elements();
            flat.push(b.reshape(node, id, vec![n])?);
        }
        inputs.extend([Some(concat(b, node, 0, &flat)?), None, None, None, None]);
    }
    inputs.extend([h, c, lengths]);
    let base = node.output.iter().find(|o| !o.is_empty()).cloned().unwrap_or_default();
    let mut outputs = Vec::new();
    if op.sequence {
        outputs.push(b.temp(&base, DType::F32, vec![layer.steps, layer.batch, hidden])?);
    }
    for _ in 0..if lstm { 2 } else { 1 } {
        outputs.push(b.temp(&base, DType::F32, vec![layer.batch, hidden])?);
    }
    b.emit_to(node, Op::Recurrent(op), inputs, outputs.clone())?;
    Ok(outputs)
}

/// Row `direction` of input `i` along its first axis, in another shape.
fn part(b: &mut Builder, node: &NodeProto, i: usize, direction: usize, shape: Vec<usize>) -> NodeResult<ValueId> {
    let id = b.required(node, i)?;
    let from = b.shape(id);
    let elements: usize = shape.iter().product();
    let directions = from.first().copied().unwrap_or(0);
    if from.len() < 2
        || b.value(id).dtype != DType::F32
        || elements.checked_mul(directions) != Some(b.value(id).elements())
    {
        return bad(format!("input {i} has type {:?} and shape {from:?}", b.value(id).dtype));
    }
    let mut row = id;
    if directions > 1 {
        row = slice(b, node, id, 0, direction, 1)?;
    }
    b.reshape(node, row, shape)
}

/// `count` entries of an axis from `first` on.
fn slice(
    b: &mut Builder,
    node: &NodeProto,
    id: ValueId,
    axis: usize,
    first: usize,
    count: usize,
) -> NodeResult<ValueId> {
    let mut shape = b.shape(id);
    let mut start = vec![0; shape.len()];
    let step = vec![1; shape.len()];
    (start[axis], shape[axis]) = (first, count);
    let out = b.like(id, shape)?;
    b.emit(node, Op::Slice { start, step }, vec![Some(id)], out)?;
    Ok(out)
}

fn concat(b: &mut Builder, node: &NodeProto, axis: usize, parts: &[ValueId]) -> NodeResult<ValueId> {
    if let &[one] = parts {
        return Ok(one);
    }
    let mut shape = b.shape(parts[0]);
    shape[axis] = parts.iter().map(|&id| b.value(id).shape[axis]).sum();
    let out = b.like(parts[0], shape)?;
    b.emit(node, Op::Concat { axis }, parts.iter().map(|&id| Some(id)).collect(), out)?;
    Ok(out)
}

/// Both biases added, and the recurrent one of the candidate where the reset gate comes after it.
fn biases(
    b: &mut Builder,
    node: &NodeProto,
    layer: &Layer,
    direction: usize,
    linear: bool,
) -> NodeResult<(Option<ValueId>, Option<ValueId>)> {
    if b.input(node, 3)?.is_none() {
        return Ok((None, None));
    }
    let (hidden, rows) = (layer.hidden, layer.cell.gates() * layer.hidden);
    let both = part(b, node, 3, direction, vec![2 * rows])?;
    let added = if layer.cell == CellKind::Gru && linear { rows - hidden } else { rows };
    let (of_x, of_h) = (slice(b, node, both, 0, 0, added)?, slice(b, node, both, 0, rows, added)?);
    let sum = b.like(of_x, vec![added])?;
    b.emit(node, Op::Binary { kind: Binary::Add, clamp: None }, vec![Some(of_x), Some(of_h)], sum)?;
    if added == rows {
        return Ok((Some(sum), None));
    }
    let candidate = slice(b, node, both, 0, added, hidden)?;
    let bias = concat(b, node, 0, &[sum, candidate])?;
    Ok((Some(bias), Some(slice(b, node, both, 0, rows + added, hidden)?)))
}

/// A state before the first step, `[batch, hidden]`.
fn state(b: &mut Builder, node: &NodeProto, i: usize, layer: &Layer, direction: usize) -> NodeResult<Option<ValueId>> {
    let Some(id) = b.input(node, i)? else { return Ok(None) };
    let shape = b.shape(id);
    let expected = &layer.outputs()[1];
    if shape != *expected || b.value(id).dtype != DType::F32 {
        return bad(format!("input {i} has shape {shape:?}, expected {expected:?}"));
    }
    let axis = usize::from(layer.batch_first);
    let row = if layer.directions > 1 { slice(b, node, id, axis, direction, 1)? } else { id };
    b.reshape(node, row, vec![layer.batch, layer.hidden]).map(Some)
}

/// Brings the directions' results into ONNX's outputs.
fn join(b: &mut Builder, node: &NodeProto, layer: &Layer, made: Vec<Vec<ValueId>>) -> NodeResult<()> {
    let first_state = usize::from(has_output(node, 0));
    for (i, shape) in layer.outputs().into_iter().enumerate() {
        if !has_output(node, i) {
            continue;
        }
        let y = b.output(node, i)?;
        let of = |outputs: &Vec<ValueId>| outputs[if i == 0 { 0 } else { first_state + i - 1 }];
        let (s, n, h) = (layer.steps, layer.batch, layer.hidden);
        let (axis, each) = if i == 0 { (1, vec![s, 1, n, h]) } else { (0, vec![1, n, h]) };
        if layer.directions == 1 {
            let mut id = of(&made[0]);
            if i == 0 && layer.batch_first {
                id = b.transpose(node, id, vec![1, 0, 2])?;
            }
            b.emit(node, Op::Reshape, vec![Some(id)], y)?;
            continue;
        }
        let mut parts = Vec::new();
        for outputs in &made {
            parts.push(b.reshape(node, of(outputs), each.clone())?);
        }
        if !layer.batch_first {
            b.emit(node, Op::Concat { axis }, parts.into_iter().map(Some).collect(), y)?;
            continue;
        }
        let joined = concat(b, node, axis, &parts)?;
        let perm = if i == 0 { vec![2, 0, 1, 3] } else { vec![1, 0, 2] };
        debug_assert_eq!(perm.iter().map(|&p| b.value(joined).shape[p]).collect::<Vec<_>>(), shape);
        b.emit(node, Op::Transpose { perm }, vec![Some(joined)], y)?;
    }
    Ok(())
}

/// f, g, h of every direction.
fn activations(node: &NodeProto, cell: CellKind, directions: usize) -> NodeResult<Vec<[Activation; 3]>> {
    use Activation as A;
    let (count, default) = match cell {
        CellKind::Lstm => (3, [A::Sigmoid, A::Tanh, A::Tanh]),
        CellKind::Gru => (2, [A::Sigmoid, A::Tanh, A::Tanh]),
        CellKind::Rnn => (1, [A::Tanh; 3]),
    };
    let Some(names) = attrs::strings(node, "activations")?.filter(|names| !names.is_empty()) else {
        return Ok(vec![default; directions]);
    };
    if names.len() != count * directions {
        return bad(format!("{} activations, expected {}", names.len(), count * directions));
    }
    let list = |name| NodeResult::Ok(attrs::floats(node, name)?.unwrap_or(&[]).iter().copied());
    let (mut alphas, mut betas) = (list("activation_alpha")?, list("activation_beta")?);
    let mut all = Vec::new();
    for name in names {
        // Constants are consumed in order by the functions that have them.
        let mut alpha = |default: f32| alphas.next().unwrap_or(default);
        let mut beta = |default: f32| betas.next().unwrap_or(default);
        all.push(match name.to_ascii_lowercase().as_str() {
            "relu" => A::Relu,
            "tanh" => A::Tanh,
            "sigmoid" => A::Sigmoid,
            "softsign" => A::Softsign,
            "softplus" => A::Softplus,
            "affine" => A::Affine { alpha: alpha(1.0), beta: beta(0.0) },
            "leakyrelu" => A::LeakyRelu { alpha: alpha(0.01) },
            "thresholdedrelu" => A::ThresholdedRelu { alpha: alpha(1.0) },
            "scaledtanh" => A::ScaledTanh { alpha: alpha(1.0), beta: beta(1.0) },
            "hardsigmoid" => A::HardSigmoid { alpha: alpha(0.2), beta: beta(0.5) },
            "elu" => A::Elu { alpha: alpha(1.0) },
            _ => return refuse(format!("the activation `{name}`"), "use one of the activations that ONNX names"),
        });
    }
    let mut out = vec![default; directions];
    for (to, from) in out.iter_mut().zip(all.chunks(count)) {
        to[..count].copy_from_slice(from);
    }
    Ok(out)
}
