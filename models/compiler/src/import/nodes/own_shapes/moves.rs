//! Shapes of operators that move elements.
use tract_onnx::pb::NodeProto;

use super::super::builder::Builder;
use super::super::elementwise::broadcast;
use super::super::pad::Pads;
use super::super::{einsum, gather, indexed, one_hot, rearrange};
use crate::graph::DType;
use crate::import::attrs;
use crate::import::error::{NodeResult, bad};
use crate::import::twin::Fact;
use crate::passes::constants::permutation;

pub(super) fn facts(b: &mut Builder, node: &NodeProto) -> NodeResult<Option<Vec<Fact>>> {
    if node.input.first().is_none_or(String::is_empty) {
        return Ok(None);
    }
    let x = b.required(node, 0)?;
    let (dtype, shape) = (b.value(x).dtype, b.shape(x));
    let rank = shape.len();
    let shape = match node.op_type.as_str() {
        "Identity" | "ReverseSequence" | "Trilu" | "Scatter" | "ScatterElements" | "ScatterND" | "TensorScatter" => {
            shape
        }
        "Reshape" => reshaped(b, node, &shape)?,
        "Flatten" => {
            let axis = match attrs::int(node, "axis", 1)? {
                axis if axis == rank as i64 => rank,
                axis => attrs::axis(axis, rank)?,
            };
            vec![shape[..axis].iter().product(), shape[axis..].iter().product()]
        }
        "Squeeze" => {
            let axes = match stated_axes(b, node)? {
                Some(list) => attrs::axes(&list, rank)?,
                None => (0..rank).filter(|&i| shape[i] == 1).collect(),
            };
            if let Some(&axis) = axes.iter().find(|&&i| shape[i] != 1) {
                return bad(format!("axis {axis} of {shape:?} has not length 1"));
            }
            (0..rank).filter(|i| !axes.contains(i)).map(|i| shape[i]).collect()
        }
        "Unsqueeze" => {
            let list = stated_axes(b, node)?.unwrap_or_default();
            let axes = attrs::axes(&list, rank + list.len())?;
            let mut rest = shape.into_iter();
            (0..rank + axes.len()).map(|i| if axes.contains(&i) { 1 } else { rest.next().unwrap_or(1) }).collect()
        }
        "Transpose" => {
            let Some(perm) = permutation(attrs::ints(node, "perm")?, rank) else {
                return bad(format!("perm is no permutation of {rank} axes"));
            };
            perm.iter().map(|&p| shape[p]).collect()
        }
        "Concat" => {
            let axis = attrs::axis(attrs::int(node, "axis", 1)?, rank)?;
            let mut out = shape;
            for i in 1..node.input.len() {
                let other = b.required(node, i)?;
                match b.shape(other).get(axis) {
                    Some(d) if b.shape(other).len() == rank => out[axis] += d,
                    _ => return bad(format!("{:?} does not join the others", b.shape(other))),
                }
            }
            out
        }
        "Split" => {
            let (axis, sizes) = gather::parts(b, node)?;
            let one = |d| {
                let mut shape = shape.clone();
                shape[axis] = d;
                Fact { dtype, shape }
            };
            return Ok(Some(sizes.into_iter().map(one).collect()));
        }
        "Slice" => gather::sliced(b, node)?.shape,
        "Expand" => {
            let to = b.ints(node, 1)?.unwrap_or_default();
            let to = to.iter().map(|&d| usize::try_from(d).unwrap_or(usize::MAX)).collect::<Vec<_>>();
            match broadcast(&shape, &to) {
                Some(shape) => shape,
                None => return bad(format!("{shape:?} does not broadcast to {to:?}")),
            }
        }
        "Tile" => {
            let times = b.ints(node, 1)?.unwrap_or_default();
            let one = |(&d, &n): (&usize, &i64)| usize::try_from(n).ok().and_then(|n| d.checked_mul(n));
            match shape.iter().zip(&times).map(one).collect() {
                Some(shape) if times.len() == rank => shape,
                _ => return bad(format!("{shape:?} repeated {times:?} times")),
            }
        }
        "Pad" => Pads::of(b, node, rank)?.applied(&shape)?,
        "Gather" => {
            let axis = attrs::axis(attrs::int(node, "axis", 0)?, rank)?;
            let at = b.required(node, 1)?;
            [&shape[..axis], &b.shape(at), &shape[axis + 1..]].concat()
        }
        "GatherElements" => {
            let at = b.required(node, 1)?;
            b.shape(at)
        }
        "GatherND" => {
            let at = b.required(node, 1)?;
            let batch = usize::try_from(attrs::int(node, "batch_dims", 0)?).unwrap_or(usize::MAX);
            indexed::gathered(&shape, &b.shape(at), batch)?
        }
        "OneHot" => {
            let values = b.required(node, 2)?;
            let dtype = b.value(values).dtype;
            return Ok(Some(vec![Fact { dtype, shape: one_hot::shape(b, node)?.0 }]));
        }
        "TopK" => {
            let (shape, _) = indexed::best(b, node)?;
            let indices = Fact { dtype: DType::I64, shape: shape.clone() };
            return Ok(Some(vec![Fact { dtype, shape }, indices]));
        }
        "DepthToSpace" | "SpaceToDepth" => {
            let block = usize::try_from(attrs::int(node, "blocksize", 0)?).unwrap_or(0);
            match shape[..] {
                [n, c, h, w] if (1..1 << 12).contains(&block) && node.op_type == "DepthToSpace" => {
                    vec![n, c / (block * block), h * block, w * block]
                }
                [n, c, h, w] if (1..1 << 12).contains(&block) => vec![n, c * block * block, h / block, w / block],
                _ => return bad(format!("input {shape:?} with blocks of {block}")),
            }
        }
        "Compress" => {
            let count = rearrange::selected(b, node)?.len();
            match attrs::has(node, "axis") {
                true => {
                    let mut shape = shape;
                    shape[attrs::axis(attrs::int(node, "axis", 0)?, rank)?] = count;
                    shape
                }
                false => vec![count],
            }
        }
        "CenterCropPad" => rearrange::centered(b, node)?,
        "Einsum" => einsum::shape(b, node)?,
        _ => return Ok(None),
    };
    Ok(Some(vec![Fact { dtype, shape }]))
}

