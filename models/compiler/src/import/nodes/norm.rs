//! LayerNormalization and RMSNormalization.
use tract_onnx::pb::NodeProto;

use super::builder::Builder;
use super::window::agree;
use crate::graph::{Binary, Constant, Op, Reduce, Unary, ValueId};
use crate::import::attrs;
use crate::import::error::{NodeResult, bad, refuse};

/// What is normalized: rows of the axes from `axis` on.
struct Rows {
    x: ValueId,
    y: ValueId,
    axis: usize,
    /// Elements of a row.
    row: usize,
    epsilon: f32,
}

fn rows(b: &mut Builder, node: &NodeProto) -> NodeResult<Rows> {
    // All floating types are f32 here; a double would have more digits.
    if attrs::int(node, "stash_type", 1)? == 11 {
        return refuse("statistics in double precision", "set stash_type to 1");
    }
    let (x, y) = (b.required(node, 0)?, b.output(node, 0)?);
    let shape = b.shape(x);
    let axis = attrs::axis(attrs::int(node, "axis", -1)?, shape.len())?;
    agree(&shape, &b.shape(y))?;
    let row: usize = shape[axis..].iter().product();
    if row == 0 {
        return bad("it normalizes over no elements");
    }
    let epsilon = attrs::float(node, "epsilon", 1e-5)?;
    if !(epsilon >= 0.0 && epsilon.is_finite()) {
        return bad(format!("epsilon is {epsilon}"));
    }
    Ok(Rows { x, y, axis, row, epsilon })
}

/// One step where scale and bias are constants of a row each, else the normalized rows scaled and shifted.
pub(super) fn layer_norm(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let rows = rows(b, node)?;
    if node.output.iter().skip(1).any(|o| !o.is_empty()) {
        return with_statistics(b, node, &rows);
    }
    let (gamma, beta) = (b.required(node, 1)?, b.input(node, 2)?);
    let gamma_row = parameter(b, node, gamma, rows.row)?;
    let beta_row = match beta {
        Some(beta) => parameter(b, node, beta, rows.row)?,
        None => Some(fill(b, "beta", rows.row, 0.0)),
    };
    if let (Some(gamma), Some(beta)) = (gamma_row, beta_row) {
        return normalize(b, node, &rows, gamma, beta, rows.y);
    }
    let (ones, zeros) = (fill(b, "gamma", rows.row, 1.0), fill(b, "beta", rows.row, 0.0));
    let unit = b.like(rows.y, b.shape(rows.y))?;
    normalize(b, node, &rows, ones, zeros, unit)?;
    scale(b, node, unit, gamma, beta, rows.y)
}

fn fill(b: &mut Builder, name: &str, row: usize, value: f32) -> ValueId {
    b.constant(name, vec![row], Constant::F32(vec![value; row]))
}

/// The axes from `axis` on are normalized together: as one last axis.
fn normalize(
    b: &mut Builder,
    node: &NodeProto,
    rows: &Rows,
    gamma: ValueId,
    beta: ValueId,
    y: ValueId,
) -> NodeResult<()> {
    let op = Op::LayerNorm { epsilon: rows.epsilon };
    let shape = b.shape(rows.x);
    if rows.axis + 1 == shape.len() {
        return b.emit(node, op, vec![Some(rows.x), Some(gamma), Some(beta)], y);
    }
    let flat_shape = flat(&shape, rows);
    let flat = b.reshape(node, rows.x, flat_shape.clone())?;
    let out = b.like(y, flat_shape)?;
    b.emit(node, op, vec![Some(flat), Some(gamma), Some(beta)], out)?;
    b.emit(node, Op::Reshape, vec![Some(out)], y)
}

fn flat(shape: &[usize], rows: &Rows) -> Vec<usize> {
    vec![shape[..rows.axis].iter().product(), rows.row]
}

/// `unit·gamma + beta`, broadcast.
fn scale(
    b: &mut Builder,
    node: &NodeProto,
    unit: ValueId,
    gamma: ValueId,
    beta: Option<ValueId>,
    y: ValueId,
) -> NodeResult<()> {
    match beta {
        None => b.binary(node, Binary::Mul, unit, gamma, Some(y)).map(drop),
        Some(beta) => {
            let scaled = b.binary(node, Binary::Mul, unit, gamma, None)?;
            b.binary(node, Binary::Add, scaled, beta, Some(y)).map(drop)
        }
    }
}

/// A model that reads the mean or the inverse of the deviation gets every step.
fn with_statistics(b: &mut Builder, node: &NodeProto, rows: &Rows) -> NodeResult<()> {
    let shape = b.shape(rows.x);
    let x = b.reshape(node, rows.x, flat(&shape, rows))?;
    let mean = b.reduce(node, Reduce::Mean, x, &[1])?;
    let centred = b.binary(node, Binary::Sub, x, mean, None)?;
    let squares = b.binary(node, Binary::Mul, centred, centred, None)?;
    let inverse = inverse_root(b, node, squares, rows.epsilon)?;
    let unit = b.binary(node, Binary::Mul, centred, inverse, None)?;
    let unit = b.reshape(node, unit, shape)?;
    let (gamma, beta) = (b.required(node, 1)?, b.input(node, 2)?);
    scale(b, node, unit, gamma, beta, rows.y)?;
    for (i, value) in [(1, mean), (2, inverse)] {
        if node.output.get(i).is_some_and(|o| !o.is_empty()) {
            let out = b.output(node, i)?;
            b.emit(node, Op::Reshape, vec![Some(value)], out)?;
        }
    }
    Ok(())
}

/// 1/√(mean of each row + ε).
fn inverse_root(b: &mut Builder, node: &NodeProto, squares: ValueId, epsilon: f32) -> NodeResult<ValueId> {
    let mean = b.reduce(node, Reduce::Mean, squares, &[1])?;
    let epsilon = b.number(node, epsilon);
    let sum = b.binary(node, Binary::Add, mean, epsilon, None)?;
    let root = b.unary(node, Unary::Sqrt, sum, None)?;
    b.unary(node, Unary::Reciprocal, root, None)
}

pub(super) fn rms_norm(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let rows = rows(b, node)?;
    let shape = b.shape(rows.x);
    let x = b.reshape(node, rows.x, flat(&shape, &rows))?;
    let squares = b.binary(node, Binary::Mul, x, x, None)?;
    let inverse = inverse_root(b, node, squares, rows.epsilon)?;
    let unit = b.binary(node, Binary::Mul, x, inverse, None)?;
    let unit = b.reshape(node, unit, shape)?;
    let gamma = b.required(node, 1)?;
    scale(b, node, unit, gamma, None, rows.y)
}

/// A scale or bias as `row` constants; `None` where it is computed or has another shape.
fn parameter(b: &mut Builder, node: &NodeProto, id: ValueId, row: usize) -> NodeResult<Option<ValueId>> {
    match b.value(id).f32s() {
        Some(data) if data.len() == row => b.reshape(node, id, vec![row]).map(Some),
        Some(&[one]) => Ok(Some(fill(b, "parameter", row, one))),
        _ => Ok(None),
    }
}
