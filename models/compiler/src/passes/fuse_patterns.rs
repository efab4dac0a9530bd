//! Recognizes activation functions that a file spells out as arithmetic.
use super::edit::{input, only_reader, producer, scalar};
use crate::graph::{Binary, Clamp, Graph, Op, Unary, ValueId};

/// x·sigmoid(x) becomes Silu, x·clip(x+3, 0, 6)/6 and x·hardsigmoid(x) become
/// HardSwish, clip(x+3, 0, 6)/6 HardSigmoid, ½x·(1+erf(x/√2)) Gelu,
/// ½x·(1+tanh(√(2/π)·(x+0.044715·x³))) GeluTanh, whatever the order of the
/// factors. No grid may lie on a value in between. Returns
/// the patterns found; the nodes left behind are for `dead_code`.
pub fn fuse_patterns(graph: &mut Graph) -> usize {
    let mut found = 0;
    for index in 0..graph.nodes.len() {
        let Some((x, unary)) = recognize(graph, index) else { continue };
        graph.nodes[index].op = Op::Unary(unary);
        graph.nodes[index].inputs = vec![Some(x)];
        found += 1;
    }
    found
}

/// A product: one number times these values.
struct Product {
    number: f64,
    factors: Vec<ValueId>,
}

fn recognize(graph: &Graph, index: usize) -> Option<(ValueId, Unary)> {
    let mut product = Product { number: 1.0, factors: Vec::new() };
    collect(graph, index, &mut product)?;
    let is = |wanted: f64| (product.number - wanted).abs() <= 1e-5 * wanted;
    match product.factors[..] {
        [a] if is(1.0 / 6.0) => Some((six_clip(graph, a)?, Unary::HardSigmoid { alpha: 1.0 / 6.0, beta: 0.5 })),
        [a, b] => pair(graph, &is, a, b).or_else(|| pair(graph, &is, b, a)),
        _ => None,
    }
}

/// The function x·gate(x), if `gate` is a known function of `x`.
fn pair(graph: &Graph, is: &dyn Fn(f64) -> bool, x: ValueId, gate: ValueId) -> Option<(ValueId, Unary)> {
    let inner = private(graph, gate)?;
    let function = match graph.nodes[inner].op {
        Op::Unary(Unary::Sigmoid) if is(1.0) && input(graph, inner, 0) == Some(x) => Unary::Silu,
        Op::Unary(Unary::HardSigmoid { alpha, beta })
            if is(1.0) && near(alpha, 1.0 / 6.0) && near(beta, 0.5) && input(graph, inner, 0) == Some(x) =>
        {
            Unary::HardSwish
        }
        _ if is(1.0 / 6.0) && six_clip(graph, gate) == Some(x) => Unary::HardSwish,
        _ if is(0.5) && one_plus_erf(graph, gate) == Some(x) => Unary::Gelu,
        _ if is(0.5) && one_plus_tanh(graph, gate) == Some(x) => Unary::GeluTanh,
        _ => return None,
    };
    Some((x, function))
}

fn near(x: f32, wanted: f64) -> bool {
    (f64::from(x) - wanted).abs() <= 1e-5 * wanted
}

/// The producer of a value that has one reader and no grid.
fn private(graph: &Graph, id: ValueId) -> Option<usize> {
    only_reader(graph, id).filter(|_| graph.value(id).quant.is_none())?;
    producer(graph, id)
}

/// Multiplies the factors of node `index` into `product`.
fn collect(graph: &Graph, index: usize, product: &mut Product) -> Option<()> {
    let (a, b) = (input(graph, index, 0)?, input(graph, index, 1));
    match graph.nodes[index].op {
        Op::Binary { kind: Binary::Mul, clamp: None } => {
            let shape = &graph.value(graph.nodes[index].outputs[0]).shape;
            for id in [a, b?] {
                if let Some(number) = scalar(graph, id) {
                    product.number *= f64::from(number);
                } else if graph.value(id).shape != *shape {
                    return None;
                } else {
                    descend(graph, id, product);
                }
            }
        }
        Op::Binary { kind: Binary::Div, clamp: None } => {
            product.number /= f64::from(scalar(graph, b?)?);
            descend(graph, a, product);
        }
        Op::Binary { kind: Binary::Pow, clamp: None } => {
            let power = scalar(graph, b?).filter(|&n| n == 2.0 || n == 3.0)?;
            (0..power as usize).for_each(|_| product.factors.push(a));
        }
        _ => return None,
    }
    Some(())
}

