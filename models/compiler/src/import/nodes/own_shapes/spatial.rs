//! Shapes of convolutions, pools and resampling.
use tract_onnx::pb::NodeProto;

use super::super::builder::Builder;
use super::super::{affine_grid, conv, grid_sample, indexed, pool, resize};
use crate::graph::DType;
use crate::import::error::NodeResult;
use crate::import::twin::Fact;

pub(super) fn facts(b: &mut Builder, node: &NodeProto) -> NodeResult<Option<Vec<Fact>>> {
    let shape = match node.op_type.as_str() {
        "Conv" | "ConvTranspose" | "ConvInteger" => conv::shape(b, node)?,
        "MaxPool" | "AveragePool" | "LpPool" => pool::Plan::of(b, node)?.shape,
        "GlobalAveragePool" | "GlobalMaxPool" | "GlobalLpPool" => {
            let x = b.required(node, 0)?;
            pool::global_shape(&b.shape(x))?
        }
        "Resize" | "Upsample" => resize::Plan::of(b, node)?.shape,
        "MaxUnpool" => indexed::unpooled(b, node)?.1,
        "Col2Im" => conv::image(b, node)?.0,
        "GridSample" => grid_sample::shape(b, node)?,
        "AffineGrid" => affine_grid::sizes(b, node)?.1,
        _ => return Ok(None),
    };
    let x = b.required(node, 0)?;
    let dtype = if node.op_type == "ConvInteger" { DType::I32 } else { b.value(x).dtype };
    let indices = Fact { dtype: DType::I64, shape: shape.clone() };
    Ok(Some(vec![Fact { dtype, shape }, indices]))
}
