//! Folds constant per-channel arithmetic behind linear operators into their
//! weights and biases.
use super::edit::{add_constant, fresh_name, input, only_reader, producer};
use super::permute::{aligned, reshape_value};
use crate::graph::{Binary, Clamp, Constant, Graph, Layout, Node, Op, Value, ValueId};

/// BatchNorm and constant per-channel Mul, Div, Add, Sub directly behind
/// Conv, ConvTranspose or Dense become part of the weights, computed in f64
/// and rounded to f32 once. Weights with integer codes stay as they are, but
/// a constant sum becomes their bias. Other BatchNorms become Mul and Add.
/// Nothing folds across a value with a grid. Returns the nodes removed or replaced.
pub fn fold_batch_norm(graph: &mut Graph) -> usize {
    let mut folded = 0;
    let mut index = 0;
    while index < graph.nodes.len() {
        let done = match graph.nodes[index].op {
            Op::BatchNorm { .. } => fold(graph, index).or_else(|| spell_out(graph, index)),
            Op::Binary { .. } => fold(graph, index).or_else(|| fold_bias(graph, index)),
            _ => None,
        };
        match done {
            Some(()) => {
                folded += 1;
                index = index.saturating_sub(1);
            }
            None => index += 1,
        }
    }
    folded
}

/// y = scale · x + shift per channel, of what input, and clamped how.
pub(super) struct Affine {
    pub x: ValueId,
    pub scale: Vec<f64>,
    pub shift: Vec<f64>,
    pub clamp: Option<Clamp>,
}

/// scale and shift of BatchNorm node `index`.
fn batch_norm(graph: &Graph, index: usize, epsilon: f32) -> Option<Affine> {
    let parameter = |slot| graph.value(input(graph, index, slot)?).f32s();
    let (gamma, beta, mean, variance) = (parameter(1)?, parameter(2)?, parameter(3)?, parameter(4)?);
    let scale: Vec<f64> =
        gamma.iter().zip(variance).map(|(&g, &v)| f64::from(g) / (f64::from(v) + f64::from(epsilon)).sqrt()).collect();
    let shift = (0..scale.len()).map(|c| f64::from(beta[c]) - f64::from(mean[c]) * scale[c]).collect();
    Some(Affine { x: input(graph, index, 0)?, scale, shift, clamp: None })
}

/// The node as an affine map over `channels` on `axis` of its output.
pub(super) fn affine(graph: &Graph, index: usize, axis: usize, channels: usize) -> Option<Affine> {
    let (kind, clamp) = match graph.nodes[index].op {
        Op::BatchNorm { epsilon } if axis == 1 => return batch_norm(graph, index, epsilon),
        Op::Binary { kind, clamp } => (kind, clamp),
        _ => return None,
    };
    let (a, b) = (input(graph, index, 0)?, input(graph, index, 1)?);
    let (x, constant) = match (kind, graph.value(a).is_constant()) {
        (Binary::Add | Binary::Mul, true) => (b, a),
        (_, true) => return None,
        _ => (a, b),
    };
    let out = graph.value(graph.nodes[index].outputs[0]);
    if graph.value(x).shape != out.shape {
        return None;
    }
    let c = per_channel(graph.value(constant), out.shape.len(), axis, channels)?;
    let (ones, zeros) = (vec![1.0; channels], vec![0.0; channels]);
    let (scale, shift) = match kind {
        Binary::Add => (ones, c),
        Binary::Sub => (ones, c.iter().map(|c| -c).collect()),
        Binary::Mul => (c, zeros),
        Binary::Div => (c.iter().map(|c| 1.0 / c).collect(), zeros),
        _ => return None,
    };
    scale.iter().chain(&shift).all(|x| x.is_finite()).then_some(Affine { x, scale, shift, clamp })
}

