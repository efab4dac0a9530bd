//! QuantizeLinear and DequantizeLinear by their formula, where no fixed grid expresses them.
use tract_onnx::pb::NodeProto;

use super::builder::Builder;
use crate::graph::{Binary, Clamp, Constant, DType, Op, Unary, ValueId};
use crate::import::attrs;
use crate::import::error::{NodeResult, bad, refuse};
use crate::import::tensor::Elem;

/// `saturate(round(x / scale) + zero point)`, ties to even.
pub(super) fn quantize(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let (x, y) = (b.required(node, 0)?, b.output(node, 0)?);
    let to = i32::try_from(attrs::int(node, "to", 0)?).ok().and_then(Elem::from_code);
    let Some(elem @ Elem::Int { bits: ..=16, .. }) = to else {
        return refuse("codes of more than 16 bits", "quantize to 2, 4, 8 or 16 bits");
    };
    let shape = b.shape(x);
    let scale = scale(b, node)?;
    let scale = spread(b, node, scale, &shape)?;
    let mut real = step(b, node, Op::Binary { kind: Binary::Div, clamp: None }, &[x, scale], &shape)?;
    real = step(b, node, Op::Unary(Unary::Round), &[real], &shape)?;
    if let Some(zero) = b.input(node, 2)? {
        let zero = float(b, node, zero)?;
        let zero = spread(b, node, zero, &shape)?;
        real = step(b, node, Op::Binary { kind: Binary::Add, clamp: None }, &[real, zero], &shape)?;
    }
    let (lo, hi) = elem.range();
    let clip = Op::Unary(Unary::Clip(Clamp { lo: lo as f32, hi: hi as f32 }));
    real = step(b, node, clip, &[real], &shape)?;
    b.emit(node, Op::Cast, vec![Some(real)], y)
}

/// `(code − zero point) · scale`.
pub(super) fn dequantize(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let (x, y) = (b.required(node, 0)?, b.output(node, 0)?);
    let shape = b.shape(x);
    let mut real = float(b, node, x)?;
    if let Some(zero) = b.input(node, 2)? {
        let (of_x, of_zero) = (b.value(x).dtype, b.value(zero).dtype);
        if of_x != of_zero {
            return bad(format!("zero point of type {of_zero:?} for codes of type {of_x:?}"));
        }
        let zero = float(b, node, zero)?;
        let zero = spread(b, node, zero, &shape)?;
        real = step(b, node, Op::Binary { kind: Binary::Sub, clamp: None }, &[real, zero], &shape)?;
    }
    let scale = scale(b, node)?;
    let scale = spread(b, node, scale, &shape)?;
    b.emit(node, Op::Binary { kind: Binary::Mul, clamp: None }, vec![Some(real), Some(scale)], y)
}

/// The scale, as far as it is known a positive number; the zero point has its shape.
fn scale(b: &mut Builder, node: &NodeProto) -> NodeResult<ValueId> {
    let scale = b.required(node, 1)?;
    let shape = b.shape(scale);
    if b.value(scale).dtype != DType::F32 {
        return bad("its scale is no floating-point tensor");
    }
    if let Some(v) = b.value(scale).f32s().and_then(|s| s.iter().find(|v| !(v.is_normal() && **v > 0.0))) {
        return bad(format!("scale {v} is not a positive normal number"));
    }
    if let Some(zero) = b.input(node, 2)? {
        let of_zero = b.shape(zero);
        let one = |s: &[usize]| s.len() <= 1 && s.iter().product::<usize>() == 1;
        if of_zero != shape && !(one(&of_zero) && one(&shape)) {
            return bad(format!("zero point of shape {of_zero:?} with a scale of shape {shape:?}"));
        }
    }
    Ok(scale)
}

fn step(b: &mut Builder, node: &NodeProto, op: Op, inputs: &[ValueId], shape: &[usize]) -> NodeResult<ValueId> {
    let out = b.temp(&node.output[0], DType::F32, shape.to_vec())?;
    b.emit(node, op, inputs.iter().copied().map(Some).collect(), out)?;
    Ok(out)
}

fn float(b: &mut Builder, node: &NodeProto, id: ValueId) -> NodeResult<ValueId> {
    if b.value(id).dtype == DType::F32 {
        return Ok(id);
    }
    let shape = b.shape(id);
    step(b, node, Op::Cast, &[id], &shape)
}

/// A scale or zero point in a shape that broadcasts to `shape`.
fn spread(b: &mut Builder, node: &NodeProto, id: ValueId, shape: &[usize]) -> NodeResult<ValueId> {
    let block = attrs::int(node, "block_size", 0)?;
    let own = b.shape(id);
    let count: usize = own.iter().product();
    if count == 1 && own.len() <= 1 && block == 0 {
        return b.reshape(node, id, vec![]);
    }
    let axis = attrs::axis(attrs::int(node, "axis", 1)?, shape.len())?;
    if block == 0 {
        if own != [shape[axis]] {
            return bad(format!("scale or zero point of shape {own:?} for axis {axis} of {shape:?}"));
        }
        let mut dims = vec![1; shape.len()];
        dims[axis] = shape[axis];
        return b.reshape(node, id, dims);
    }
    let Ok(block @ 1..) = usize::try_from(block) else { return bad(format!("block_size {block} is not positive")) };
    let mut wanted = shape.to_vec();
    wanted[axis] = shape[axis].div_ceil(block);
    if own != wanted {
        return bad(format!(
            "scale or zero point of shape {own:?} along axis {axis} of {shape:?}, expected {wanted:?}"
        ));
    }
    let index = (0..shape[axis]).map(|i| (i / block) as i64).collect();
    let index = b.constant("block", vec![shape[axis]], Constant::I64(index));
    let out = b.like(id, shape.to_vec())?;
    b.emit(node, Op::Gather { axis }, vec![Some(id), Some(index)], out)?;
    Ok(out)
}
