//! Casts before repetition: an expanded integer mask is cast while it is small.
use super::edit::{add_constant, input, insert_before, only_reader, producer};
use crate::graph::{Binary, Constant, DType, Graph, Op, Value, ValueId};

/// Gathers that repeat single elements of a value, followed by a Cast to f32, become a Cast of that
/// value and a product with ones. Returns the patterns found.
pub fn early_casts(graph: &mut Graph) -> usize {
    let mut found = 0;
    let mut index = 0;
    while index < graph.nodes.len() {
        if let Some(x) = repeated(graph, index) {
            let to = &graph.value(graph.nodes[index].outputs[0]).shape;
            let from = graph.value(x).shape.clone();
            let shape: Vec<usize> = from.iter().zip(to).map(|(&n, &m)| if n == m { 1 } else { m }).collect();
            let name = format!("{}.f32", graph.value(x).name);
            let cast = insert_before(graph, index, Op::Cast, x, Value::new(name, DType::F32, from));
            index += 1;
            let ones = Constant::F32(vec![1.0; shape.iter().product()]);
            let ones = add_constant(graph, "ones", Value::constant("", shape, ones));
            graph.nodes[index].op = Op::Binary { kind: Binary::Mul, clamp: None };
            graph.nodes[index].inputs = vec![Some(cast), Some(ones)];
            found += 1;
        }
        index += 1;
    }
    found
}

/// What Cast node `index` reads before it is repeated along axes of length 1.
fn repeated(graph: &Graph, index: usize) -> Option<ValueId> {
    let output = graph.nodes[index].outputs[0];
    if graph.nodes[index].op != Op::Cast || graph.value(output).dtype != DType::F32 {
        return None;
    }
    let read = input(graph, index, 0)?;
    let (mut x, mut reader) = (read, index);
    while let Some((before, node)) = one_repetition(graph, x, reader) {
        (x, reader) = (before, node);
    }
    (x != read).then_some(x)
}

/// The value that the Gather which makes `x` for `reader` alone repeats, and that Gather.
fn one_repetition(graph: &Graph, x: ValueId, reader: usize) -> Option<(ValueId, usize)> {
    let node = producer(graph, x).filter(|_| only_reader(graph, x) == Some(reader))?;
    let from = input(graph, node, 0)?;
    let Op::Gather { axis } = graph.nodes[node].op else {
        let alike = graph.value(from).shape.len() == graph.value(x).shape.len();
        return (graph.nodes[node].op == Op::Expand && alike).then_some((from, node));
    };
    let at = graph.value(input(graph, node, 1)?);
    let Some(Constant::I64(indices)) = &at.data else { return None };
    let repeats = at.shape.len() == 1 && graph.value(from).shape[axis] == 1 && indices.iter().all(|&i| i == 0);
    repeats.then_some((from, node))
}

#[cfg(test)]
mod tests {
    use super::super::dead_code;
    use super::super::testing::{Build, count};
    use super::*;

    #[test]
    fn a_mask_is_cast_before_it_is_expanded() {
        for other_reader in [false, true] {
            let mut b = Build::new();
            let mask = b.input(&[1, 3, 1]);
            let twice = b.indices(vec![0, 0]);
            let wide = b.indices(vec![0; 5]);
            let h = b.node(Op::Gather { axis: 0 }, &[mask, twice], &[2, 3, 1]);
            let h = b.node(Op::Gather { axis: 2 }, &[h, wide], &[2, 3, 5]);
            [mask, h].iter().for_each(|&id| b.graph.value_mut(id).dtype = DType::I64);
            let y = b.node(Op::Cast, &[h], &[2, 3, 5]);
            let outputs = if other_reader { vec![y, h] } else { vec![y] };
            let mut graph = b.finish(&outputs);
            assert_eq!(early_casts(&mut graph), usize::from(!other_reader));
            dead_code(&mut graph);
            assert_eq!(count(&graph, |op| matches!(op, Op::Gather { .. })), if other_reader { 2 } else { 0 });
            let cast = graph.nodes.iter().find(|node| node.op == Op::Cast).expect("a cast");
            assert_eq!(graph.value(cast.outputs[0]).shape, if other_reader { [2, 3, 5] } else { [1, 3, 1] });
            let last = graph.nodes.last().expect("a node");
            assert_eq!(graph.value(last.outputs[0]).shape, [2, 3, 5]);
        }
    }

    #[test]
    fn indices_that_pick_stay() {
        let mut b = Build::new();
        let x = b.input(&[4, 3]);
        let at = b.indices(vec![0, 0]);
        let h = b.node(Op::Gather { axis: 0 }, &[x, at], &[2, 3]);
        let y = b.node(Op::Cast, &[h], &[2, 3]);
        assert_eq!(early_casts(&mut b.finish(&[y])), 0);
    }
}
