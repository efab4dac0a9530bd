//! Evaluator of the quantized graph in integers, for tests: the reference for
//! "the same bits". Channels last; i64 loops, one element at a time.
use super::testing_eval::positions;
use crate::graph::*;
use crate::lower::requant::multiplier;
use selvedge_core::arith::requantize;

/// The integers of every value that has a grid.
pub(crate) fn run_integer(graph: &Graph, inputs: &[Vec<i32>]) -> Vec<Option<Vec<i32>>> {
    let mut values: Vec<Option<Vec<i32>>> = vec![None; graph.values.len()];
    for (id, data) in graph.inputs.iter().zip(inputs) {
        values[id.index()] = Some(data.clone());
    }
    for node in &graph.nodes {
        let read = |slot: usize| {
            let value = graph.value(node.inputs[slot].expect("an input"));
            let data = values[node.inputs[slot].expect("an input").index()].as_deref().expect("computed");
            Ints { value, data }
        };
        let y = graph.value(node.outputs[0]);
        let constant = |slot: usize| node.inputs.get(slot).copied().flatten().map(|id| graph.value(id));
        let data: Vec<i32> = match &node.op {
            Op::Conv { window, groups, clamp, .. } => {
                layer(&read(0), constant(1).expect("weights"), constant(2), y, Some((*window, *groups)), *clamp)
            }
            Op::Dense { clamp } => layer(&read(0), constant(1).expect("weights"), constant(2), y, None, *clamp),
            Op::MaxPool { window, .. } => {
                pooled(&read(0), window, y, |cells| *cells.iter().flatten().max().expect("a cell"))
            }
            Op::AvgPool { window, count_include_pad, .. } => {
                let zero = read(0).grid().zero_point;
                pooled(&read(0), window, y, |cells| {
                    let sum: i32 = cells.iter().flatten().map(|q| q - zero).sum();
                    let n = if *count_include_pad { cells.len() } else { cells.iter().flatten().count() };
                    selvedge_core::arith::average(sum, n as i32, 1 << 23, 23, zero, -128, 127)
                })
            }
            Op::Unary(Unary::Relu) => read(0).data.iter().map(|&q| round(read(0).real(q).max(0.0), y)).collect(),
            Op::Binary { kind: Binary::Add, .. } => {
                let (a, b) = (read(0), read(1));
                a.data.iter().zip(b.data).map(|(&p, &q)| round(a.real(p) + b.real(q), y)).collect()
            }
            Op::Concat { axis } => {
                let parts: Vec<Ints> = (0..node.inputs.len()).map(read).collect();
                positions(&y.shape)
                    .map(|mut p| {
                        for part in &parts {
                            if p[*axis] < part.value.shape[*axis] {
                                return part.at(&p);
                            }
                            p[*axis] -= part.value.shape[*axis];
                        }
                        panic!("past the parts")
                    })
                    .collect()
            }
            Op::Reshape => read(0).data.to_vec(),
            other => panic!("no evaluator for {other:?}"),
        };
        assert_eq!(data.len(), y.elements(), "{}", node.name);
        values[node.outputs[0].index()] = Some(data);
    }
    values
}

struct Ints<'a> {
    value: &'a Value,
    data: &'a [i32],
}

impl Ints<'_> {
    fn grid(&self) -> ActQuant {
        self.value.quant.expect("a grid")
    }

    fn real(&self, q: i32) -> f64 {
        f64::from(q - self.grid().zero_point) * f64::from(self.grid().scale)
    }

    fn at(&self, position: &[usize]) -> i32 {
        self.data[position.iter().zip(&self.value.shape).fold(0, |sum, (&p, &n)| sum * n + p)]
    }
}

fn round(x: f64, y: &Value) -> i32 {
    let grid = y.quant.expect("a grid");
    ((x / f64::from(grid.scale)).round_ties_even() as i32 + grid.zero_point).clamp(-128, 127)
}

/// The cell's position in the input, unless it lies in the padding.
fn cell(window: &Window, shape: &[usize], [y, x]: [usize; 2], [ky, kx]: [usize; 2]) -> Option<[usize; 2]> {
    let iy = (y * window.stride[0] + ky * window.dilation[0]).checked_sub(window.pads[0])?;
    let ix = (x * window.stride[1] + kx * window.dilation[1]).checked_sub(window.pads[1])?;
    (iy < shape[1] && ix < shape[2]).then_some([iy, ix])
}

fn pooled(x: &Ints, window: &Window, y: &Value, f: impl Fn(&[Option<i32>]) -> i32) -> Vec<i32> {
    let one = |p: Vec<usize>| {
        let kernel = positions(&window.kernel);
        let cells: Vec<Option<i32>> = kernel
            .map(|k| {
                let [iy, ix] = cell(window, &x.value.shape, [p[1], p[2]], [k[0], k[1]])?;
                Some(x.at(&[p[0], iy, ix, p[3]]))
            })
            .collect();
        f(&cells)
    };
    positions(&y.shape).map(one).collect()
}

fn layer(
    x: &Ints,
    w: &Value,
    bias: Option<&Value>,
    y: &Value,
    conv: Option<(Window, usize)>,
    clamp: Option<Clamp>,
) -> Vec<i32> {
    let codes = w.codes.as_ref().expect("codes");
    let (grid, out) = (x.grid(), y.quant.expect("a grid"));
    let last = y.shape.len() - 1;
    let limit = |x: f32| (f64::from(x) / f64::from(out.scale)).round_ties_even() + f64::from(out.zero_point);
    let clamp = clamp.unwrap_or(Clamp { lo: f32::NEG_INFINITY, hi: f32::INFINITY });
    let (lo, hi) = (limit(clamp.lo).max(-128.0) as i32, limit(clamp.hi).min(127.0) as i32);
    let one = |p: Vec<usize>| {
        let o = p[last];
        let scale = f64::from(grid.scale) * f64::from(codes.scales[o % codes.scales.len()]);
        let mut acc = bias.map_or(0, |bias| match &bias.codes {
            Some(codes) => i64::from(codes.codes[o]),
            None => (f64::from(bias.f32s().expect("f32")[o]) / scale).round_ties_even() as i64,
        });
        let columns = w.shape[1];
        for k in 0..columns {
            match conv {
                None => {
                    let mut position = p.clone();
                    position[last] = k;
                    acc += i64::from(x.at(&position) - grid.zero_point) * i64::from(codes.codes[o * columns + k]);
                }
                Some((window, groups)) => {
                    let channel = o / (w.shape[0] / groups) * columns + k;
                    for (c, kernel) in positions(&window.kernel).enumerate() {
                        let from = cell(&window, &x.value.shape, [p[1], p[2]], [kernel[0], kernel[1]]);
                        let q = from.map_or(grid.zero_point, |[iy, ix]| x.at(&[p[0], iy, ix, channel]));
                        let cells = window.kernel[0] * window.kernel[1];
                        let w = codes.codes[(o * columns + k) * cells + c];
                        acc += i64::from(q - grid.zero_point) * i64::from(w);
                    }
                }
            }
        }
        let (m, k) = multiplier(scale / f64::from(out.scale));
        requantize(acc, m, k, out.zero_point, lo, hi)
    };
    positions(&y.shape).map(one).collect()
}
