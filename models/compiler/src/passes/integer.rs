//! The integer program of a quantized layer, as far as passes reason about it.
use super::edit::input;
use crate::graph::{ActQuant, Clamp, Graph, Layout, Op, QuantCodes, Value, ValueId};
use crate::lower::requant::multiplier;
use crate::quantize::LayerMatrix;

/// Distance from a tie, in steps, that decides a rounding whatever number of
/// bits the multiplier keeps.
const SAFE_FROM_TIES: f64 = 1e-4;

/// A Conv (channels last) or Dense whose input, weights and output are
/// integers of at most 8 bits: acc = bias + Σ (q_x − zero point)·w.
pub(crate) struct IntegerLayer {
    pub x: ValueId,
    pub weights: ValueId,
    pub y: ValueId,
    pub groups: usize,
    /// Whether windows reach into padding.
    pub padded: bool,
    pub x_zero: i64,
    /// Output channels, input channels of a group, window cells.
    pub outs: usize,
    pub ins: usize,
    pub cells: usize,
    /// Σ over the window of the weights of (output, input of its group).
    pub sums: Vec<i64>,
    /// Whether any of those weights is not zero.
    pub uses: Vec<bool>,
    /// Inputs cannot be dropped: scales of groups of them would change their meaning.
    pub whole_inputs: bool,
    /// In steps of s_x·s_w.
    pub bias: Vec<i64>,
    /// s_x·s_w per output channel.
    pub acc_scale: Vec<f64>,
    y_grid: ActQuant,
    limits: (i64, i64),
}

impl IntegerLayer {
    pub(crate) fn new(graph: &Graph, index: usize) -> Option<Self> {
        let (groups, padded, clamp) = match &graph.nodes[index].op {
            Op::Conv { window, groups, layout: Layout::Nhwc, clamp } => (*groups, window.pads != [0; 4], *clamp),
            Op::Dense { clamp } => (1, false, *clamp),
            _ => return None,
        };
        let (x, weights) = (input(graph, index, 0)?, input(graph, index, 1)?);
        let y = graph.nodes[index].outputs[0];
        let small = |id: ValueId| graph.value(id).quant.filter(|grid| grid.bits == 8);
        let (x_grid, y_grid) = (small(x)?, small(y)?);
        let shape = &graph.value(weights).shape;
        let (outs, ins) = (shape[0], shape[1]);
        let cells = shape[2..].iter().product::<usize>();
        if outs * ins * cells == 0 {
            return None;
        }
        let integers = integers(graph, index, graph.value(weights))?;
        let columns = integers.codes.chunks(cells);
        let scales = &integers.scales;
        let acc_scale: Vec<f64> =
            (0..outs).map(|o| f64::from(x_grid.scale) * f64::from(scales[o % scales.len()])).collect();
        Some(IntegerLayer {
            x,
            weights,
            y,
            groups,
            padded,
            x_zero: i64::from(x_grid.zero_point),
            outs,
            ins,
            cells,
            sums: columns.clone().map(|column| column.iter().map(|&w| i64::from(w)).sum()).collect(),
            uses: columns.map(|column| column.iter().any(|&w| w != 0)).collect(),
            whole_inputs: integers.grouped,
            bias: integer_bias(input(graph, index, 2).map(|id| graph.value(id)), &acc_scale)?,
            acc_scale,
            y_grid,
            limits: limits(clamp, y_grid),
        })
    }

    /// One weight per channel, as many outputs as inputs.
    pub(crate) fn is_depthwise(&self) -> bool {
        self.groups > 1 && self.ins == 1 && self.groups == self.outs
    }

    /// Input channel of column `k` of output `o`.
    pub(crate) fn input_channel(&self, o: usize, k: usize) -> usize {
        o / (self.outs / self.groups) * self.ins + k
    }

    /// Whether every bias stays in 32 bits whatever constants fold into it.
    pub(crate) fn bias_has_room(&self) -> bool {
        let reach = |o: usize| self.sums[o * self.ins..][..self.ins].iter().map(|sum| 255 * sum.abs()).sum::<i64>();
        (0..self.outs).all(|o| self.bias[o].saturating_abs().saturating_add(reach(o)) < 1 << 31)
    }

    /// The output of channel `o` for the accumulator `acc`; `None` where a
    /// wide layer's shorter multiplier might round otherwise.
    pub(crate) fn requantize(&self, o: usize, acc: i64) -> Option<i32> {
        let (lo, hi) = self.limits;
        let scale = self.acc_scale[o] / f64::from(self.y_grid.scale);
        let y = scaled(acc, scale).checked_add(i128::from(self.y_grid.zero_point))?.clamp(lo.into(), hi.into());
        let exact = acc as f64 * scale;
        let outside = exact + f64::from(self.y_grid.zero_point);
        let clamped = outside < lo as f64 - 1.0 || outside > hi as f64 + 1.0;
        (clamped || far_from_tie(exact)).then_some(y as i32)
    }
}

