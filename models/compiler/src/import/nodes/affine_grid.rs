//! AffineGrid: a constant grid of points times the transposed matrices.
use tract_onnx::pb::NodeProto;

use super::builder::Builder;
use super::window::agree;
use crate::graph::{Constant, Op};
use crate::import::attrs;
use crate::import::error::{NodeResult, bad};

/// Spatial lengths, and the shape of the result.
pub(super) fn sizes(b: &mut Builder, node: &NodeProto) -> NodeResult<(Vec<usize>, Vec<usize>)> {
    let theta = b.required(node, 0)?;
    let size: Vec<usize> =
        b.ints(node, 1)?.unwrap_or_default().iter().map(|&d| usize::try_from(d).unwrap_or(0)).collect();
    let n = size.len().saturating_sub(2);
    if !(2..=3).contains(&n) || size.contains(&0) || b.shape(theta) != [size[0], n, n + 1] {
        return bad(format!("matrices {:?} for a size of {size:?}", b.shape(theta)));
    }
    Ok((size[2..].to_vec(), [&size[..1], &size[2..], &[n]].concat()))
}

pub(super) fn affine_grid(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let (theta, y) = (b.required(node, 0)?, b.output(node, 0)?);
    let (lengths, shape) = sizes(b, node)?;
    agree(&shape, &b.shape(y))?;
    let corners = attrs::flag(node, "align_corners", false)?;
    let (n, total) = (lengths.len(), lengths.iter().product::<usize>());
    super::rearrange::indices_fit(total.saturating_mul(n + 1))?;
    let place = |i: usize, len: usize| match (corners, len) {
        (true, 1) => -1.0,
        (true, len) => 2.0 * i as f64 / (len - 1) as f64 - 1.0,
        (false, len) => (2 * i + 1) as f64 / len as f64 - 1.0,
    };
    let mut points = Vec::with_capacity(total * (n + 1));
    for at in 0..total {
        // Columns first, then rows, then depth.
        let mut rest = at;
        for &len in lengths.iter().rev() {
            points.push(place(rest % len, len) as f32);
            rest /= len;
        }
        points.push(1.0);
    }
    let grid = b.constant("grid", vec![1, total, n + 1], Constant::F32(points));
    let turned = b.transpose(node, theta, vec![0, 2, 1])?;
    let flat = b.like(y, vec![shape[0], total, n])?;
    b.emit(node, Op::MatMul, vec![Some(grid), Some(turned)], flat)?;
    b.emit(node, Op::Reshape, vec![Some(flat)], y)
}
