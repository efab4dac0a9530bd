//! Operators that only exist to compute shapes: their results are constants,
//! because every shape is known.
use tract_onnx::pb::NodeProto;

use super::attrs;
use super::error::{NodeResult, bad};
use super::nodes::Builder;
use super::tensor;
use crate::graph::Constant;
use crate::passes::constants::gather_constant;

/// Most elements of a constant that a node may ask for.
const MAX_ELEMENTS: usize = 1 << 24;

pub(crate) fn fold(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let y = b.output(node, 0)?;
    let elements = b.value(y).elements();
    if elements > MAX_ELEMENTS {
        return bad(format!("a constant of {elements} elements"));
    }
    let data = match node.op_type.as_str() {
        "Shape" => {
            let x = b.required(node, 0)?;
            let dims: Vec<i64> = b.shape(x).iter().map(|&d| d as i64).collect();
            let rank = dims.len() as i64;
            let bound = |v: i64| if v < 0 { v.saturating_add(rank) } else { v }.clamp(0, rank) as usize;
            let (start, end) = (bound(attrs::int(node, "start", 0)?), bound(attrs::int(node, "end", rank)?));
            Constant::I64(dims.get(start..end).unwrap_or(&[]).to_vec())
        }
        "Size" => {
            let x = b.required(node, 0)?;
            Constant::I64(vec![b.value(x).elements() as i64])
        }
        "ConstantOfShape" => {
            let value = match attrs::tensor(node, "value")? {
                Some(t) => tensor::decode(t, "attribute `value`", 64)?.constant(),
                None => Constant::F32(vec![0.0]),
            };
            if value.len() != 1 {
                return bad(format!("its value has {} elements", value.len()));
            }
            let shape = b.shape(y);
            gather_constant(&value, 0, &vec![0; shape.len()], &shape)
        }
        "Range" => range(b, node, elements)?,
        other => return bad(format!("{other} computes no shape")),
    };
    b.set_constant(y, data)
}

fn range(b: &mut Builder, node: &NodeProto, elements: usize) -> NodeResult<Constant> {
    let id = b.required(node, 0)?;
    if b.value(id).f32s().is_some() {
        let part = |b: &mut Builder, i| b.scalar(node, i).map(|v| v.unwrap_or(0.0));
        let (start, delta) = (part(b, 0)?, part(b, 2)?);
        return Ok(Constant::F32((0..elements).map(|i| start + i as f32 * delta).collect()));
    }
    let part = |b: &mut Builder, i| b.ints(node, i).map(|v| v.and_then(|v| v.first().copied()).unwrap_or(0));
    let (start, delta) = (part(b, 0)?, part(b, 2)?);
    let values: Vec<i128> = (0..elements as i64).map(|i| start.wrapping_add(i.wrapping_mul(delta)).into()).collect();
    Ok(Constant::from_integers(&values, b.value(id).dtype))
}
