//! Replaces nodes whose inputs are all constant by their result.
use super::constants::{gather_constant, reshape_codes, strides, transpose_codes};
use super::fold_by_running::fold_by_running;
use super::{eval, fold_plain};
use crate::graph::{Constant, DType, Graph, Node, Op, QuantCodes, Value, ValueId, map_constant};

/// Most elements a fold may make.
const MAX_ELEMENTS: usize = 1 << 26;

/// Folds every node whose inputs are all constant. Codes of quantized
/// constants survive Transpose, and Reshape where the quantized axis does.
pub fn fold_constants(graph: &mut Graph) {
    let mut kept = Vec::with_capacity(graph.nodes.len());
    for node in std::mem::take(&mut graph.nodes) {
        match fold_node(graph, &node) {
            Some((data, codes)) => {
                let value = graph.value_mut(node.outputs[0]);
                value.data = Some(data);
                value.codes = codes;
            }
            None => kept.push(node),
        }
    }
    graph.nodes = kept;
}

/// The constant that `node` computes, if its inputs are constant and its
/// operator is one that folds.
pub(crate) fn fold_node(graph: &Graph, node: &Node) -> Option<(Constant, Option<QuantCodes>)> {
    let &[output] = node.outputs.as_slice() else { return None };
    let out = graph.value(output);
    if out.elements() > MAX_ELEMENTS || node.inputs.is_empty() {
        return None;
    }
    let inputs: Vec<&Value> = node
        .inputs
        .iter()
        .map(|i: &Option<ValueId>| i.map(|id| graph.value(id)).filter(|v| v.is_constant()))
        .collect::<Option<_>>()?;
    let x = *inputs.first()?;
    let data = x.data.as_ref()?;
    let plain = |data: Constant| (data.len() == out.elements()).then_some((data, None));
    match &node.op {
        Op::Reshape if data.len() == out.elements() => {
            let codes = x.codes.as_ref().and_then(|c| reshape_codes(c, &x.shape, &out.shape));
            Some((data.clone(), codes))
        }
        Op::Transpose { perm } => {
            let codes = x.codes.as_ref().map(|c| transpose_codes(c, &x.shape, perm));
            let from = strides(&x.shape);
            let step: Vec<isize> = perm.iter().map(|&p| from[p] as isize).collect();
            Some((gather_constant(data, 0, &step, &out.shape), codes))
        }
        Op::Slice { start, step } => plain(slice(data, &x.shape, start, step, &out.shape)),
        Op::Unary(kind) => match data {
            Constant::F32(v) => plain(Constant::F32(v.iter().map(|&x| eval::unary(*kind, x)).collect())),
            _ => plain(fold_plain::fold(&node.op, &inputs, out)?),
        },
        Op::Binary { kind, clamp } if out.dtype == DType::F32 => {
            let (l, r) = (broadcast(x, &out.shape)?, broadcast(inputs.get(1)?, &out.shape)?);
            match (l, r) {
                (Constant::F32(l), Constant::F32(r)) => {
                    let one = |(&l, &r): (&f32, &f32)| {
                        let y = eval::binary(*kind, l, r);
                        clamp.map_or(y, |c| y.max(c.lo).min(c.hi))
                    };
                    plain(Constant::F32(l.iter().zip(&r).map(one).collect()))
                }
                _ => None,
            }
        }
        Op::Binary { .. } | Op::Compare { .. } | Op::Select | Op::ArgReduce { .. } | Op::CumSum { .. } => {
            plain(fold_plain::fold(&node.op, &inputs, out)?)
        }
        Op::Cast => plain(cast(data, out.dtype)?),
        Op::Concat { axis } => plain(concat(&inputs, *axis)?),
        Op::Gather { axis } => plain(gather(x, inputs.get(1)?, *axis)?),
        Op::Pad { begin, end: _, value } => plain(pad(x, begin, *value, &out.shape)?),
        Op::Reduce { kind, axes, .. } => match data {
            Constant::F32(v) => {
                let mut order: Vec<usize> = (0..x.shape.len()).filter(|a| !axes.contains(a)).collect();
                order.extend(axes);
                let moved = super::constants::permute(v, &x.shape, &order);
                let each: usize = axes.iter().map(|&a| x.shape[a]).product();
                if each == 0 {
                    let nothing = eval::reduce(*kind, std::iter::empty());
                    return plain(Constant::F32(vec![nothing; out.elements()]));
                }
                plain(Constant::F32(moved.chunks(each).map(|c| eval::reduce(*kind, c.iter().copied())).collect()))
            }
            _ => plain(fold_plain::fold(&node.op, &inputs, out)?),
        },
        Op::Dense { clamp } => {
            let y = dense(x, inputs.get(1)?, inputs.get(2).copied())?;
            plain(Constant::F32(y.into_iter().map(|y| clamp.map_or(y, |c| y.max(c.lo).min(c.hi))).collect()))
        }
        Op::MatMul if x.shape.len() == 2 => plain(Constant::F32(matmul(x, inputs.get(1)?)?)),
        Op::Expand => plain(broadcast(x, &out.shape)?),
        Op::BitCast | Op::GatherElements { .. } | Op::Scatter { .. } | Op::Resample { .. } | Op::ConvNd { .. } => {
            plain(fold_by_running(graph, node)?)
        }
        _ => None,
    }
}

