//! f64 evaluator of the graph for tests; written for clarity only.
use super::permute::transpose_data;
use crate::graph::*;

/// Every value of the graph, computed; values with a grid are rounded onto it.
pub(crate) fn run(graph: &Graph, inputs: &[Vec<f64>]) -> Vec<Option<Vec<f64>>> {
    let mut values: Vec<Option<Vec<f64>>> = graph.values.iter().map(|value| value.data.as_ref().map(floats)).collect();
    for (&id, data) in graph.inputs.iter().zip(inputs) {
        values[id.index()] = Some(rounded(data.clone(), graph.value(id).quant));
    }
    for node in &graph.nodes {
        let read = |slot: usize| {
            let id = node.inputs.get(slot).copied().flatten()?;
            let data = values[id.index()].as_deref().unwrap_or_else(|| panic!("{} reads too early", node.name));
            Some(Tensor { shape: &graph.value(id).shape, data })
        };
        let out = graph.value(node.outputs[0]);
        let data = eval(&node.op, read, &out.shape);
        assert_eq!(data.len(), out.elements(), "{}", node.name);
        values[node.outputs[0].index()] = Some(rounded(data, out.quant));
    }
    values
}

struct Tensor<'a> {
    shape: &'a [usize],
    data: &'a [f64],
}

impl Tensor<'_> {
    /// The element at `position`, whose leading axes broadcast.
    fn at(&self, position: &[usize]) -> f64 {
        let position = &position[position.len() - self.shape.len()..];
        let offset = position.iter().zip(self.shape).fold(0, |sum, (&p, &n)| sum * n + if n == 1 { 0 } else { p });
        self.data[offset]
    }
}

fn floats(data: &Constant) -> Vec<f64> {
    match data {
        Constant::F32(v) => v.iter().map(|&x| f64::from(x)).collect(),
        Constant::I64(v) => v.iter().map(|&x| x as f64).collect(),
        other => panic!("constant of {:?}", other.dtype()),
    }
}

fn rounded(data: Vec<f64>, grid: Option<ActQuant>) -> Vec<f64> {
    let Some(grid) = grid else { return data };
    let (scale, zero) = (f64::from(grid.scale), f64::from(grid.zero_point));
    data.into_iter()
        .map(|x| ((x / scale).round_ties_even() + zero).clamp(-128.0, 127.0))
        .map(|q| (q - zero) * scale)
        .collect()
}

/// All positions of `shape`, row-major.
pub(crate) fn positions(shape: &[usize]) -> impl Iterator<Item = Vec<usize>> + '_ {
    (0..shape.iter().product()).map(|mut flat: usize| {
        let mut position = vec![0; shape.len()];
        for axis in (0..shape.len()).rev() {
            position[axis] = flat % shape[axis];
            flat /= shape[axis];
        }
        position
    })
}

fn clamped(x: f64, clamp: Option<Clamp>) -> f64 {
    clamp.map_or(x, |clamp| x.max(f64::from(clamp.lo)).min(f64::from(clamp.hi)))
}

/// [batch, channel, row, column] of a position, and back.
fn nchw(layout: Layout, p: &[usize]) -> [usize; 4] {
    match layout {
        Layout::Nchw => [p[0], p[1], p[2], p[3]],
        Layout::Nhwc => [p[0], p[3], p[1], p[2]],
    }
}

fn place(layout: Layout, [n, c, y, x]: [usize; 4]) -> [usize; 4] {
    match layout {
        Layout::Nchw => [n, c, y, x],
        Layout::Nhwc => [n, y, x, c],
    }
}

/// Calls `visit` with kernel cell and, inside the input, the input position.
fn windowed(
    window: &Window,
    [rows, columns]: [usize; 2],
    [y, x]: [usize; 2],
    mut visit: impl FnMut(usize, usize, Option<[usize; 2]>),
) {
    for ky in 0..window.kernel[0] {
        for kx in 0..window.kernel[1] {
            let iy = (y * window.stride[0] + ky * window.dilation[0]).wrapping_sub(window.pads[0]);
            let ix = (x * window.stride[1] + kx * window.dilation[1]).wrapping_sub(window.pads[1]);
            visit(ky, kx, (iy < rows && ix < columns).then_some([iy, ix]));
        }
    }
}

fn spatial(shape: &[usize], layout: Layout) -> [usize; 2] {
    let [_, _, y, x] = nchw(layout, shape);
    [y, x]
}

