//! Cast and CastLike. All floating types are f32 here.
use tract_onnx::pb::NodeProto;

use super::builder::Builder;
use crate::graph::{DType, Op};
use crate::import::attrs;
use crate::import::error::{NodeResult, refuse};
use crate::import::tensor::{Elem, type_name};

/// The type of the output.
pub(super) fn target(b: &mut Builder, node: &NodeProto) -> NodeResult<DType> {
    if node.op_type == "CastLike" {
        let like = b.required(node, 1)?;
        return Ok(b.value(like).dtype);
    }
    let to = i32::try_from(attrs::int(node, "to", 0)?).unwrap_or(0);
    match Elem::from_code(to).and_then(Elem::dtype) {
        Some(dtype) => Ok(dtype),
        None => refuse(format!("a cast to {}", type_name(to)), "cast to f32, bool or an integer of 8 to 64 bits"),
    }
}

pub(super) fn cast(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let (x, y) = (b.required(node, 0)?, b.output(node, 0)?);
    if b.value(x).dtype == b.value(y).dtype {
        b.alias(node, x);
        return Ok(());
    }
    b.emit(node, Op::Cast, vec![Some(x)], y)
}