/// Rows of x times rows of w, summed in f64.
fn dense(x: &Value, w: &Value, bias: Option<&Value>) -> Option<Vec<f32>> {
    let &[n, k] = w.shape.as_slice() else { return None };
    let (x, w) = (x.f32s()?, w.f32s()?);
    let bias = match bias {
        Some(bias) => bias.f32s().filter(|bias| bias.len() == n)?.to_vec(),
        None => vec![0.0; n],
    };
    if k == 0 || x.len() % k != 0 {
        return None;
    }
    let dot = |x: &[f32], w: &[f32]| x.iter().zip(w).map(|(&x, &w)| f64::from(x) * f64::from(w)).sum::<f64>();
    let row = |x: &'_ [f32]| -> Vec<f32> {
        w.chunks(k).zip(&bias).map(|(w, &bias)| (dot(x, w) + f64::from(bias)) as f32).collect()
    };
    Some(x.chunks(k).flat_map(row).collect())
}

/// Product of two matrices, summed in f64.
fn matmul(a: &Value, b: &Value) -> Option<Vec<f32>> {
    let (&[_, k], &[rows, n]) = (a.shape.as_slice(), b.shape.as_slice()) else { return None };
    if k == 0 || rows != k {
        return None;
    }
    let turned = super::constants::permute(b.f32s()?, &b.shape, &[1, 0]);
    let turned = Value::constant("", vec![n, k], Constant::F32(turned));
    dense(a, &turned, None)
}

fn slice(data: &Constant, shape: &[usize], start: &[usize], step: &[isize], out: &[usize]) -> Constant {
    let own = strides(shape);
    let first: usize = start.iter().zip(&own).map(|(a, b)| a * b).sum();
    let step: Vec<isize> = step.iter().zip(&own).map(|(s, &o)| s.saturating_mul(o as isize)).collect();
    // A step beyond the tensor is only ever taken along an axis of one element.
    let step: Vec<isize> = step.iter().zip(out).map(|(&s, &n)| if n <= 1 { 0 } else { s }).collect();
    gather_constant(data, first as isize, &step, out)
}

pub(super) fn broadcast(value: &Value, to: &[usize]) -> Option<Constant> {
    let missing = to.len().checked_sub(value.shape.len())?;
    let own = strides(&value.shape);
    let mut step = vec![0isize; to.len()];
    for (axis, &d) in value.shape.iter().enumerate() {
        if d != 1 {
            if d != to[axis + missing] {
                return None;
            }
            step[axis + missing] = own[axis] as isize;
        }
    }
    Some(gather_constant(value.data.as_ref()?, 0, &step, to))
}

/// Floats truncate and saturate, as on the device.
fn cast(data: &Constant, to: DType) -> Option<Constant> {
    let v = match data {
        Constant::F32(v) => v,
        data => return Some(Constant::from_integers(&data.integers()?, to)),
    };
    Some(match to {
        DType::F32 => Constant::F32(v.clone()),
        DType::Bool => Constant::Bool(v.iter().map(|&x| x != 0.0).collect()),
        DType::I64 => Constant::I64(v.iter().map(|&x| x as i64).collect()),
        DType::I32 => Constant::I32(v.iter().map(|&x| x as i32).collect()),
        DType::I16 => Constant::I16(v.iter().map(|&x| x as i16).collect()),
        DType::I8 => Constant::I8(v.iter().map(|&x| x as i8).collect()),
        DType::U8 => Constant::U8(v.iter().map(|&x| x as u8).collect()),
        DType::U16 => Constant::U16(v.iter().map(|&x| x as u16).collect()),
        DType::U32 => Constant::U32(v.iter().map(|&x| x as u32).collect()),
        DType::U64 => Constant::U64(v.iter().map(|&x| x as u64).collect()),
    })
}

