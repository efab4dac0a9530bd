//! GridSample.
use tract_onnx::pb::NodeProto;

use super::builder::Builder;
use super::window::agree;
use crate::graph::{DType, GridMode, GridOutside, Op};
use crate::import::attrs;
use crate::import::error::{NodeResult, bad, refuse};

/// The shape of the result.
pub(super) fn shape(b: &mut Builder, node: &NodeProto) -> NodeResult<Vec<usize>> {
    let (x, grid) = (b.required(node, 0)?, b.required(node, 1)?);
    let (shape, at) = (b.shape(x), b.shape(grid));
    let n = shape.len().saturating_sub(2);
    if n == 0 || at.len() != n + 2 || at[0] != shape[0] || at[n + 1] != n {
        return bad(format!("a grid of shape {at:?} for {shape:?}"));
    }
    Ok([&shape[..2], &at[1..=n]].concat())
}

pub(super) fn grid_sample(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let (x, grid, y) = (b.required(node, 0)?, b.required(node, 1)?, b.output(node, 0)?);
    let shape = shape(b, node)?;
    agree(&shape, &b.shape(y))?;
    let n = shape.len() - 2;
    if n > 3 || b.value(x).dtype != DType::F32 || b.value(grid).dtype != DType::F32 {
        return refuse(format!("{n} axes of {:?}", b.value(x).dtype), "sample two or three axes of f32 tensors");
    }
    let mode = match attrs::string(node, "mode", "linear")?.as_str() {
        "nearest" => GridMode::Nearest,
        "linear" | "bilinear" => GridMode::Linear,
        "cubic" | "bicubic" => GridMode::Cubic,
        other => return bad(format!("mode `{other}` is not defined")),
    };
    let outside = match attrs::string(node, "padding_mode", "zeros")?.as_str() {
        "zeros" => GridOutside::Zeros,
        "border" => GridOutside::Border,
        "reflection" => GridOutside::Reflection,
        other => return bad(format!("padding_mode `{other}` is not defined")),
    };
    let align_corners = attrs::flag(node, "align_corners", false)?;
    b.emit(node, Op::GridSample { mode, outside, align_corners }, vec![Some(x), Some(grid)], y)
}