/// A constant that varies along `axis` only, one number per channel.
fn per_channel(value: &Value, rank: usize, axis: usize, channels: usize) -> Option<Vec<f64>> {
    let data = value.f32s()?;
    let shape = aligned(&value.shape, rank);
    if shape.len() != rank || shape.iter().enumerate().any(|(a, &n)| n != 1 && a != axis) {
        return None;
    }
    match data.len() {
        1 => Some(vec![f64::from(data[0]); channels]),
        n if n == channels => Some(data.iter().map(|&x| f64::from(x)).collect()),
        _ => None,
    }
}

/// Channel axis of the output of a linear node that nothing is fused to yet.
fn channel_axis(op: &Op, rank: usize) -> Option<usize> {
    match op {
        Op::Conv { layout: Layout::Nchw, clamp: None, .. } | Op::ConvTranspose { layout: Layout::Nchw, .. } => Some(1),
        Op::Conv { layout: Layout::Nhwc, clamp: None, .. } | Op::ConvTranspose { layout: Layout::Nhwc, .. } => Some(3),
        Op::Dense { clamp: None } => Some(rank - 1),
        _ => None,
    }
}

/// The linear node behind which node `index` stands alone, with its affine map.
fn linear_before(graph: &Graph, index: usize) -> Option<(usize, Affine)> {
    let reads = graph.nodes[index].inputs.iter().flatten().find(|&&id| !graph.value(id).is_constant())?;
    let linear = producer(graph, *reads)?;
    let between = graph.value(*reads);
    let axis = channel_axis(&graph.nodes[linear].op, between.shape.len())?;
    if between.quant.is_some() || only_reader(graph, *reads) != Some(index) {
        return None;
    }
    let affine = affine(graph, index, axis, between.shape[axis])?;
    (affine.x == *reads).then_some((linear, affine))
}

/// The bias of `linear`, or zeros; `None` if it has integer codes.
fn float_bias(graph: &Graph, linear: usize, channels: usize) -> Option<Vec<f32>> {
    let Some(bias) = input(graph, linear, 2) else { return Some(vec![0.0; channels]) };
    let bias = graph.value(bias);
    bias.f32s().filter(|_| bias.codes.is_none()).map(<[f32]>::to_vec)
}

fn fold(graph: &mut Graph, index: usize) -> Option<()> {
    let (linear, affine) = linear_before(graph, index)?;
    let channels = affine.scale.len();
    let bias = float_bias(graph, linear, channels)?;
    let weights_id = input(graph, linear, 1)?;
    let weights = graph.value(weights_id);
    let data = weights.f32s()?;
    if affine.scale.iter().any(|&s| s != 1.0) {
        if weights.codes.is_some() {
            return None;
        }
        let channel = output_channels(&graph.nodes[linear].op, &weights.shape);
        let scaled = |(i, &w): (usize, &f32)| (f64::from(w) * affine.scale[channel(i)]) as f32;
        let data = Constant::F32(data.iter().enumerate().map(scaled).collect());
        let value = Value { data: Some(data), ..weights.clone() };
        if !set_clamp(graph, linear, affine.clamp) {
            return None;
        }
        let name = format!("{}.scaled", value.name);
        let id = add_constant(graph, &name, value);
        graph.nodes[linear].inputs[1] = Some(id);
    } else if (weights.codes.is_some() && input(graph, linear, 2).is_none()) || !set_clamp(graph, linear, affine.clamp)
    {
        // fold_bias keeps the codes of the sum.
        return None;
    }
    let shifted = |c: usize| (f64::from(bias[c]) * affine.scale[c] + affine.shift[c]) as f32;
    let bias = Constant::F32((0..channels).map(shifted).collect());
    set_bias(graph, linear, Value::constant("", vec![channels], bias));
    take_over(graph, linear, index);
    Some(())
}

