//! Joins the Transposes on both sides of a merging Reshape into one.
use super::edit::{input, only_reader, producer, same_grid};
use super::layout::transposed;
use crate::graph::{Graph, Op};

/// Transpose → Reshape that only merges axes → Transpose becomes Transpose →
/// Reshape. Channel shuffles and depth-to-space end up with one Transpose.
/// Returns the pairs joined.
pub(crate) fn join_transposes(graph: &mut Graph) -> usize {
    let mut joined = 0;
    let mut index = 0;
    while index < graph.nodes.len() {
        joined += usize::from(join(graph, index).is_some());
        index += 1;
    }
    joined
}

/// `index` is the second Transpose.
fn join(graph: &mut Graph, index: usize) -> Option<()> {
    let Op::Transpose { perm: second } = &graph.nodes[index].op else { return None };
    let merged = input(graph, index, 0)?;
    let reshape = producer(graph, merged).filter(|&node| graph.nodes[node].op == Op::Reshape)?;
    let middle = input(graph, reshape, 0)?;
    let first_node = producer(graph, middle)?;
    let Op::Transpose { perm: first } = &graph.nodes[first_node].op else { return None };
    let x = input(graph, first_node, 0)?;
    if only_reader(graph, merged) != Some(index) || !same_grid(graph.value(x).quant, graph.value(merged).quant) {
        return None;
    }
    let groups = merged_groups(&graph.value(middle).shape, &graph.value(merged).shape)?;
    let shape = &graph.value(x).shape;
    let mut perm: Vec<usize> = (0..shape.len()).filter(|&axis| shape[axis] == 1).collect();
    for &axis in second {
        perm.extend(groups[axis].iter().map(|&from| first[from]));
    }
    let mut at = index;
    let turned = transposed(graph, &mut at, x, &perm);
    graph.nodes[at].op = Op::Reshape;
    graph.nodes[at].inputs[0] = Some(turned);
    Some(())
}

/// For each axis of `to`, the axes of `from` longer than 1 which it merges;
/// `None` if the reshape splits an axis.
fn merged_groups(from: &[usize], to: &[usize]) -> Option<Vec<Vec<usize>>> {
    let mut long = (0..from.len()).filter(|&axis| from[axis] != 1);
    to.iter()
        .map(|&length| {
            let (mut axes, mut product) = (Vec::new(), 1);
            while product < length {
                let axis = long.next()?;
                product *= from[axis];
                axes.push(axis);
            }
            (product == length).then_some(axes)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::optimize;
    use super::super::testing::{Build, check, check_names, transposes};
    use super::*;

    #[test]
    fn channel_shuffle_and_depth_to_space_keep_one_transpose_each() {
        let mut b = Build::new();
        let x = b.input(&[1, 4, 6, 3]);
        let x = b.transpose(x, &[0, 3, 1, 2]);
        let y = b.conv(x, 8, 3, 1);
        let y = b.node(Op::Reshape, &[y], &[1, 2, 4, 4, 6]);
        let y = b.transpose(y, &[0, 2, 1, 3, 4]);
        let y = b.node(Op::Reshape, &[y], &[1, 8, 4, 6]);
        let y = b.conv(y, 12, 3, 1);
        let y = b.node(Op::Reshape, &[y], &[1, 2, 2, 3, 4, 6]);
        let y = b.transpose(y, &[0, 3, 4, 1, 5, 2]);
        let y = b.node(Op::Reshape, &[y], &[1, 3, 8, 12]);
        let y = b.conv(y, 5, 3, 1);
        let y = b.transpose(y, &[0, 2, 3, 1]);
        let before = b.finish(&[y]);
        let graph = check(before.clone(), optimize);
        assert_eq!(transposes(&graph), 2);
        check_names(&before, &graph);
    }

    #[test]
    fn splits_are_left_alone() {
        assert_eq!(merged_groups(&[2, 1, 3, 4], &[6, 1, 4]), Some(vec![vec![0, 2], vec![], vec![3]]));
        assert_eq!(merged_groups(&[2, 6], &[4, 3]), None);
    }
}