fn concat(inputs: &[&Value], axis: usize) -> Option<Constant> {
    let inner = |v: &Value| v.shape.get(axis..).map(|s| s.iter().product::<usize>());
    let outer: usize = inputs.first()?.shape.get(..axis)?.iter().product();
    macro_rules! join {
        ($($kind:ident),*) => {
            match inputs[0].data.as_ref()? {
                $(Constant::$kind(_) => {
                    let mut out = Vec::new();
                    for o in 0..outer {
                        for v in inputs {
                            let (Some(Constant::$kind(d)), n) = (&v.data, inner(v)?) else { return None };
                            out.extend_from_slice(d.get(o * n..(o + 1) * n)?);
                        }
                    }
                    Some(Constant::$kind(out))
                })*
            }
        };
    }
    join!(F32, I64, I32, I8, U8, Bool, I16, U16, U32, U64)
}

fn gather(x: &Value, index: &Value, axis: usize) -> Option<Constant> {
    let index = index.data.as_ref()?.integers()?;
    let inner: usize = x.shape.get(axis + 1..)?.iter().product();
    let outer: usize = x.shape[..axis].iter().product();
    let len = x.shape[axis];
    let at: Vec<usize> = index
        .iter()
        .map(|&i| usize::try_from(if i < 0 { i + len as i128 } else { i }).ok().filter(|&i| i < len))
        .collect::<Option<_>>()?;
    let mut order = Vec::with_capacity(outer * at.len() * inner);
    for o in 0..outer {
        for &i in &at {
            order.extend((0..inner).map(|k| (o * len + i) * inner + k));
        }
    }
    Some(map_constant!(x.data.as_ref()?, v => order.iter().map(|&i| v[i]).collect()))
}

fn pad(x: &Value, begin: &[usize], value: f32, out: &[usize]) -> Option<Constant> {
    let data = x.f32s()?;
    let to = strides(out);
    let from = strides(&x.shape);
    let mut padded = vec![value; out.iter().product()];
    for (i, &v) in data.iter().enumerate() {
        let at: usize = (0..out.len()).map(|a| (i / from[a] % x.shape[a] + begin[a]) * to[a]).sum();
        *padded.get_mut(at)? = v;
    }
    Some(Constant::F32(padded))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Binary, Unary};

    fn constant(graph: &mut Graph, shape: &[usize], data: Vec<f32>) -> Option<ValueId> {
        Some(graph.add_value(Value::constant("c", shape.to_vec(), Constant::F32(data))))
    }

    #[test]
    fn chains_fold_and_computed_values_stay() {
        let mut g = Graph::default();
        let a = constant(&mut g, &[2, 1], vec![1.0, 2.0]);
        let b = constant(&mut g, &[3], vec![10.0, 20.0, 30.0]);
        let input = g.add_value(Value::new("x", DType::F32, vec![2, 3]));
        g.inputs.push(input);
        let sum = g.add_value(Value::new("sum", DType::F32, vec![2, 3]));
        let neg = g.add_value(Value::new("neg", DType::F32, vec![2, 3]));
        let out = g.add_value(Value::new("out", DType::F32, vec![2, 3]));
        let add = Op::Binary { kind: Binary::Add, clamp: None };
        for (op, inputs, output) in [
            (add.clone(), vec![a, b], sum),
            (Op::Unary(Unary::Neg), vec![Some(sum)], neg),
            (add, vec![Some(input), Some(neg)], out),
        ] {
            g.nodes.push(Node { name: "n".into(), op, inputs, outputs: vec![output] });
        }
        g.outputs.push(out);
        fold_constants(&mut g);
        assert_eq!(g.nodes.len(), 1);
        assert_eq!(g.value(neg).f32s().unwrap(), [-11.0, -21.0, -31.0, -12.0, -22.0, -32.0]);
    }

    #[test]
    fn slice_walks_backwards() {
        let data = Constant::I64((0..6).collect());
        assert_eq!(slice(&data, &[2, 3], &[1, 2], &[-1, -2], &[2, 2]), Constant::I64(vec![5, 3, 2, 0]));
    }
}