/// `id` as further factors if a product makes it for this reader only, else as one.
fn descend(graph: &Graph, id: ValueId, product: &mut Product) {
    let mut inner = Product { number: 1.0, factors: Vec::new() };
    match private(graph, id).and_then(|source| collect(graph, source, &mut inner)) {
        Some(()) => {
            product.number *= inner.number;
            product.factors.append(&mut inner.factors);
        }
        None => product.factors.push(id),
    }
}

/// x of `x + number`, the sum being `index`.
fn plus(graph: &Graph, index: usize, number: f32) -> Option<ValueId> {
    let Op::Binary { kind: Binary::Add, .. } = graph.nodes[index].op else { return None };
    let (a, b) = (input(graph, index, 0)?, input(graph, index, 1)?);
    match (scalar(graph, a), scalar(graph, b)) {
        (None, Some(n)) if n == number => Some(a),
        (Some(n), None) if n == number => Some(b),
        _ => None,
    }
}

/// x of clip(x + 3, 0, 6), the clip fused or not.
fn six_clip(graph: &Graph, id: ValueId) -> Option<ValueId> {
    let six = Clamp { lo: 0.0, hi: 6.0 };
    let index = private(graph, id)?;
    match graph.nodes[index].op {
        Op::Unary(Unary::Clip(clamp)) if clamp == six => {
            let sum = private(graph, input(graph, index, 0)?)?;
            matches!(graph.nodes[sum].op, Op::Binary { clamp: None, .. }).then(|| plus(graph, sum, 3.0))?
        }
        Op::Binary { clamp: Some(clamp), .. } if clamp == six => plus(graph, index, 3.0),
        _ => None,
    }
}

/// The product that is y in 1 + f(y).
fn one_plus(graph: &Graph, id: ValueId, f: Unary) -> Option<Product> {
    let sum = private(graph, id)?;
    if !matches!(graph.nodes[sum].op, Op::Binary { clamp: None, .. }) {
        return None;
    }
    let function = private(graph, plus(graph, sum, 1.0)?)?;
    if graph.nodes[function].op != Op::Unary(f) {
        return None;
    }
    let mut product = Product { number: 1.0, factors: Vec::new() };
    collect(graph, private(graph, input(graph, function, 0)?)?, &mut product)?;
    Some(product)
}

/// x of 1 + tanh(√(2/π)·(x + 0.044715·x³)).
fn one_plus_tanh(graph: &Graph, id: ValueId) -> Option<ValueId> {
    let outer = one_plus(graph, id, Unary::Tanh)?;
    let &[sum] = &outer.factors[..] else { return None };
    let sum = private(graph, sum)?;
    let Op::Binary { kind: Binary::Add, clamp: None } = graph.nodes[sum].op else { return None };
    let (a, b) = (input(graph, sum, 0)?, input(graph, sum, 1)?);
    let cube = |x: ValueId, id: ValueId| {
        let mut product = Product { number: 1.0, factors: Vec::new() };
        collect(graph, private(graph, id)?, &mut product)?;
        let right = product.factors == [x; 3] && (product.number - 0.044715).abs() < 1e-5;
        right.then_some(x)
    };
    let scaled = (outer.number - (2.0 / std::f64::consts::PI).sqrt()).abs() < 1e-4;
    cube(a, b).or_else(|| cube(b, a)).filter(|_| scaled)
}

