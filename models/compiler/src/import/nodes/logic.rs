//! Comparisons, logic on booleans and bits, and Where.
use tract_onnx::pb::NodeProto;

use super::builder::Builder;
use super::elementwise::chain;
use crate::graph::{Binary, Compare, Constant, DType, Op, Unary};
use crate::import::attrs;
use crate::import::error::{NodeResult, bad, refuse};

/// Maps `node` if it is one of these.
pub(super) fn map(b: &mut Builder, node: &NodeProto) -> NodeResult<bool> {
    if let Some(kind) = comparison(&node.op_type) {
        let (l, r, y) = (b.required(node, 0)?, b.required(node, 1)?, b.output(node, 0)?);
        if b.value(l).dtype != b.value(r).dtype {
            let types = format!("operands of types {:?} and {:?}", b.value(l).dtype, b.value(r).dtype);
            return refuse(types, "cast both to one type");
        }
        b.compare(node, kind, l, r, Some(y))?;
        return Ok(true);
    }
    match node.op_type.as_str() {
        "And" | "BitwiseAnd" => chain(b, node, Binary::And)?,
        "Or" | "BitwiseOr" => chain(b, node, Binary::Or)?,
        "Xor" | "BitwiseXor" => chain(b, node, Binary::Xor)?,
        "Not" | "BitwiseNot" => {
            let (x, y) = (b.required(node, 0)?, b.output(node, 0)?);
            b.unary(node, Unary::Not, x, Some(y))?;
        }
        "BitShift" => match attrs::string(node, "direction", "")?.as_str() {
            "LEFT" => chain(b, node, Binary::ShiftLeft)?,
            "RIGHT" => chain(b, node, Binary::ShiftRight)?,
            other => return bad(format!("direction `{other}` is not defined")),
        },
        "IsNaN" => {
            let (x, y) = (b.required(node, 0)?, b.output(node, 0)?);
            b.compare(node, Compare::NotEqual, x, x, Some(y))?;
        }
        "IsInf" => is_inf(b, node)?,
        "Where" => select(b, node)?,
        _ => return Ok(false),
    }
    Ok(true)
}

fn comparison(op: &str) -> Option<Compare> {
    Some(match op {
        "Equal" => Compare::Equal,
        "Less" => Compare::Less,
        "LessOrEqual" => Compare::LessOrEqual,
        "Greater" => Compare::Greater,
        "GreaterOrEqual" => Compare::GreaterOrEqual,
        _ => return None,
    })
}

fn is_inf(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let (x, y) = (b.required(node, 0)?, b.output(node, 0)?);
    let (positive, negative) =
        (attrs::flag(node, "detect_positive", true)?, attrs::flag(node, "detect_negative", true)?);
    let infinity = b.number(node, if positive { f32::INFINITY } else { f32::NEG_INFINITY });
    match (positive, negative) {
        (true, true) => {
            let size = b.unary(node, Unary::Abs, x, None)?;
            b.compare(node, Compare::Equal, size, infinity, Some(y)).map(drop)
        }
        (false, false) => {
            let none = vec![false; b.value(y).elements()];
            b.set_constant(y, Constant::Bool(none))
        }
        _ => b.compare(node, Compare::Equal, x, infinity, Some(y)).map(drop),
    }
}

fn select(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let [c, yes, no] = [b.required(node, 0)?, b.required(node, 1)?, b.required(node, 2)?];
    let y = b.output(node, 0)?;
    if b.value(c).dtype != DType::Bool {
        return bad("its condition is not boolean");
    }
    if b.value(yes).dtype != b.value(no).dtype {
        let types = format!("operands of types {:?} and {:?}", b.value(yes).dtype, b.value(no).dtype);
        return refuse(types, "cast both to one type");
    }
    b.emit(node, Op::Select, vec![Some(c), Some(yes), Some(no)], y)
}