fn eval<'a>(op: &Op, read: impl Fn(usize) -> Option<Tensor<'a>>, shape: &[usize]) -> Vec<f64> {
    let x = read(0).expect("first input");
    let each = |f: &dyn Fn(&[usize]) -> f64| positions(shape).map(|position| f(&position)).collect::<Vec<f64>>();
    match op {
        Op::Conv { window, groups, layout, clamp } => {
            let w = read(1).expect("weights");
            let (per_group, out_per_group) = (w.shape[1], w.shape[0] / groups);
            each(&|p| {
                let [n, c, row, column] = nchw(*layout, p);
                let mut sum = read(2).map_or(0.0, |bias| bias.data[c]);
                windowed(window, spatial(x.shape, *layout), [row, column], |ky, kx, cell| {
                    let Some([iy, ix]) = cell else { return };
                    for k in 0..per_group {
                        let channel = c / out_per_group * per_group + k;
                        sum += x.at(&place(*layout, [n, channel, iy, ix])) * w.at(&[c, k, ky, kx]);
                    }
                });
                clamped(sum, *clamp)
            })
        }
        Op::MaxPool { window, layout } => each(&|p| {
            let [n, c, row, column] = nchw(*layout, p);
            let mut max = f64::NEG_INFINITY;
            windowed(window, spatial(x.shape, *layout), [row, column], |_, _, cell| {
                if let Some([iy, ix]) = cell {
                    max = max.max(x.at(&place(*layout, [n, c, iy, ix])));
                }
            });
            max
        }),
        Op::AvgPool { window, layout, count_include_pad } => each(&|p| {
            let [n, c, row, column] = nchw(*layout, p);
            let [rows, columns] = spatial(x.shape, *layout);
            let (mut sum, mut cells) = (0.0, 0usize);
            windowed(window, [rows, columns], [row, column], |_, _, cell| {
                if let Some([iy, ix]) = cell {
                    sum += x.at(&place(*layout, [n, c, iy, ix]));
                    cells += usize::from(!count_include_pad);
                }
            });
            if *count_include_pad {
                let [top, left, bottom, right] = window.pads;
                let padded = Window { pads: [0; 4], ..*window };
                windowed(&padded, [rows + top + bottom, columns + left + right], [row, column], |_, _, cell| {
                    cells += usize::from(cell.is_some());
                });
            }
            sum / cells as f64
        }),
        Op::Dense { clamp } => {
            let w = read(1).expect("weights");
            each(&|p| {
                let n = p[p.len() - 1];
                let mut row = p.to_vec();
                let mut sum = read(2).map_or(0.0, |bias| bias.data[n]);
                for k in 0..w.shape[1] {
                    row[p.len() - 1] = k;
                    sum += x.at(&row) * w.at(&[n, k]);
                }
                clamped(sum, *clamp)
            })
        }
        Op::MatMul => {
            let b = read(1).expect("second matrix");
            let rank = shape.len();
            each(&|p| {
                (0..b.shape[b.shape.len() - 2])
                    .map(|k| {
                        let (mut left, mut right) = (p.to_vec(), p.to_vec());
                        left[rank - 1] = k;
                        right[rank - 2] = k;
                        x.at(&left) * b.at(&right)
                    })
                    .sum()
            })
        }
        Op::LayerNorm { epsilon } => {
            let (gamma, beta) = (read(1).expect("gamma").data, read(2).expect("beta").data);
            let rows = x.data.chunks(gamma.len()).flat_map(|row| {
                let mean = row.iter().sum::<f64>() / row.len() as f64;
                let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / row.len() as f64;
                let deviation = (variance + f64::from(*epsilon)).sqrt();
                row.iter().enumerate().map(move |(c, x)| (x - mean) / deviation * gamma[c] + beta[c])
            });
            rows.collect()
        }
        Op::BatchNorm { epsilon } => {
            let [scale, bias, mean, variance] = [1, 2, 3, 4].map(|slot| read(slot).expect("parameter").data);
            each(&|p| {
                let c = p[1];
                (x.at(p) - mean[c]) / (variance[c] + f64::from(*epsilon)).sqrt() * scale[c] + bias[c]
            })
        }
        Op::GroupNorm { groups, epsilon, layout, clamp } => {
            let [gamma, beta] = [1, 2].map(|slot| read(slot).expect("parameter").data);
            let channels = nchw(*layout, shape)[1];
            let group = |p: &[usize]| {
                let [n, c, ..] = nchw(*layout, p);
                n * groups + c / (channels / groups)
            };
            let mut members = vec![Vec::new(); groups * shape[0]];
            positions(shape).for_each(|p| members[group(&p)].push(x.at(&p)));
            let statistics: Vec<(f64, f64)> = members
                .iter()
                .map(|m| {
                    let mean = m.iter().sum::<f64>() / m.len() as f64;
                    (mean, m.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / m.len() as f64)
                })
                .collect();
            each(&|p| {
                let (mean, variance) = statistics[group(p)];
                let c = nchw(*layout, p)[1];
                clamped((x.at(p) - mean) / (variance + f64::from(*epsilon)).sqrt() * gamma[c] + beta[c], *clamp)
            })
        }
        Op::Unary(unary) => x.data.iter().map(|&x| self::unary(*unary, x)).collect(),
        Op::Binary { kind, clamp } => {
            let b = read(1).expect("second input");
            each(&|p| {
                let (a, b) = (x.at(p), b.at(p));
                let y = match kind {
                    Binary::Add => a + b,
                    Binary::Sub => a - b,
                    Binary::Mul => a * b,
                    Binary::Div => a / b,
                    Binary::Max => a.max(b),
                    Binary::Min => a.min(b),
                    Binary::Pow => a.powf(b),
                    Binary::PRelu => {
                        if a < 0.0 {
                            a * b
                        } else {
                            a
                        }
                    }
                    other => panic!("no evaluator for {other:?}"),
                };
                clamped(y, *clamp)
            })
        }
        Op::Softmax { axis } => each(&|p| {
            let mut other = p.to_vec();
            let sum: f64 = (0..x.shape[*axis])
                .map(|k| {
                    other[*axis] = k;
                    x.at(&other).exp()
                })
                .sum();
            x.at(p).exp() / sum
        }),
        Op::Reduce { kind, axes, keep_dims } => {
            let kept: Vec<usize> = (0..x.shape.len()).filter(|axis| *keep_dims || !axes.contains(axis)).collect();
            let mut groups: Vec<Vec<f64>> = vec![Vec::new(); shape.iter().product()];
            for p in positions(x.shape) {
                let index = |&axis: &usize| if axes.contains(&axis) { 0 } else { p[axis] };
                let flat = kept.iter().zip(shape).fold(0, |sum, (axis, &n)| sum * n + index(axis));
                groups[flat].push(x.at(&p));
            }
            groups.iter().map(|group| reduce(*kind, group)).collect()
        }
        Op::Reshape | Op::FakeQuant => x.data.to_vec(),
        Op::Transpose { perm } => transpose_data(x.data, x.shape, perm),
        Op::Concat { axis } => each(&|p| {
            let mut p = p.to_vec();
            (0..)
                .find_map(|slot| {
                    let part = read(slot).expect("a part");
                    if p[*axis] < part.shape[*axis] {
                        return Some(part.at(&p));
                    }
                    p[*axis] -= part.shape[*axis];
                    None
                })
                .expect("found")
        }),
        Op::Pad { begin, value, .. } => each(&|p| {
            let p: Vec<usize> = p.iter().zip(begin).map(|(&p, &b)| p.wrapping_sub(b)).collect();
            let inside = p.iter().zip(x.shape).all(|(p, n)| p < n);
            if inside { x.at(&p) } else { f64::from(*value) }
        }),
        Op::Slice { start, step } => each(&|p| {
            let at = |((&p, &start), &step): ((&usize, &usize), &isize)| (start as isize + p as isize * step) as usize;
            x.at(&p.iter().zip(start).zip(step).map(at).collect::<Vec<_>>())
        }),
        Op::Gather { axis } => {
            let indices = read(1).expect("indices");
            let rank = indices.shape.len();
            each(&|p| {
                let index = indices.at(&p[*axis..*axis + rank]) as isize;
                let index = if index < 0 { index + x.shape[*axis] as isize } else { index } as usize;
                let mut from = p[..*axis].to_vec();
                from.push(index);
                from.extend_from_slice(&p[*axis + rank..]);
                x.at(&from)
            })
        }
        other => panic!("no evaluator for {other:?}"),
    }
}

