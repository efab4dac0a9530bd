//! Fuses Relu and Clip into the linear operator or the sum in front of them.
use super::edit::{input, only_reader};
use crate::graph::{Binary, Clamp, Graph, Op, Unary};

/// Conv, Dense, GroupNorm, Add or Sub followed by Relu or Clip becomes one node with a
/// clamp, and chains of Relu and Clip become one Clip. A grid on the value
/// between keeps them apart. Returns the nodes removed.
pub fn fuse_activations(graph: &mut Graph) -> usize {
    let mut fused = 0;
    for index in 0.. {
        if index >= graph.nodes.len() {
            break;
        }
        while fuse(graph, index).is_some() {
            fused += 1;
        }
    }
    fused
}

fn as_clamp(op: &Op) -> Option<Clamp> {
    match op {
        Op::Unary(Unary::Relu) => Some(Clamp { lo: 0.0, hi: f32::INFINITY }),
        Op::Unary(Unary::Clip(clamp)) if clamp.lo <= clamp.hi => Some(*clamp),
        _ => None,
    }
}

/// One clamp in place of `first` and then `second`.
fn both(first: Clamp, second: Clamp) -> Clamp {
    let limit = |x: f32| x.max(second.lo).min(second.hi);
    Clamp { lo: limit(first.lo), hi: limit(first.hi) }
}

/// Takes in the reader of node `index`, if it is a clamp.
fn fuse(graph: &mut Graph, index: usize) -> Option<()> {
    let &[y] = &graph.nodes[index].outputs[..] else { return None };
    let reader = only_reader(graph, y)?;
    let new = as_clamp(&graph.nodes[reader].op)?;
    if graph.value(y).quant.is_some() || input(graph, reader, 0) != Some(y) {
        return None;
    }
    match &mut graph.nodes[index].op {
        Op::GroupNorm { clamp, .. } => *clamp = Some(clamp.map_or(new, |old| both(old, new))),
        Op::Conv { clamp, .. } | Op::Dense { clamp } | Op::Binary { kind: Binary::Add | Binary::Sub, clamp } => {
            *clamp = Some(clamp.map_or(new, |old| both(old, new)));
        }
        op => {
            let merged = both(as_clamp(op)?, new);
            *op = Op::Unary(if merged.lo == 0.0 && merged.hi == f32::INFINITY {
                Unary::Relu
            } else {
                Unary::Clip(merged)
            });
        }
    }
    graph.nodes[index].outputs = graph.nodes.remove(reader).outputs;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Build, check, grid};
    use super::*;

    #[test]
    fn relu_and_clip_join_their_producers() {
        let mut b = Build::new();
        let x = b.input(&[1, 2, 4, 4]);
        let y = b.conv(x, 3, 3, 1);
        let y = b.unary(Unary::Relu, y);
        let y = b.unary(Unary::Clip(Clamp { lo: -1.0, hi: 0.5 }), y);
        let z = b.conv(x, 3, 1, 1);
        let sum = b.binary(Binary::Add, y, z);
        let sum = b.unary(Unary::Clip(Clamp { lo: 0.25, hi: 6.0 }), sum);
        let t = b.unary(Unary::Tanh, sum);
        let t = b.unary(Unary::Clip(Clamp { lo: -2.0, hi: 0.5 }), t);
        let t = b.unary(Unary::Relu, t);
        let graph = check(b.finish(&[t]), |graph| assert_eq!(fuse_activations(graph), 4));
        assert_eq!(graph.nodes.len(), 5);
        let Op::Conv { clamp, .. } = graph.nodes[0].op else { panic!("a convolution") };
        assert_eq!(clamp, Some(Clamp { lo: 0.0, hi: 0.5 }));
    }

    #[test]
    fn disjoint_ranges_collapse_to_a_constant() {
        let merged = both(Clamp { lo: 2.0, hi: 3.0 }, Clamp { lo: -1.0, hi: 1.0 });
        assert_eq!(merged, Clamp { lo: 1.0, hi: 1.0 });
    }

    #[test]
    fn grids_and_second_readers_keep_the_clamp_apart() {
        let mut b = Build::new();
        let x = b.input(&[2, 4]);
        let y = b.dense(x, 4);
        b.graph.value_mut(y).quant = Some(grid(0.05, 2));
        let r = b.unary(Unary::Relu, y);
        let z = b.dense(x, 4);
        let s = b.unary(Unary::Relu, z);
        let sum = b.binary(Binary::Mul, s, z);
        check(b.finish(&[r, sum]), |graph| assert_eq!(fuse_activations(graph), 0));
    }
}
