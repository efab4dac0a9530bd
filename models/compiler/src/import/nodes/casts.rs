//! Cast, CastLike and BitCast. All floating types are f32 here, and codes of fewer than 8 bits take a byte each.
use tract_onnx::pb::NodeProto;

use super::builder::Builder;
use crate::graph::{Binary, Constant, DType, Op, ValueId};
use crate::import::attrs;
use crate::import::error::{NodeResult, refuse};
use crate::import::tensor::{Elem, type_name};

/// The element type that a node's attribute asks for.
pub(super) fn code(node: &NodeProto) -> NodeResult<Elem> {
    let to = i32::try_from(attrs::int(node, "to", 0)?).unwrap_or(0);
    match Elem::from_code(to) {
        // Values are kept in f32, so nothing would be rounded to the 8 bits that bfloat16 has.
        Some(elem) if to != BFLOAT16 => Ok(elem),
        _ => refuse(format!("a cast to {}", type_name(to)), "cast to f32, bool or an integer of 2 to 64 bits"),
    }
}

const BFLOAT16: i32 = 16;

/// The type of the output.
pub(super) fn target(b: &mut Builder, node: &NodeProto) -> NodeResult<DType> {
    if node.op_type == "CastLike" {
        let like = b.required(node, 1)?;
        return Ok(b.value(like).dtype);
    }
    Ok(match code(node)? {
        Elem::Int { bits: ..8, signed } => byte(signed),
        elem => elem.dtype().unwrap_or(DType::F32),
    })
}

fn byte(signed: bool) -> DType {
    if signed { DType::I8 } else { DType::U8 }
}

pub(super) fn cast(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let (x, y) = (b.required(node, 0)?, b.output(node, 0)?);
    if node.op_type == "Cast"
        && let Elem::Int { bits: bits @ ..8, signed } = code(node)?
    {
        return narrow(b, node, x, (bits, signed), y);
    }
    if b.value(x).dtype == b.value(y).dtype {
        b.alias(node, x);
        return Ok(());
    }
    b.emit(node, Op::Cast, vec![Some(x)], y)
}

/// The lowest bits of a number, extended by the sign or by zeros.
fn narrow(b: &mut Builder, node: &NodeProto, x: ValueId, (bits, signed): (u8, bool), y: ValueId) -> NodeResult<()> {
    let codes = b.cast(node, x, DType::I8)?;
    let codes = b.cast(node, codes, byte(signed))?;
    if !signed {
        let mask = b.constant("mask", vec![], Constant::U8(vec![(1 << bits) - 1]));
        return b.binary(node, Binary::And, codes, mask, Some(y)).map(drop);
    }
    let rest = b.constant("shift", vec![], Constant::I8(vec![8 - bits as i8]));
    let up = b.binary(node, Binary::ShiftLeft, codes, rest, None)?;
    b.binary(node, Binary::ShiftRight, up, rest, Some(y)).map(drop)
}

pub(super) fn bit_cast(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let (x, y) = (b.required(node, 0)?, b.output(node, 0)?);
    let (from, to) = (b.value(x).dtype, b.value(y).dtype);
    let width = |dtype: DType| dtype.range().1.checked_ilog2().map_or(32, |bits| (bits + 1).next_multiple_of(8));
    // Doubles and halves are f32 here: their bits are gone.
    let wide = matches!(attrs::int(node, "to", 0)?, 10 | 11 | 16);
    if wide || to == DType::Bool || width(from) != width(to) {
        return refuse(format!("the bits of {from:?} as {to:?}"), "use types of one size, floats of 32 bits");
    }
    b.emit(node, Op::BitCast, vec![Some(x)], y)
}
