//! Moves Transposes behind the operators that read them, until they cancel.
use super::edit::{add_constant, fresh_name, input, insert_before, producer};
use super::layout::{restore_output, transposed, transposition};
use super::permute::{
    aligned, compose, inverse, moves_only_units, permuted, reshape_value, restricted, transpose_value,
};
use crate::graph::{Graph, Op, Value, ValueId};

/// One sweep through the graph. A Transpose goes behind elementwise
/// operators, Concat, Pad, Slice, Gather, Reduce, Dense (if its columns stay
/// last), Softmax (if its axis stays or becomes last) and reshapes that split
/// or merge no axes it has torn apart. Two in a row become one. Returns the
/// operators passed.
pub(crate) fn sink_transposes(graph: &mut Graph) -> usize {
    let mut moved = 0;
    let mut index = 0;
    while index < graph.nodes.len() {
        simplify(graph, index);
        moved += usize::from(sink(graph, &mut index).is_some());
        index += 1;
    }
    moved
}

/// A Transpose that moves no element is a Reshape.
fn simplify(graph: &mut Graph, index: usize) {
    let Op::Transpose { perm } = &graph.nodes[index].op else { return };
    let Some(x) = input(graph, index, 0) else { return };
    let op = transposition(perm, &graph.value(x).shape);
    graph.nodes[index].op = op;
}

/// The Transpose that makes `id`: its input and permutation.
fn turned(graph: &Graph, id: ValueId) -> Option<(ValueId, Vec<usize>)> {
    let node = producer(graph, id)?;
    match &graph.nodes[node].op {
        Op::Transpose { perm } => Some((input(graph, node, 0)?, perm.clone())),
        _ => None,
    }
}

fn sink(graph: &mut Graph, index: &mut usize) -> Option<()> {
    if let Op::Binary { .. } | Op::Concat { .. } = graph.nodes[*index].op {
        return sink_many(graph, index);
    }
    let (x, perm) = turned(graph, input(graph, *index, 0)?)?;
    let last = perm.len() - 1;
    let out_shape = graph.value(graph.nodes[*index].outputs[0]).shape.clone();
    let (op, restore) = match &graph.nodes[*index].op {
        Op::Transpose { perm: second } => {
            let op = transposition(&compose(&perm, second), &graph.value(x).shape);
            graph.nodes[*index].op = op;
            graph.nodes[*index].inputs[0] = Some(x);
            return Some(());
        }
        op @ (Op::Unary(_) | Op::FakeQuant | Op::Cast | Op::DynamicQuantizeLinear) => (op.clone(), perm),
        op @ (Op::Dense { .. } | Op::LayerNorm { .. }) if perm[last] == last => (op.clone(), perm),
        Op::Softmax { axis } if perm[*axis] == last => (Op::Softmax { axis: last }, perm),
        Op::Pad { begin, end, value } => {
            let back = inverse(&perm);
            (Op::Pad { begin: permuted(begin, &back), end: permuted(end, &back), value: *value }, perm)
        }
        Op::Slice { start, step } => {
            let back = inverse(&perm);
            (Op::Slice { start: permuted(start, &back), step: permuted(step, &back) }, perm)
        }
        Op::Resample { axis, taps } => (Op::Resample { axis: perm[*axis], taps: taps.clone() }, perm),
        Op::Reduce { kind, axes, keep_dims } => {
            let mut moved: Vec<usize> = axes.iter().map(|&axis| perm[axis]).collect();
            moved.sort_unstable();
            let restore = if *keep_dims { perm } else { restricted(&perm, |axis| !axes.contains(&axis)) };
            (Op::Reduce { kind: *kind, axes: moved, keep_dims: *keep_dims }, restore)
        }
        Op::Gather { axis } => {
            let op = Op::Gather { axis: perm[*axis] };
            match graph.value(input(graph, *index, 1)?).shape.len() {
                0 => (op, restricted(&perm, |other| other != *axis)),
                1 => (op, perm),
                _ => return None,
            }
        }
        Op::Reshape => (Op::Reshape, through_reshape(&graph.value(x).shape, &perm, &out_shape)?),
        _ => return None,
    };
    graph.nodes[*index].op = op;
    graph.nodes[*index].inputs[0] = Some(x);
    restore_output(graph, *index, &restore);
    Some(())
}