/// linear without bias → Add(constant): the constant becomes the bias with
/// the integer codes it may have.
fn fold_bias(graph: &mut Graph, index: usize) -> Option<()> {
    let (linear, affine) = linear_before(graph, index)?;
    let Op::Binary { kind: Binary::Add, .. } = graph.nodes[index].op else { return None };
    if input(graph, linear, 2).is_some() {
        return None;
    }
    let channels = affine.shift.len();
    let constant = graph.nodes[index].inputs.iter().flatten().find(|&&id| graph.value(id).is_constant())?;
    let constant = graph.value(*constant);
    let bias = if constant.elements() == channels {
        reshape_value(constant, &[channels])?
    } else {
        Value::constant("", vec![channels], Constant::F32(affine.shift.iter().map(|&x| x as f32).collect()))
    };
    if !set_clamp(graph, linear, affine.clamp) {
        return None;
    }
    set_bias(graph, linear, bias);
    take_over(graph, linear, index);
    Some(())
}

/// Output channel of the weight at a row-major index.
fn output_channels(op: &Op, shape: &[usize]) -> impl Fn(usize) -> usize + use<> {
    let inner: usize = match op {
        Op::ConvTranspose { .. } => shape[2..].iter().product(),
        _ => shape[1..].iter().product(),
    };
    let transposed = match op {
        Op::ConvTranspose { groups, .. } => Some((shape[1], shape[0] / groups)),
        _ => None,
    };
    move |i| match transposed {
        Some((out, ins)) => i / (inner * out * ins) * out + i / inner % out,
        None => i / inner,
    }
}

fn set_clamp(graph: &mut Graph, linear: usize, new: Option<Clamp>) -> bool {
    match (&mut graph.nodes[linear].op, new) {
        (_, None) => true,
        (Op::Conv { clamp, .. } | Op::Dense { clamp }, new) => {
            *clamp = new;
            true
        }
        _ => false,
    }
}

fn set_bias(graph: &mut Graph, linear: usize, bias: Value) {
    let name = format!("{}.bias", graph.nodes[linear].name);
    let id = add_constant(graph, &name, bias);
    let inputs = &mut graph.nodes[linear].inputs;
    inputs.resize(3, None);
    inputs[2] = Some(id);
}

/// `linear` writes what node `index` wrote.
fn take_over(graph: &mut Graph, linear: usize, index: usize) {
    let node = graph.nodes.remove(index);
    graph.nodes[linear].outputs = node.outputs;
}