fn reduce(kind: Reduce, group: &[f64]) -> f64 {
    match kind {
        Reduce::Mean => group.iter().sum::<f64>() / group.len() as f64,
        Reduce::Sum => group.iter().sum(),
        Reduce::Max => group.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        Reduce::Min => group.iter().copied().fold(f64::INFINITY, f64::min),
        Reduce::Prod => group.iter().product(),
        Reduce::SumSquare => group.iter().map(|x| x * x).sum(),
        Reduce::L2 => group.iter().map(|x| x * x).sum::<f64>().sqrt(),
    }
}

/// Error function by its series; good for |x| below 6.
fn erf(x: f64) -> f64 {
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        term *= -x * x / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    sum * std::f64::consts::FRAC_2_SQRT_PI
}

fn unary(unary: Unary, x: f64) -> f64 {
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    match unary {
        Unary::Relu => x.max(0.0),
        Unary::Clip(clamp) => clamped(x, Some(clamp)),
        Unary::Sigmoid => sigmoid(x),
        Unary::Silu => x * sigmoid(x),
        Unary::HardSigmoid { alpha, beta } => (f64::from(alpha) * x + f64::from(beta)).clamp(0.0, 1.0),
        Unary::HardSwish => x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
        Unary::Erf => erf(x),
        Unary::Gelu => 0.5 * x * (1.0 + erf(x * std::f64::consts::FRAC_1_SQRT_2)),
        Unary::GeluTanh => 0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh()),
        Unary::Tanh => x.tanh(),
        Unary::Sqrt => x.sqrt(),
        Unary::Reciprocal => 1.0 / x,
        Unary::Neg => -x,
        Unary::Abs => x.abs(),
        other => panic!("no evaluator for {other:?}"),
    }
}