/// Axes as an input (operator set 13) or an attribute.
fn stated_axes(b: &mut Builder, node: &NodeProto) -> NodeResult<Option<Vec<i64>>> {
    match b.ints(node, 1)? {
        Some(list) => Ok(Some(list)),
        None => Ok(attrs::ints(node, "axes")?.map(<[i64]>::to_vec)),
    }
}

fn reshaped(b: &mut Builder, node: &NodeProto, from: &[usize]) -> NodeResult<Vec<usize>> {
    let to = b.ints(node, 1)?.unwrap_or_default();
    let zero = attrs::flag(node, "allowzero", false)?;
    let mut shape = Vec::with_capacity(to.len());
    for (i, &d) in to.iter().enumerate() {
        shape.push(match (d, from.get(i)) {
            (0, Some(&d)) if !zero => d,
            (-1, _) => 1,
            (d, _) => match usize::try_from(d) {
                Ok(d) if d > 0 || zero => d,
                _ => return bad(format!("{from:?} in the shape {to:?}")),
            },
        });
    }
    let count = |shape: &[usize]| shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
    let (all, stated) = (count(from), count(&shape));
    if let Some(free) = to.iter().position(|&d| d == -1)
        && let (Some(all), Some(stated)) = (all, stated)
    {
        shape[free] = all.checked_div(stated).unwrap_or(0);
    }
    if count(&shape) != all || to.iter().filter(|&&d| d == -1).count() > 1 {
        return bad(format!("{from:?} in the shape {to:?}"));
    }
    Ok(shape)
}
