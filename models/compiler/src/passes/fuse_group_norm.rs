//! Group normalization as exporters spell it: grouped axes, InstanceNormalization, scale and shift.
use super::edit::{add_constant, fresh_name, input, only_reader, producer};
use super::fold_batch_norm::{Affine, affine};
use crate::graph::{Constant, Graph, Layout, Node, Op, Value, ValueId};

/// Reshape to `[N, G, …]` → GroupNorm of one channel a group → Reshape back becomes a GroupNorm of G
/// groups; a constant scale, shift or BatchNorm by channel behind a GroupNorm becomes part of its own.
/// Nothing is moved over a value with a grid. Returns what was found.
pub fn fuse_group_norm(graph: &mut Graph) -> usize {
    let mut found = 0;
    let mut index = 0;
    while index < graph.nodes.len() {
        if matches!(graph.nodes[index].op, Op::GroupNorm { .. }) {
            // Either may remove nodes in front of this one or behind it: look again from here.
            if regroup(graph, index).is_some() || absorb_affine(graph, index).is_some() {
                found += 1;
                index = 0;
                continue;
            }
        }
        index += 1;
    }
    found
}

/// The value in front of a chain of Reshapes which nothing else reads.
fn before_reshapes(graph: &Graph, mut id: ValueId) -> ValueId {
    while let Some(node) = producer(graph, id).filter(|&node| graph.nodes[node].op == Op::Reshape) {
        let Some(x) = input(graph, node, 0) else { break };
        if only_reader(graph, id).is_none() || graph.value(id).quant.is_some() || graph.value(x).quant.is_some() {
            break;
        }
        id = x;
    }
    id
}

/// The values behind a chain of Reshapes, nearest first.
fn behind_reshapes(graph: &Graph, mut id: ValueId) -> Vec<ValueId> {
    let mut chain = Vec::new();
    while let Some(node) = only_reader(graph, id).filter(|&node| graph.nodes[node].op == Op::Reshape) {
        if graph.value(id).quant.is_some() {
            break;
        }
        id = graph.nodes[node].outputs[0];
        chain.push(id);
    }
    chain
}

fn regroup(graph: &mut Graph, index: usize) -> Option<()> {
    let Op::GroupNorm { groups, epsilon, layout: Layout::Nchw, clamp: None } = graph.nodes[index].op else {
        return None;
    };
    let (x, y) = (input(graph, index, 0)?, graph.nodes[index].outputs[0]);
    let grouped = graph.value(x).shape.clone();
    if grouped.get(1) != Some(&groups) {
        return None;
    }
    let root = before_reshapes(graph, x);
    let shape = graph.value(root).shape.clone();
    let channels = *shape.get(1)?;
    let fits = root != x
        && shape.first() == grouped.first()
        && channels.is_multiple_of(groups)
        // As many groups as channels on three axes is the importer's own form.
        && (shape.len() == 4 || shape.len() == 3 && channels != groups);
    let end = behind_reshapes(graph, y).into_iter().find(|&id| graph.value(id).shape == shape).filter(|_| fits)?;
    let spread = |slot: usize| {
        let each = graph.value(input(graph, index, slot)?).f32s().filter(|data| data.len() == groups)?;
        let size = channels / groups;
        Some(each.iter().flat_map(|&v| std::iter::repeat_n(v, size)).collect::<Vec<f32>>())
    };
    let parameters = [spread(1)?, spread(2)?];
    let [gamma, beta] = parameters.map(|data| {
        let value = Value::constant("", vec![channels], Constant::F32(data));
        add_constant(graph, &format!("{}.channels", graph.nodes[index].name), value)
    });
    let op = Op::GroupNorm { groups, epsilon, layout: Layout::Nchw, clamp: None };
    graph.nodes[index].op = op;
    let rest = [Some(gamma), Some(beta)];
    if shape.len() == 4 {
        graph.nodes[index].inputs = [Some(root)].into_iter().chain(rest).collect();
        detach(graph, end);
        graph.nodes[index].outputs = vec![end];
        return Some(());
    }
    // Two spatial axes, the first of length 1.
    let wide = vec![shape[0], channels, 1, shape[2]];
    let [from, to] = [root, end].map(|id| {
        let name = fresh_name(graph, &format!("{}.wide", graph.value(id).name));
        let dtype = graph.value(id).dtype;
        graph.add_value(Value::new(name, dtype, wide.clone()))
    });
    detach(graph, end);
    graph.nodes[index].inputs = [Some(from)].into_iter().chain(rest).collect();
    graph.nodes[index].outputs = vec![to];
    let reshape = |name: String, from, to| Node { name, op: Op::Reshape, inputs: vec![Some(from)], outputs: vec![to] };
    let name = graph.nodes[index].name.clone();
    graph.nodes.insert(index + 1, reshape(format!("{name}.back"), to, end));
    graph.nodes.insert(index, reshape(format!("{name}.wide"), root, from));
    Some(())
}

