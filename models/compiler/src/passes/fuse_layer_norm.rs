//! Recognizes layer normalization that a file spells out as arithmetic.
use super::edit::{add_constant, input, only_reader, producer, scalar};
use crate::graph::{Binary, Constant, Graph, Op, Reduce, Unary, Value, ValueId};

/// (x − mean)/√(variance + ε) over the last axis becomes LayerNorm, and a product with or a sum
/// with constants behind it becomes its gamma or beta. No grid may lie on a value in between.
/// Returns the patterns found; the nodes left behind are for `dead_code`.
pub fn fuse_layer_norm(graph: &mut Graph) -> usize {
    let mut found = 0;
    for index in 0..graph.nodes.len() {
        if let Some((x, epsilon)) = normalization(graph, index) {
            let row = graph.value(x).shape.last().copied().unwrap_or(1);
            let name = graph.nodes[index].name.clone();
            let mut filled = |part: &str, with: f32| {
                let value = Value::constant("", vec![row], Constant::F32(vec![with; row]));
                Some(add_constant(graph, &format!("{name}.{part}"), value))
            };
            let (gamma, beta) = (filled("gamma", 1.0), filled("beta", 0.0));
            graph.nodes[index].op = Op::LayerNorm { epsilon };
            graph.nodes[index].inputs = vec![Some(x), gamma, beta];
            found += 1;
        } else if absorb(graph, index).is_some() {
            found += 1;
        }
    }
    found
}

/// The node that writes `id`, which has no grid.
fn made_by(graph: &Graph, id: ValueId) -> Option<usize> {
    producer(graph, id).filter(|_| graph.value(id).quant.is_none())
}

/// Both inputs of a binary node without clamp.
fn binary(graph: &Graph, index: usize, wanted: Binary) -> Option<(ValueId, ValueId)> {
    match graph.nodes[index].op {
        Op::Binary { kind, clamp: None } if kind == wanted => Some((input(graph, index, 0)?, input(graph, index, 1)?)),
        _ => None,
    }
}

/// The mean over the last axis that `id` is: of which value.
fn mean_of(graph: &Graph, id: ValueId) -> Option<ValueId> {
    let index = made_by(graph, id)?;
    let x = input(graph, index, 0)?;
    let last = graph.value(x).shape.len().checked_sub(1)?;
    match &graph.nodes[index].op {
        Op::Reduce { kind: Reduce::Mean, axes, keep_dims: true } if axes[..] == [last] => Some(x),
        _ => None,
    }
}

/// x and ε, if node `index` is the quotient.
fn normalization(graph: &Graph, index: usize) -> Option<(ValueId, f32)> {
    if let Some((difference, deviation)) = binary(graph, index, Binary::Div) {
        return matched(graph, difference, deviation);
    }
    let (a, b) = binary(graph, index, Binary::Mul)?;
    let inverse = |id: ValueId| {
        let node = made_by(graph, id)?;
        (graph.nodes[node].op == Op::Unary(Unary::Reciprocal)).then(|| input(graph, node, 0))?
    };
    let either = |difference, gate| matched(graph, difference, inverse(gate)?);
    either(a, b).or_else(|| either(b, a))
}

fn matched(graph: &Graph, difference: ValueId, deviation: ValueId) -> Option<(ValueId, f32)> {
    let (x, mean) = binary(graph, made_by(graph, difference)?, Binary::Sub)?;
    if mean_of(graph, mean)? != x {
        return None;
    }
    let root = made_by(graph, deviation)?;
    let radicand = match graph.nodes[root].op {
        Op::Unary(Unary::Sqrt) => input(graph, root, 0)?,
        _ => {
            let (base, exponent) = binary(graph, root, Binary::Pow)?;
            (scalar(graph, exponent)? == 0.5).then_some(base)?
        }
    };
    let (a, b) = binary(graph, made_by(graph, radicand)?, Binary::Add)?;
    let (variance, epsilon) = match (scalar(graph, a), scalar(graph, b)) {
        (None, Some(epsilon)) => (a, epsilon),
        (Some(epsilon), None) => (b, epsilon),
        _ => return None,
    };
    let square = made_by(graph, mean_of(graph, variance)?)?;
    let squared = match binary(graph, square, Binary::Mul) {
        Some((a, b)) => (a == b).then_some(a)?,
        None => {
            let (base, exponent) = binary(graph, square, Binary::Pow)?;
            (scalar(graph, exponent)? == 2.0).then_some(base)?
        }
    };
    (squared == difference && epsilon >= 0.0 && epsilon.is_finite()).then_some((x, epsilon))
}