/// BatchNorm as Mul and Add.
fn spell_out(graph: &mut Graph, index: usize) -> Option<()> {
    let Op::BatchNorm { epsilon } = graph.nodes[index].op else { return None };
    let affine = batch_norm(graph, index, epsilon)?;
    let Node { name, outputs, .. } = graph.nodes[index].clone();
    let x = graph.value(affine.x).clone();
    let mut shape = vec![1; x.shape.len() - 1];
    shape[0] = affine.scale.len();
    let mut parameter = |suffix: &str, data: &[f64]| {
        let data = Constant::F32(data.iter().map(|&x| x as f32).collect());
        add_constant(graph, &format!("{name}.{suffix}"), Value::constant("", shape.clone(), data))
    };
    let (scale, shift) = (parameter("scale", &affine.scale), parameter("shift", &affine.shift));
    let scaled = Value::new(fresh_name(graph, &format!("{name}.scaled")), x.dtype, x.shape);
    let scaled = graph.add_value(scaled);
    let node = |name: String, kind, a, b, outputs| Node {
        name,
        op: Op::Binary { kind, clamp: None },
        inputs: vec![Some(a), Some(b)],
        outputs,
    };
    graph.nodes[index] = node(format!("{name}.mul"), Binary::Mul, affine.x, scale, vec![scaled]);
    graph.nodes.insert(index + 1, node(name, Binary::Add, scaled, shift, outputs));
    Some(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Build, check, count, grid, square};
    use super::*;
    use crate::graph::{QuantCodes, Unary};

    fn norm(b: &mut Build, x: ValueId, channels: usize) -> ValueId {
        let (gamma, beta, mean) = (b.random(&[channels]), b.random(&[channels]), b.random(&[channels]));
        let variance: Vec<f32> = b.rng.f32s(channels).iter().map(|v| v.abs() + 0.1).collect();
        let variance = b.constant(&[channels], variance);
        let shape = b.graph.value(x).shape.clone();
        b.node(Op::BatchNorm { epsilon: 1e-3 }, &[x, gamma, beta, mean, variance], &shape)
    }

    #[test]
    fn norms_and_constants_vanish_behind_linear_operators() {
        let mut b = Build::new();
        let x = b.input(&[2, 3, 5, 5]);
        let y = b.conv(x, 4, 3, 1);
        let y = norm(&mut b, y, 4);
        let factor = b.random(&[4, 1, 1]);
        let y = b.binary(Binary::Mul, factor, y);
        let offset = b.random(&[1]);
        let y = b.binary(Binary::Sub, y, offset);
        let flat = b.node(Op::Reshape, &[y], &[2, 100]);
        let z = b.dense(flat, 7);
        let z = norm(&mut b, z, 7);
        let bias = b.random(&[1, 7]);
        let z = b.binary(Binary::Add, z, bias);
        let graph = check(b.finish(&[z]), |graph| assert_eq!(fold_batch_norm(graph), 5));
        assert_eq!(graph.nodes.len(), 3);
    }

    #[test]
    fn a_norm_elsewhere_becomes_mul_and_add() {
        let mut b = Build::new();
        let x = b.input(&[2, 3, 5, 5]);
        let y = norm(&mut b, x, 3);
        let y = b.unary(Unary::Relu, y);
        let graph = check(b.finish(&[y]), |graph| assert_eq!(fold_batch_norm(graph), 1));
        assert_eq!(count(&graph, |op| matches!(op, Op::Binary { .. })), 2);
    }

    #[test]
    fn coded_weights_take_a_coded_bias_and_no_scale() {
        let mut b = Build::new();
        let x = b.input(&[2, 6]);
        let y = b.dense(x, 4);
        let w = b.graph.nodes[0].inputs[1].expect("weights");
        let codes = |n: usize, bits| QuantCodes {
            bits,
            signed: true,
            axis: 0,
            block: 0,
            scales: vec![0.1],
            zeros: vec![0],
            codes: vec![1; n],
            dynamic: false,
        };
        b.graph.value_mut(w).codes = Some(codes(24, 8));
        let bias = b.random(&[1, 4]);
        b.graph.value_mut(bias).codes = Some(codes(4, 32));
        let y = b.binary(Binary::Add, y, bias);
        let y = norm(&mut b, y, 4);
        let graph = check(b.finish(&[y]), |graph| assert_eq!(fold_batch_norm(graph), 2));
        let dense = &graph.nodes[0];
        assert!(graph.value(dense.inputs[2].expect("bias")).codes.is_some());
        assert_eq!(graph.nodes.len(), 3);
    }

    #[test]
    fn a_grid_between_keeps_the_sum_apart() {
        let mut b = Build::new();
        let x = b.input(&[2, 6]);
        let y = b.dense(x, 4);
        b.graph.value_mut(y).quant = Some(grid(0.05, 2));
        let bias = b.random(&[4]);
        let z = b.binary(Binary::Add, y, bias);
        check(b.finish(&[z]), |graph| assert_eq!(fold_batch_norm(graph), 0));
    }

    #[test]
    fn transposed_convolutions_scale_by_group_and_channel() {
        let op = Op::ConvTranspose { window: square(2, 1, 0), groups: 2, output_padding: [0; 2], layout: Layout::Nchw };
        // [IC 4, OC/groups 3, 2, 2]: inputs 0 and 1 feed outputs 0..3, the others 3..6.
        let channel = output_channels(&op, &[4, 3, 2, 2]);
        assert_eq!([0, 4, 11, 12, 23, 24, 47].map(channel), [0, 1, 2, 0, 2, 3, 5]);
    }
}
