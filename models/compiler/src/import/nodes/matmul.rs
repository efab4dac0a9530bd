//! Matrix products: Dense for a constant matrix on the right, else MatMul.
use tract_onnx::pb::NodeProto;

use super::builder::Builder;
use super::window::agree;
use crate::graph::{Binary, Constant, Op, Value, ValueId};
use crate::import::attrs;
use crate::import::error::{NodeResult, bad, refuse};
use crate::passes::constants::scale_codes;

pub(super) fn matmul(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let (x, w) = (b.required(node, 0)?, b.required(node, 1)?);
    let y = b.output(node, 0)?;
    let (shape_x, shape_w, shape_y) = (b.shape(x), b.shape(w), b.shape(y));
    if shape_x.is_empty() || shape_w.is_empty() {
        return bad("an operand is a scalar");
    }
    if b.value(w).is_constant() && b.value(w).f32s().is_some() && shape_w.len() == 2 {
        let weights = b.transpose(node, w, vec![1, 0])?;
        let expected = [&shape_x[..shape_x.len() - 1], &shape_w[1..]].concat();
        if shape_x.last() != Some(&shape_w[0]) {
            return bad(format!("{shape_x:?} times {shape_w:?}"));
        }
        agree(&expected, &shape_y)?;
        return b.emit(node, Op::Dense { clamp: None }, vec![Some(x), Some(weights)], y);
    }
    // A vector is a row on the left and a column on the right.
    let row = if shape_x.len() == 1 { vec![1, shape_x[0]] } else { shape_x.clone() };
    let column = if shape_w.len() == 1 { vec![shape_w[0], 1] } else { shape_w.clone() };
    if row.last() != column.get(column.len() - 2) {
        return bad(format!("{shape_x:?} times {shape_w:?}"));
    }
    let vectors = shape_x.len() == 1 || shape_w.len() == 1;
    let (x, w) = (b.reshape(node, x, row.clone())?, b.reshape(node, w, column.clone())?);
    let out = if vectors {
        let batch = if shape_x.len() > shape_w.len() { &row[..row.len() - 2] } else { &column[..column.len() - 2] };
        b.like(y, [batch, &[row[row.len() - 2], column[column.len() - 1]]].concat())?
    } else {
        y
    };
    b.emit(node, Op::MatMul, vec![Some(x), Some(w)], out)?;
    if vectors {
        b.emit(node, Op::Reshape, vec![Some(out)], y)?;
    }
    Ok(())
}

/// A copy of constant `id` times `factor`, its codes' scales included.
fn scaled(b: &mut Builder, id: ValueId, factor: f32) -> Option<ValueId> {
    if factor == 1.0 {
        return Some(id);
    }
    let value = b.value(id);
    let data = value.f32s()?.iter().map(|v| v * factor).collect();
    let codes = value.codes.as_ref().filter(|_| factor > 0.0 && factor.is_finite()).map(|c| scale_codes(c, factor));
    let value = Value { codes, ..Value::constant(value.name.clone(), value.shape.clone(), Constant::F32(data)) };
    Some(b.add(value))
}

pub(super) fn gemm(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let (mut x, mut w) = (b.required(node, 0)?, b.required(node, 1)?);
    let (alpha, beta) = (attrs::float(node, "alpha", 1.0)?, attrs::float(node, "beta", 1.0)?);
    if b.shape(x).len() != 2 || b.shape(w).len() != 2 {
        return bad("both matrices must have rank 2");
    }
    if attrs::flag(node, "transA", false)? {
        x = b.transpose(node, x, vec![1, 0])?;
    }
    // As [N, K] from here on.
    if !attrs::flag(node, "transB", false)? {
        w = b.transpose(node, w, vec![1, 0])?;
    }
    let (shape_x, shape_w) = (b.shape(x), b.shape(w));
    let (m, n) = (shape_x[0], shape_w[0]);
    let y = b.output(node, 0)?;
    if shape_x[1] != shape_w[1] {
        return bad(format!("{shape_x:?} times the transpose of {shape_w:?}"));
    }
    agree(&[m, n], &b.shape(y))?;
    let dense = b.value(w).f32s().is_some();
    let mut bias = b.input(node, 2)?;
    if let Some(c) = bias {
        bias = match (scaled(b, c, beta), beta) {
            (Some(c), _) => Some(c),
            (None, 0.0) => None,
            (None, _) => {
                let factor = b.constant("beta", vec![], Constant::F32(vec![beta]));
                let out = b.like(c, b.shape(c))?;
                b.emit(node, Op::Binary { kind: Binary::Mul, clamp: None }, vec![Some(c), Some(factor)], out)?;
                Some(out)
            }
        };
    }
    let fused = match bias {
        Some(c) if dense => row_bias(b, node, c, n)?,
        _ => None,
    };
    let added = if fused.is_some() { None } else { bias };
    let product = if added.is_some() || (!dense && alpha != 1.0) { b.like(y, vec![m, n])? } else { y };
    if dense {
        let Some(w) = scaled(b, w, alpha) else { return bad("its matrix is not f32") };
        let inputs = [Some(x), Some(w)].into_iter().chain(fused.map(Some)).collect();
        b.emit(node, Op::Dense { clamp: None }, inputs, product)?;
    } else {
        let w = b.transpose(node, w, vec![1, 0])?;
        b.emit(node, Op::MatMul, vec![Some(x), Some(w)], product)?;
    }
    let mut last = product;
    if !dense && alpha != 1.0 {
        let factor = b.constant("alpha", vec![], Constant::F32(vec![alpha]));
        let out = if added.is_some() { b.like(y, vec![m, n])? } else { y };
        b.emit(node, Op::Binary { kind: Binary::Mul, clamp: None }, vec![Some(last), Some(factor)], out)?;
        last = out;
    }
    if let Some(c) = added {
        b.emit(node, Op::Binary { kind: Binary::Add, clamp: None }, vec![Some(last), Some(c)], y)?;
    }
    Ok(())
}

/// Constant `c` as a bias of shape `[n]`, if it is one value per column.
fn row_bias(b: &mut Builder, node: &NodeProto, c: ValueId, n: usize) -> NodeResult<Option<ValueId>> {
    let Some(data) = b.value(c).f32s() else { return Ok(None) };
    let shape = b.shape(c);
    let rows: usize = shape.iter().rev().skip(1).product();
    if shape.last() == Some(&n) && rows == 1 {
        return b.reshape(node, c, vec![n]).map(Some);
    }
    if let &[v] = data {
        let name = b.value(c).name.clone();
        return Ok(Some(b.constant(&name, vec![n], Constant::F32(vec![v; n]))));
    }
    Ok(None)
}

pub(super) fn matmul_integer(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let w = b.required(node, 1)?;
    if !b.value(w).is_constant() {
        return refuse("a computed right-hand matrix", "make it a constant");
    }
    b.emit_from(node, Op::MatMulInteger)
}