/// Lets the node that wrote `id` write another value, which nobody reads.
fn detach(graph: &mut Graph, id: ValueId) {
    let Some(node) = producer(graph, id) else { return };
    let old = graph.value(id);
    let name = fresh_name(graph, &format!("{}.unused", old.name));
    let value = Value::new(name, old.dtype, old.shape.clone());
    let unused = graph.add_value(value);
    for output in &mut graph.nodes[node].outputs {
        if *output == id {
            *output = unused;
        }
    }
}

fn absorb_affine(graph: &mut Graph, index: usize) -> Option<()> {
    let Op::GroupNorm { layout, clamp: None, .. } = graph.nodes[index].op else { return None };
    let y = graph.nodes[index].outputs[0];
    let reader = only_reader(graph, y).filter(|_| graph.value(y).quant.is_none())?;
    let axis = if layout == Layout::Nchw { 1 } else { 3 };
    let channels = *graph.value(y).shape.get(axis)?;
    let Affine { x, scale, shift, clamp: new } = affine(graph, reader, axis, channels)?;
    let parameter = |slot: usize| graph.value(input(graph, index, slot)?).f32s().map(<[f32]>::to_vec);
    let (gamma, beta) = (parameter(1)?, parameter(2)?);
    if x != y || gamma.len() != channels || beta.len() != channels {
        return None;
    }
    let scaled = |data: &[f32], shift: &dyn Fn(usize) -> f64| -> Vec<f32> {
        data.iter().enumerate().map(|(c, &v)| (f64::from(v) * scale[c] + shift(c)) as f32).collect()
    };
    let parameters = [scaled(&gamma, &|_| 0.0), scaled(&beta, &|c| shift[c])];
    if parameters.iter().flatten().any(|v| !v.is_finite()) {
        return None;
    }
    for (slot, data) in parameters.into_iter().enumerate() {
        let base = format!("{}.{}", graph.nodes[index].name, ["gamma", "beta"][slot]);
        let value = Value::constant("", vec![channels], Constant::F32(data));
        let id = add_constant(graph, &base, value);
        graph.nodes[index].inputs[slot + 1] = Some(id);
    }
    if let Op::GroupNorm { clamp, .. } = &mut graph.nodes[index].op {
        *clamp = new;
    }
    graph.nodes[index].outputs = graph.nodes.remove(reader).outputs;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Build, check, count, grid};
    use super::super::{dead_code, optimize};
    use super::*;
    use crate::graph::{Binary, Unary};

    fn norm(b: &mut Build, x: ValueId, groups: usize, random: bool) -> ValueId {
        let shape = b.graph.value(x).shape.clone();
        let (gamma, beta) = match random {
            true => (b.random(&[shape[1]]), b.random(&[shape[1]])),
            false => (b.constant(&[shape[1]], vec![1.0; shape[1]]), b.constant(&[shape[1]], vec![0.0; shape[1]])),
        };
        b.node(Op::GroupNorm { groups, epsilon: 1e-3, layout: Layout::Nchw, clamp: None }, &[x, gamma, beta], &shape)
    }

    /// As exporters write a GroupNorm of 3 groups: see the file's first line.
    fn spelled(b: &mut Build, x: ValueId, own: bool) -> ValueId {
        let shape = b.graph.value(x).shape.clone();
        let rest = shape.iter().product::<usize>() / shape[0] / 3;
        let flat = b.node(Op::Reshape, &[x], &[shape[0], 3, rest]);
        let wide = b.node(Op::Reshape, &[flat], &[shape[0], 3, 1, rest]);
        let y = norm(b, wide, 3, own);
        let flat = b.node(Op::Reshape, &[y], &[shape[0], 3, rest]);
        let back = b.node(Op::Reshape, &[flat], &shape);
        let parameters = [vec![shape[1]], vec![1; shape.len() - 2]].concat();
        let (gamma, beta) = (b.random(&parameters), b.random(&parameters));
        let y = b.binary(Binary::Mul, back, gamma);
        b.binary(Binary::Add, beta, y)
    }

    #[test]
    fn the_exporters_form_becomes_one_normalization() {
        for shape in [vec![2, 6, 4, 5], vec![2, 6, 7], vec![1, 3, 4, 4]] {
            for own in [false, true] {
                let mut b = Build::new();
                let x = b.input(&shape);
                let y = spelled(&mut b, x, own);
                let y = b.unary(Unary::Relu, y);
                let graph = check(b.finish(&[y]), optimize);
                let norms =
                    |graph: &Graph| count(graph, |op| matches!(op, Op::GroupNorm { groups: 3, clamp: Some(_), .. }));
                assert_eq!(norms(&graph), 1, "{:?}", graph.nodes.iter().map(|n| &n.op).collect::<Vec<_>>());
                assert_eq!(count(&graph, |op| matches!(op, Op::Binary { .. } | Op::Unary(_))), 0);
            }
        }
    }

    #[test]
    fn a_batch_norm_in_front_folds_into_the_convolution_and_one_behind_into_the_group_norm() {
        let mut b = Build::new();
        let x = b.input(&[2, 3, 6, 6]);
        let h = b.conv(x, 8, 3, 1);
        let batch = |b: &mut Build, x: ValueId| {
            let shape = b.graph.value(x).shape.clone();
            let parameters = [b.random(&[8]), b.random(&[8]), b.random(&[8])];
            let variance = b.constant(&[8], (0..8).map(|c| 0.5 + c as f32).collect());
            let [gamma, beta, mean] = parameters;
            b.node(Op::BatchNorm { epsilon: 1e-3 }, &[x, gamma, beta, mean, variance], &shape)
        };
        let h = batch(&mut b, h);
        let h = norm(&mut b, h, 4, true);
        let h = batch(&mut b, h);
        let h = b.unary(Unary::Relu, h);
        let y = b.conv(h, 4, 1, 1);
        let graph = check(b.finish(&[y]), optimize);
        let computing: Vec<&Op> =
            graph.nodes.iter().map(|n| &n.op).filter(|op| !matches!(op, Op::Transpose { .. })).collect();
        assert!(
            matches!(
                computing[..],
                [Op::Conv { .. }, Op::GroupNorm { clamp: Some(_), layout: Layout::Nhwc, .. }, Op::Conv { .. }]
            ),
            "{computing:?}"
        );
    }

    #[test]
    fn grids_other_readers_and_other_shapes_keep_things_apart() {
        let with = |change: &dyn Fn(&mut Build, ValueId)| {
            let mut b = Build::new();
            let x = b.input(&[2, 6, 4, 4]);
            let y = spelled(&mut b, x, false);
            change(&mut b, y);
            let before = b.finish(&[y]);
            check(before, |graph| {
                while fuse_group_norm(graph) > 0 {}
                dead_code(graph);
            })
        };
        let reshapes = |graph: &Graph| count(graph, |op| *op == Op::Reshape);
        assert_eq!(reshapes(&with(&|_, _| ())), 0);
        // Values v1 (flat), v2 (wide), v5 (normalized) of `spelled`.
        for id in [1, 2, 5] {
            let gridded = with(&|b, _| b.graph.values[id].quant = Some(grid(0.1, 0)));
            assert!(reshapes(&gridded) > 0, "value {id}");
        }
        let mut b = Build::new();
        let x = b.input(&[2, 6, 4, 4]);
        let y = norm(&mut b, x, 2, true);
        let by_row = b.random(&[1, 1, 4, 1]);
        let z = b.binary(Binary::Mul, y, by_row);
        check(b.finish(&[z, y]), |graph| assert_eq!(fuse_group_norm(graph), 0));
    }
}