/// LayerNorm → Mul or Add with constants along the last axis becomes one node.
fn absorb(graph: &mut Graph, index: usize) -> Option<()> {
    let Op::Binary { kind: kind @ (Binary::Mul | Binary::Add), clamp: None } = graph.nodes[index].op else {
        return None;
    };
    let (a, b) = (input(graph, index, 0)?, input(graph, index, 1)?);
    let (normalized, constant) = if graph.value(a).is_constant() { (b, a) } else { (a, b) };
    let norm = made_by(graph, normalized).filter(|_| only_reader(graph, normalized) == Some(index))?;
    let Op::LayerNorm { epsilon } = graph.nodes[norm].op else { return None };
    let (x, gamma, beta) = (input(graph, norm, 0)?, input(graph, norm, 1)?, input(graph, norm, 2)?);
    let shift = graph.value(beta).f32s()?;
    let row = shift.len();
    // A scale behind a shift, or a second shift, would round once more than the file does.
    if shift.iter().any(|&v| v != 0.0)
        || graph.value(normalized).shape != graph.value(graph.nodes[index].outputs[0]).shape
    {
        return None;
    }
    let value = graph.value(constant);
    let data = match value.f32s()? {
        &[one] => vec![one; row],
        data if data.len() == row && value.shape.last() == Some(&row) => data.to_vec(),
        _ => return None,
    };
    let old = graph.value(gamma).f32s()?;
    let (slot, data) = match kind {
        Binary::Mul if old.iter().all(|&v| v == 1.0) => (1, data),
        Binary::Add => (2, data),
        _ => return None,
    };
    let name = format!("{}.row", value.name);
    let mut inputs = vec![Some(x), Some(gamma), Some(beta)];
    inputs[slot] = Some(add_constant(graph, &name, Value::constant("", vec![row], Constant::F32(data))));
    graph.nodes[index].op = Op::LayerNorm { epsilon };
    graph.nodes[index].inputs = inputs;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::super::dead_code;
    use super::super::testing::{Build, check, count, grid};
    use super::*;

    /// The decomposed form; `square` by Pow, `divide` by Div, else by a product with itself and
    /// with the reciprocal.
    fn spelled(b: &mut Build, x: ValueId, square: bool, divide: bool) -> ValueId {
        let mean = |b: &mut Build, x: ValueId| {
            let mut shape = b.graph.value(x).shape.clone();
            let last = shape.len() - 1;
            shape[last] = 1;
            b.node(Op::Reduce { kind: Reduce::Mean, axes: vec![last], keep_dims: true }, &[x], &shape)
        };
        let m = mean(b, x);
        let d = b.binary(Binary::Sub, x, m);
        let s = if square {
            let two = b.constant(&[], vec![2.0]);
            b.binary(Binary::Pow, d, two)
        } else {
            b.binary(Binary::Mul, d, d)
        };
        let v = mean(b, s);
        let epsilon = b.constant(&[], vec![1e-3]);
        let v = b.binary(Binary::Add, v, epsilon);
        let r = b.unary(Unary::Sqrt, v);
        if divide {
            return b.binary(Binary::Div, d, r);
        }
        let r = b.unary(Unary::Reciprocal, r);
        b.binary(Binary::Mul, d, r)
    }

    #[test]
    fn every_spelling_with_scale_and_shift() {
        for (square, divide) in [(false, false), (false, true), (true, false), (true, true)] {
            let mut b = Build::new();
            let x = b.input(&[2, 3, 9]);
            let y = spelled(&mut b, x, square, divide);
            let (gamma, beta) = (b.random(&[9]), b.random(&[1, 1, 9]));
            let y = b.binary(Binary::Mul, gamma, y);
            let y = b.binary(Binary::Add, y, beta);
            let graph = check(b.finish(&[y]), |graph| {
                assert_eq!(fuse_layer_norm(graph), 3);
                dead_code(graph);
            });
            assert_eq!(graph.nodes.len(), 1, "{square} {divide}");
            assert!(matches!(graph.nodes[0].op, Op::LayerNorm { epsilon: 1e-3 }));
        }
    }

    #[test]
    fn a_value_read_elsewhere_and_a_second_shift_stay() {
        let mut b = Build::new();
        let x = b.input(&[2, 9]);
        let y = spelled(&mut b, x, true, true);
        let beta = b.random(&[9]);
        let z = b.binary(Binary::Add, y, beta);
        let z = b.binary(Binary::Add, z, beta);
        let graph = check(b.finish(&[y, z]), |graph| {
            assert_eq!(fuse_layer_norm(graph), 1);
            dead_code(graph);
        });
        assert_eq!(count(&graph, |op| matches!(op, Op::Binary { .. })), 2);
    }

    #[test]
    fn other_axes_and_grids_in_between_forbid() {
        let mut b = Build::new();
        let x = b.input(&[2, 9]);
        let y = spelled(&mut b, x, false, true);
        let mean = b.graph.nodes[0].outputs[0];
        b.graph.value_mut(mean).quant = Some(grid(0.01, 0));
        check(b.finish(&[y]), |graph| assert_eq!(fuse_layer_norm(graph), 0));
    }
}