/// Whether rounding `x` to an integer does not hang on its last bits.
pub(crate) fn far_from_tie(x: f64) -> bool {
    (x - x.floor() - 0.5).abs() > SAFE_FROM_TIES
}

/// The integers of a layer's weights in the graph's order.
struct Integers {
    codes: Vec<i32>,
    /// One, or one per output.
    scales: Vec<f32>,
    /// Some of them share a scale within an output.
    grouped: bool,
}

fn integers(graph: &Graph, index: usize, weights: &Value) -> Option<Integers> {
    if let Some(low) = &weights.low_bit {
        let matrix =
            LayerMatrix::of(graph, &graph.nodes[index]).filter(|_| !low.dynamic && weights.branches.is_empty())?;
        let rows: Vec<i32> = (0..low.rows.n).flat_map(|row| low.rows.integers(row)).collect();
        let (codes, scales) = (matrix.graph_order(&rows), low.rows.row_scale.clone());
        return Some(Integers { codes, scales, grouped: low.rows.group != 0 });
    }
    let codes = weights.codes.as_ref().filter(|codes| usable(codes))?;
    Some(Integers { codes: codes.codes.clone(), scales: codes.scales.clone(), grouped: false })
}

/// Symmetric weights of at most 8 bits with one scale, or one per output.
fn usable(codes: &QuantCodes) -> bool {
    let per_output = codes.scales.len() == 1 || codes.axis == 0;
    codes.bits <= 8 && codes.block == 0 && per_output && !codes.dynamic && codes.zeros.iter().all(|&zero| zero == 0)
}

/// acc · scale by the requantization rule, before zero point and clamp.
fn scaled(acc: i64, scale: f64) -> i128 {
    let (m, k) = multiplier(scale);
    let (acc, k) = if k >= 1 { (i128::from(acc), k) } else { (i128::from(acc) << (1 - i32::from(k)).min(62), 1) };
    (acc * i128::from(m) + (1i128 << (30 + k))) >> (31 + k)
}

/// A fused clamp on the output's grid.
fn limits(clamp: Option<Clamp>, grid: ActQuant) -> (i64, i64) {
    let on_grid = |x: f32| {
        let q = (f64::from(x) / f64::from(grid.scale)).round_ties_even() + f64::from(grid.zero_point);
        q.clamp(-128.0, 127.0) as i64
    };
    clamp.map_or((-128, 127), |clamp| (on_grid(clamp.lo), on_grid(clamp.hi)))
}

/// The bias in steps of the accumulator: its own 32-bit codes if their scales
/// are the accumulator's, else its value divided, ties to even.
pub(crate) fn integer_bias(bias: Option<&Value>, acc_scale: &[f64]) -> Option<Vec<i64>> {
    let Some(bias) = bias else { return Some(vec![0; acc_scale.len()]) };
    if let Some(codes) = bias.codes.as_ref().filter(|codes| codes.bits == 32 && codes.block == 0) {
        let matches =
            |(c, scale): (usize, &f64)| (f64::from(codes.scales[c % codes.scales.len()]) / scale - 1.0).abs() < 1e-5;
        let symmetric = codes.zeros.iter().all(|&zero| zero == 0);
        if symmetric && codes.codes.len() == acc_scale.len() && acc_scale.iter().enumerate().all(matches) {
            return Some(codes.codes.iter().map(|&q| i64::from(q)).collect());
        }
    }
    let data = bias.f32s().filter(|data| data.len() == acc_scale.len())?;
    Some(data.iter().zip(acc_scale).map(|(&b, scale)| (f64::from(b) / scale).round_ties_even() as i64).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn biases_prefer_their_own_codes() {
        let codes = |scale| QuantCodes {
            bits: 32,
            signed: true,
            axis: 0,
            block: 0,
            scales: vec![scale],
            zeros: vec![0],
            codes: vec![7, -9],
            dynamic: false,
        };
        let data = crate::graph::Constant::F32(vec![0.25, -0.75]);
        let mut bias = Value::constant("b", vec![2], data);
        assert_eq!(integer_bias(Some(&bias), &[0.1, 0.5]), Some(vec![2, -2]), "ties to even");
        bias.codes = Some(codes(0.1));
        assert_eq!(integer_bias(Some(&bias), &[f64::from(0.1f32), 0.1]), Some(vec![7, -9]));
        bias.codes = Some(codes(0.2));
        assert_eq!(integer_bias(Some(&bias), &[0.1, 0.5]), Some(vec![2, -2]));
    }

    #[test]
    fn scaling_follows_the_normative_rule() {
        for (acc, scale) in [(12345, 0.0123), (-12345, 0.0123), (7, 3.0), (-6, 0.25), (1 << 29, 1e-7)] {
            let (m, k) = multiplier(scale);
            let expected = selvedge_core::arith::requantize(acc, m, k, 0, i32::MIN, i32::MAX);
            assert_eq!(scaled(acc, scale), i128::from(expected));
        }
    }
}