/// x of 1 + erf(x/√2).
fn one_plus_erf(graph: &Graph, id: ValueId) -> Option<ValueId> {
    let product = one_plus(graph, id, Unary::Erf)?;
    let scaled = (product.number - std::f64::consts::FRAC_1_SQRT_2).abs() < 1e-5;
    match product.factors[..] {
        [x] if scaled => Some(x),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Build, check, count, grid};
    use super::super::{dead_code, fuse_activations};
    use super::*;

    fn only(graph: &Graph, unary: Unary) -> bool {
        count(graph, |op| *op == Op::Unary(unary)) == 1 && graph.nodes.len() == 1
    }

    #[test]
    fn hard_swish_in_every_order() {
        for (fused, late) in [(false, false), (false, true), (true, false), (true, true)] {
            let mut b = Build::new();
            let x = b.input(&[2, 9]);
            let (three, six) = (b.constant(&[], vec![3.0]), b.constant(&[1], vec![6.0]));
            let y = b.binary(Binary::Add, three, x);
            let y = b.unary(Unary::Clip(Clamp { lo: 0.0, hi: 6.0 }), y);
            let y = if late { b.binary(Binary::Mul, y, x) } else { b.binary(Binary::Div, y, six) };
            let y = if late { b.binary(Binary::Div, y, six) } else { b.binary(Binary::Mul, x, y) };
            let graph = check(b.finish(&[y]), |graph| {
                if fused {
                    fuse_activations(graph);
                }
                fuse_patterns(graph);
                dead_code(graph);
            });
            assert!(only(&graph, Unary::HardSwish), "{fused} {late}");
        }
    }

    #[test]
    fn silu_and_gelu() {
        let mut b = Build::new();
        let x = b.input(&[2, 9]);
        let s = b.unary(Unary::Sigmoid, x);
        let y = b.binary(Binary::Mul, s, x);
        let graph = check(b.finish(&[y]), |graph| {
            assert_eq!(fuse_patterns(graph), 1);
            dead_code(graph);
        });
        assert!(only(&graph, Unary::Silu));

        for half_first in [false, true] {
            let mut b = Build::new();
            let x = b.input(&[2, 9]);
            let half = b.constant(&[], vec![0.5]);
            let (root, one) = (b.constant(&[], vec![std::f32::consts::SQRT_2]), b.constant(&[], vec![1.0]));
            let e = b.binary(Binary::Div, x, root);
            let e = b.unary(Unary::Erf, e);
            let e = b.binary(Binary::Add, e, one);
            let front = if half_first { b.binary(Binary::Mul, half, x) } else { x };
            let y = b.binary(Binary::Mul, front, e);
            let y = if half_first { y } else { b.binary(Binary::Mul, y, half) };
            let graph = check(b.finish(&[y]), |graph| {
                assert_eq!(fuse_patterns(graph), 1);
                dead_code(graph);
            });
            assert!(only(&graph, Unary::Gelu));
        }
    }

    #[test]
    fn gelu_by_tanh_with_products_and_with_a_power() {
        for power in [false, true] {
            let mut b = Build::new();
            let x = b.input(&[2, 9]);
            let [small, root, one, half, three] =
                [0.044715, 0.797_884_6, 1.0, 0.5, 3.0].map(|c| b.constant(&[], vec![c]));
            let cube = if power {
                b.binary(Binary::Pow, x, three)
            } else {
                let square = b.binary(Binary::Mul, x, x);
                b.binary(Binary::Mul, x, square)
            };
            let y = b.binary(Binary::Mul, small, cube);
            let y = b.binary(Binary::Add, x, y);
            let y = b.binary(Binary::Mul, root, y);
            let y = b.unary(Unary::Tanh, y);
            let y = b.binary(Binary::Add, y, one);
            let y = b.binary(Binary::Mul, half, y);
            let y = b.binary(Binary::Mul, x, y);
            let graph = check(b.finish(&[y]), |graph| {
                assert_eq!(fuse_patterns(graph), 1);
                dead_code(graph);
            });
            assert!(only(&graph, Unary::GeluTanh), "{power}");
        }
    }

    #[test]
    fn a_grid_in_between_forbids() {
        let mut b = Build::new();
        let x = b.input(&[2, 9]);
        let s = b.unary(Unary::Sigmoid, x);
        b.graph.value_mut(s).quant = Some(grid(1.0 / 256.0, -128));
        let y = b.binary(Binary::Mul, s, x);
        check(b.finish(&[y]), |graph| assert_eq!(fuse_patterns(graph), 0));
    }
}