/// The permutation behind Transpose(`perm`) → Reshape(`out`) once the reshape
/// comes first, if each group of axes that the reshape merges or splits is in
/// one piece before the Transpose too.
fn through_reshape(shape: &[usize], perm: &[usize], out: &[usize]) -> Option<Vec<usize>> {
    let long_before: Vec<usize> = (0..shape.len()).filter(|&axis| shape[axis] != 1).collect();
    let rank_of = |axis: usize| long_before.iter().position(|&other| other == axis);
    // Where each long axis of the Transpose's output lies before it.
    let mut ins = perm.iter().filter_map(|&axis| Some((rank_of(axis)?, shape[axis])));
    let mut outs = (0..out.len()).filter(|&axis| out[axis] != 1);
    // (place before the Transpose, axes of the reshape's output)
    let mut groups: Vec<(usize, Vec<usize>)> = Vec::new();
    while let Some((place, length)) = ins.next() {
        let (mut left, mut right) = (length, 1);
        let (mut end, mut axes) = (place, Vec::new());
        while left != right || axes.is_empty() {
            if left < right {
                let (next, length) = ins.next()?;
                if next != end + 1 {
                    return None;
                }
                end = next;
                left *= length;
            } else {
                let axis = outs.next()?;
                right *= out[axis];
                axes.push(axis);
            }
        }
        groups.push((place, axes));
    }
    groups.sort_by_key(|group| group.0);
    // Axes of length 1 go with the next long one; a batch of one stays first.
    let mut order = Vec::with_capacity(out.len());
    if out.first() == Some(&1) {
        order.push(0);
    }
    for axis in groups.into_iter().flat_map(|group| group.1) {
        let start = (0..axis).rev().take_while(|&unit| out[unit] == 1 && unit > 0).last().unwrap_or(axis);
        order.extend(start..=axis);
    }
    order.extend((0..out.len()).filter(|axis| !order.contains(axis)).collect::<Vec<_>>());
    Some(inverse(&order))
}

/// Whether `perm` brings channels from the last to the second axis.
fn to_channels_first(perm: &[usize]) -> bool {
    let rank = perm.len();
    rank > 2 && perm[0] == 0 && perm[1] == rank - 1 && perm[2..].iter().enumerate().all(|(i, &axis)| axis == i + 1)
}

/// Binary and Concat: constants are permuted, computed values that are not
/// transposed are where that costs nothing or leads to channels last.
fn sink_many(graph: &mut Graph, index: &mut usize) -> Option<()> {
    let rank = graph.value(graph.nodes[*index].outputs[0]).shape.len();
    let sides: Vec<ValueId> = graph.nodes[*index].inputs.iter().flatten().copied().collect();
    let perms = sides.iter().filter_map(|&side| Some(turned(graph, side)?.1)).filter(|perm| perm.len() == rank);
    let mut perms: Vec<Vec<usize>> = perms.collect();
    perms.sort_by_key(|perm| !to_channels_first(perm));
    let perm = perms.into_iter().next()?;
    let back = inverse(&perm);
    let fits = |&side: &ValueId| {
        let value = graph.value(side);
        let same = turned(graph, side).is_some_and(|(_, other)| other == perm);
        let free = moves_only_units(&back, &aligned(&value.shape, rank));
        let movable = value.is_constant() || to_channels_first(&perm) || free;
        value.shape.len() <= rank && (same || movable)
    };
    if !sides.iter().all(fits) {
        return None;
    }
    let mut inputs = Vec::with_capacity(sides.len());
    for side in sides {
        inputs.push(Some(side_before(graph, index, side, rank, &perm, &back)?));
    }
    let node = &mut graph.nodes[*index];
    node.inputs = inputs;
    if let Op::Concat { axis } = &mut node.op {
        *axis = perm[*axis];
    }
    restore_output(graph, *index, &perm);
    Some(())
}

/// One input of a Binary or Concat as it was before Transpose(`perm`).
fn side_before(
    graph: &mut Graph,
    index: &mut usize,
    side: ValueId,
    rank: usize,
    perm: &[usize],
    back: &[usize],
) -> Option<ValueId> {
    if let Some((x, _)) = turned(graph, side).filter(|(_, other)| other == perm) {
        return Some(x);
    }
    let value = graph.value(side);
    let shape = aligned(&value.shape, rank);
    if value.elements() == 1 && matches!(graph.nodes[*index].op, Op::Binary { .. }) {
        return Some(side);
    }
    if value.is_constant() {
        let name = format!("{}.transposed", value.name);
        let value = transpose_value(&reshape_value(value, &shape)?, back);
        return Some(add_constant(graph, &name, value));
    }
    let mut side = side;
    if value.shape.len() < rank {
        let name = fresh_name(graph, &format!("{}.aligned", value.name));
        let value = Value { quant: value.quant, ..Value::new(name, value.dtype, shape) };
        side = insert_before(graph, *index, Op::Reshape, side, value);
        *index += 1;
    }
    Some(transposed(graph, index, side, back))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reshapes_are_passed_in_groups() {
        // [N, L, C] → [N, C, L] → [N, C, 1, L]
        assert_eq!(through_reshape(&[2, 8, 3], &[0, 2, 1], &[2, 3, 1, 8]), Some(vec![0, 3, 1, 2]));
        assert_eq!(through_reshape(&[1, 8, 3], &[0, 2, 1], &[1, 3, 1, 8]), Some(vec![0, 3, 1, 2]));
        // [N, H, W, C] → [N, C, H, W] → [N, g, C/g, H, W]
        assert_eq!(through_reshape(&[1, 5, 4, 6], &[0, 3, 1, 2], &[1, 2, 3, 5, 4]), Some(vec![0, 3, 4, 1, 2]));
        // … → [N, C, H·W]
        assert_eq!(through_reshape(&[1, 5, 4, 6], &[0, 3, 1, 2], &[1, 6, 20]), Some(vec![0, 2, 1]));
        // … → [N, C·H·W]
        assert_eq!(through_reshape(&[1, 5, 4, 6], &[0, 3, 1, 2], &[1, 120]), None);
    }
}
