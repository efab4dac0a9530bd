//! Moves reshapes behind elementwise operators, so that these meet the linear
//! operators in front of them and reshapes meet their inverses.
use super::edit::{add_constant, fresh_name, input, producer, same_grid};
use super::permute::{aligned, reshape_value};
use crate::graph::{Graph, Node, Op, Value, ValueId};

/// Reshape → Unary, FakeQuant, BatchNorm or Binary becomes operator → Reshape.
/// Both sides of a Binary must come from equal reshapes, or one be a constant
/// that fits the shape before. Returns the operators moved.
pub fn sink_reshapes(graph: &mut Graph) -> usize {
    let mut moved = 0;
    let mut index = 0;
    while index < graph.nodes.len() {
        if sink(graph, index).is_some() {
            moved += 1;
        }
        index += 1;
    }
    moved
}

/// The reshape that makes `id`: its input.
fn reshaped(graph: &Graph, id: ValueId) -> Option<ValueId> {
    let node = producer(graph, id).filter(|&node| graph.nodes[node].op == Op::Reshape)?;
    let from = input(graph, node, 0)?;
    same_grid(graph.value(from).quant, graph.value(id).quant).then_some(from)
}

fn sink(graph: &mut Graph, index: usize) -> Option<()> {
    let y = graph.nodes[index].outputs[0];
    let after = graph.value(y).shape.clone();
    let (before, inputs) = match &graph.nodes[index].op {
        Op::Unary(_) | Op::FakeQuant => {
            let x = reshaped(graph, input(graph, index, 0)?)?;
            (graph.value(x).shape.clone(), vec![Some(x)])
        }
        Op::BatchNorm { .. } => {
            let x = reshaped(graph, input(graph, index, 0)?)?;
            let shape = graph.value(x).shape.clone();
            if shape.len() < 2 || after.len() < 2 || shape[..2] != after[..2] {
                return None;
            }
            let mut inputs = graph.nodes[index].inputs.clone();
            inputs[0] = Some(x);
            (shape, inputs)
        }
        Op::Binary { .. } => binary(graph, index, &after)?,
        _ => return None,
    };
    // The Reshape behind makes the old value; the name stays with the data's
    // first appearance, unless that is stored permuted or a graph output.
    let old = graph.value(y);
    let name = fresh_name(graph, &format!("{}.reshaped", old.name));
    let mut inner = Value { quant: old.quant, ..Value::new(name.clone(), old.dtype, before) };
    if !graph.is_output(y) && old.perm.is_none() {
        inner.name = std::mem::replace(&mut graph.value_mut(y).name, name.clone());
    }
    let inner = graph.add_value(inner);
    let node = &mut graph.nodes[index];
    node.inputs = inputs;
    node.outputs = vec![inner];
    let reshape = Node { name, op: Op::Reshape, inputs: vec![Some(inner)], outputs: vec![y] };
    graph.nodes.insert(index + 1, reshape);
    Some(())
}

/// Shape and inputs of Binary node `index` before the reshapes of its inputs.
fn binary(graph: &mut Graph, index: usize, after: &[usize]) -> Option<(Vec<usize>, Vec<Option<ValueId>>)> {
    let sides = [input(graph, index, 0)?, input(graph, index, 1)?];
    let origins = sides.map(|side| reshaped(graph, side));
    let origin = origins[0].or(origins[1])?;
    let shape = graph.value(origin).shape.clone();
    let mut inputs = Vec::new();
    for (side, origin) in sides.into_iter().zip(origins) {
        let moved = match origin {
            Some(origin) if graph.value(side).shape == after && graph.value(origin).shape == shape => origin,
            None if graph.value(side).is_constant() => constant_before(graph, side, &shape, after)?,
            _ => return None,
        };
        inputs.push(Some(moved));
    }
    Some((shape, inputs))
}

/// The constant `id`, which broadcasts to `after`, such that it broadcasts the
/// same way to `before`.
fn constant_before(graph: &mut Graph, id: ValueId, before: &[usize], after: &[usize]) -> Option<ValueId> {
    let value = graph.value(id);
    if value.elements() == 1 && value.shape.len() <= before.len() {
        return Some(id);
    }
    let shape = if value.shape == after {
        before.to_vec()
    } else {
        // Axes of length 1 come and go: the others keep their order.
        let long = |shape: &[usize]| shape.iter().copied().enumerate().filter(|&(_, n)| n != 1).collect::<Vec<_>>();
        let (from, to) = (long(after), long(before));
        if !from.iter().map(|axis| axis.1).eq(to.iter().map(|axis| axis.1)) {
            return None;
        }
        let lengths = aligned(&value.shape, after.len());
        let mut shape = vec![1; before.len()];
        for (old, new) in from.into_iter().zip(to) {
            shape[new.0] = lengths[old.0];
        }
        shape
    };
    let value = reshape_value(value, &shape)?;
    let name = format!("{}.reshaped", value.name);
    Some(add_constant(graph, &name, value))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Build, check, count};
    use super::super::{dead_code, fold_batch_norm, fuse_activations};
    use super::*;
    use crate::graph::{Binary, Unary};

    /// One-dimensional convolutions as import brings them.
    #[test]
    fn reshapes_of_one_dimensional_convolutions_cancel() {
        let mut b = Build::new();
        let x = b.input(&[2, 3, 8]);
        let mut h = b.node(Op::Reshape, &[x], &[2, 3, 1, 8]);
        h = b.conv(h, 4, 1, 1);
        h = b.node(Op::Reshape, &[h], &[2, 4, 8]);
        let bias = b.random(&[4, 1]);
        h = b.binary(Binary::Add, h, bias);
        let skip = b.unary(Unary::Relu, h);
        h = b.node(Op::Reshape, &[skip], &[2, 4, 1, 8]);
        h = b.conv(h, 4, 1, 1);
        h = b.node(Op::Reshape, &[h], &[2, 4, 8]);
        h = b.binary(Binary::Add, h, skip);
        h = b.unary(Unary::Relu, h);
        let graph = check(b.finish(&[h]), |graph| {
            sink_reshapes(graph);
            dead_code(graph);
            fold_batch_norm(graph);
            fuse_activations(graph);
        });
        assert_eq!(count(&graph, |op| *op == Op::Reshape), 2, "the input's and the output's");
        assert_eq!(graph.nodes.len(), 5);
    }

    #[test]
    fn a_constant_across_merged_axes_stays() {
        let mut b = Build::new();
        let x = b.input(&[2, 3, 4]);
        let flat = b.node(Op::Reshape, &[x], &[2, 12]);
        let c = b.random(&[12]);
        let y = b.binary(Binary::Mul, flat, c);
        check(b.finish(&[y]), |graph| assert_eq!(sink_reshapes(graph), 0));
    }
}
