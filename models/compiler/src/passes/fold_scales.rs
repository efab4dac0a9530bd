//! Folds a constant factor in front of linear operators into their weights.
use super::edit::{add_constant, input, only_reader, producer, scalar};
use crate::graph::{Binary, Constant, Graph, Op, Value, ValueId};

/// A product with, or quotient by, one number right in front of a convolution or dense layer with f32 weights becomes part
/// of the weights, as the input scaling of models that are told their noise level does. Cells outside of the input
/// are 0 before and after. Nothing folds across a value with a grid. Returns the nodes changed; those left without
/// a reader are for `dead_code`.
pub fn fold_scales(graph: &mut Graph) -> usize {
    let mut folded = 0;
    for linear in 0..graph.nodes.len() {
        if matches!(graph.nodes[linear].op, Op::Conv { .. } | Op::Dense { .. }) && fold(graph, linear).is_some() {
            folded += 1;
        }
    }
    folded
}

fn fold(graph: &mut Graph, linear: usize) -> Option<()> {
    let scaled = input(graph, linear, 0)?;
    let (x, factor) = product(graph, scaled)?;
    let weights = graph.value(input(graph, linear, 1)?);
    if weights.codes.is_some() {
        return None;
    }
    let data = weights.f32s()?.iter().map(|&w| (f64::from(w) * factor) as f32).collect();
    let value = Value { data: Some(Constant::F32(data)), ..weights.clone() };
    let name = format!("{}.scaled", value.name);
    let id = add_constant(graph, &name, value);
    let inputs = &mut graph.nodes[linear].inputs;
    (inputs[0], inputs[1]) = (Some(x), Some(id));
    Some(())
}

/// What is multiplied to make `value`, and the factor.
fn product(graph: &Graph, value: ValueId) -> Option<(ValueId, f64)> {
    let index = producer(graph, value)?;
    only_reader(graph, value)?;
    let Op::Binary { kind, clamp: None } = graph.nodes[index].op else { return None };
    let (a, b) = (input(graph, index, 0)?, input(graph, index, 1)?);
    let (x, factor) = match (kind, scalar(graph, a), scalar(graph, b)) {
        (Binary::Mul, _, Some(c)) => (a, f64::from(c)),
        (Binary::Mul, Some(c), _) => (b, f64::from(c)),
        (Binary::Div, _, Some(c)) => (a, 1.0 / f64::from(c)),
        _ => return None,
    };
    let (from, to) = (graph.value(x), graph.value(value));
    let plain = from.quant.is_none() && to.quant.is_none() && from.shape == to.shape && !from.is_constant();
    (plain && factor.is_finite() && factor != 0.0).then_some((x, factor))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Build, check, count};
    use super::super::{dead_code, optimize};
    use super::*;
    use crate::graph::{Clamp, Unary};

    fn binaries(graph: &Graph) -> usize {
        count(graph, |op| matches!(op, Op::Binary { .. }))
    }

    #[test]
    fn factors_in_front_of_layers_become_part_of_the_weights() {
        // Oracle: `check` evaluates both graphs in f64.
        for (kind, dense) in [(Binary::Mul, false), (Binary::Div, false), (Binary::Mul, true)] {
            let mut b = Build::new();
            let x = b.input(if dense { &[2, 6] } else { &[1, 3, 6, 6] });
            let c = b.constant(&[1], vec![0.625]);
            let scaled = b.binary(kind, x, c);
            let y = if dense { b.dense(scaled, 4) } else { b.conv(scaled, 4, 3, 1) };
            let graph = check(b.finish(&[y]), |graph| {
                assert_eq!(fold_scales(graph), 1);
                dead_code(graph);
            });
            assert_eq!(binaries(&graph), 0);
        }
    }

    /// x·(1 + erf(x/√2))·½ and x·clip(x + 3, 0, 6)·⅙ in front of a layer end in a factor as well.
    #[test]
    fn factors_that_belong_to_an_activation_stay_with_it() {
        let mut b = Build::new();
        let x = b.input(&[2, 6]);
        let [root, one, half] = [std::f32::consts::SQRT_2, 1.0, 0.5].map(|c| b.constant(&[], vec![c]));
        let e = b.binary(Binary::Div, x, root);
        let e = b.unary(Unary::Erf, e);
        let e = b.binary(Binary::Add, e, one);
        let y = b.binary(Binary::Mul, x, e);
        let y = b.binary(Binary::Mul, y, half);
        let y = b.dense(y, 4);
        let graph = check(b.finish(&[y]), optimize);
        assert_eq!((binaries(&graph), count(&graph, |op| *op == Op::Unary(Unary::Gelu))), (0, 1));
        let mut b = Build::new();
        let x = b.input(&[1, 3, 6, 6]);
        let [three, sixth] = [3.0, 1.0 / 6.0].map(|c| b.constant(&[], vec![c]));
        let gate = b.binary(Binary::Add, x, three);
        let gate = b.unary(Unary::Clip(Clamp { lo: 0.0, hi: 6.0 }), gate);
        let y = b.binary(Binary::Mul, x, gate);
        let y = b.binary(Binary::Mul, y, sixth);
        let y = b.conv(y, 4, 3, 1);
        let graph = check(b.finish(&[y]), optimize);
        assert_eq!((binaries(&graph), count(&graph, |op| *op == Op::Unary(Unary::HardSwish))), (0, 1));
    }

    #[test]
    fn what_others_read_or_lies_on_a_grid_stays() {
        let mut b = Build::new();
        let x = b.input(&[1, 3, 6, 6]);
        let c = b.constant(&[1], vec![0.5]);
        let scaled = b.binary(Binary::Mul, x, c);
        let y = b.conv(scaled, 4, 3, 1);
        let graph = check(b.finish(&[y, scaled]), optimize);
        assert_eq!(binaries(&graph), 1, "an output");
        let mut b = Build::new();
        let x = b.input(&[1, 3, 6, 6]);
        let zero = b.constant(&[1], vec![0.0]);
        let scaled = b.binary(Binary::Mul, x, zero);
        let y = b.conv(scaled, 4, 3, 1);
        let mut graph = b.finish(&[y]);
        assert_eq!(fold_scales(&mut graph), 0, "no factor");
    }
}
