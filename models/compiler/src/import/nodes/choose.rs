//! Where on values that are computed at run time, as attention masks are.
use tract_onnx::pb::NodeProto;

use super::builder::Builder;
use crate::graph::{Binary, Constant, DType, Op, ValueId};
use crate::import::error::{NodeResult, refuse};
use crate::import::fold_shapes;

/// Two numbers to choose from are a table of two entries. The lowest number in place of some
/// elements of x is the minimum of x and a table of that number and infinity.
pub(super) fn choose(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let [c, yes, no] = [b.required(node, 0)?, b.required(node, 1)?, b.required(node, 2)?];
    if [c, yes, no].iter().all(|&id| b.value(id).is_constant()) {
        return fold_shapes::fold(b, node);
    }
    let y = b.output(node, 0)?;
    let number = |id: ValueId| match b.value(id).f32s() {
        Some(&[v]) => Some(v),
        _ => None,
    };
    let lowest = |v: f32| v == f32::MIN || v == f32::NEG_INFINITY;
    let (table, x) = match (number(yes), number(no)) {
        (Some(yes), Some(no)) => ([no, yes], None),
        (Some(v), None) if lowest(v) && b.value(no).dtype == DType::F32 => ([f32::INFINITY, v], Some(no)),
        (None, Some(v)) if lowest(v) && b.value(yes).dtype == DType::F32 => ([v, f32::INFINITY], Some(yes)),
        _ => {
            return refuse(
                "a choice between computed tensors",
                "choose between two numbers, or put the lowest number in place of some elements, as masks do",
            );
        }
    };
    let shape = b.shape(c);
    let index = b.temp("choice", DType::I64, shape.clone())?;
    b.emit(node, Op::Cast, vec![Some(c)], index)?;
    let table = b.constant("choices", vec![2], Constant::F32(table.to_vec()));
    let gather = Op::Gather { axis: 0 };
    let Some(x) = x else {
        if shape == b.shape(y) {
            return b.emit(node, gather, vec![Some(table), Some(index)], y);
        }
        let chosen = b.temp("chosen", DType::F32, shape)?;
        b.emit(node, gather, vec![Some(table), Some(index)], chosen)?;
        return b.emit(node, Op::Reshape, vec![Some(chosen)], y);
    };
    let gate = b.temp("chosen", DType::F32, shape)?;
    b.emit(node, gather, vec![Some(table), Some(index)], gate)?;
    b.emit(node, Op::Binary { kind: Binary::Min, clamp: None }, vec![Some(x), Some(gate)], y)
}
