//! Moves of integer constants before they are dequantized: a transposed or
//! reshaped table of codes is a table of codes.
use tract_onnx::pb::NodeProto;

use super::attrs;
use super::model::Model;
use super::tensor::{Data, Elem, Tensor};
use crate::passes::constants::{permutation, permute};

/// Evaluates the moves and returns the nodes that remain.
pub(crate) fn fold(model: &mut Model) -> Vec<NodeProto> {
    let mut kept = Vec::new();
    for node in std::mem::take(&mut model.nodes) {
        let codes = node.input.first().and_then(|x| model.consts.get(x));
        let codes = codes.filter(|t| matches!(t.elem, Elem::Int { bits, .. } if bits <= 16));
        match codes.and_then(|t| moved(&node, t, model)) {
            Some(t) => {
                model.consts.insert(node.output[0].clone(), t);
            }
            None => kept.push(node),
        }
    }
    kept
}

fn moved(node: &NodeProto, t: &Tensor, model: &Model) -> Option<Tensor> {
    match node.op_type.as_str() {
        "Identity" => Some(t.clone()),
        "Transpose" => {
            let perm = permutation(attrs::ints(node, "perm").ok()?, t.dims.len())?;
            let data = Data::I32(permute(t.i32s()?, &t.dims, &perm));
            Some(Tensor { dims: perm.iter().map(|&p| t.dims[p]).collect(), data, ..t.clone() })
        }
        "Reshape" => {
            let Data::I64(to) = &model.consts.get(node.input.get(1)?)?.data else { return None };
            let dims = reshaped(&t.dims, to)?;
            Some(Tensor { dims, ..t.clone() })
        }
        _ => None,
    }
}

fn reshaped(from: &[usize], to: &[i64]) -> Option<Vec<usize>> {
    let total: usize = from.iter().product();
    let mut dims = Vec::new();
    let mut free = None;
    for (i, &d) in to.iter().enumerate() {
        match d {
            -1 if free.is_none() => {
                free = Some(i);
                dims.push(1);
            }
            0 => dims.push(*from.get(i)?),
            d => dims.push(usize::try_from(d).ok()?),
        }
    }
    let rest = dims.iter().try_fold(1usize, |n, &d| n.checked_mul(d))?;
    if let Some(i) = free {
        dims[i] = total.checked_div(rest)?;
    }
    (dims.iter().try_fold(1usize, |n, &d| n.checked_mul(d))? == total).then_some(dims)
}
