//! Correction of the bias for what quantized weights change in a layer's mean output (Nagel et al. 2019).

use super::low_bit::LayerMatrix;
use super::scheme::InputMeans;

/// The bias that gives each output channel the mean it has in float:
/// `b + W·E[x] − Ŵ·E[x̂]`. `weights` are the float ones and what the layer holds, in the graph's order.
///
/// `None` where the means are not those of this layer's inputs, or not finite.
pub(super) fn corrected_bias(
    matrix: &LayerMatrix,
    weights: (&[f32], &[f32]),
    bias: Option<&[f32]>,
    means: &InputMeans,
) -> Option<Vec<f32>> {
    let (n, k) = (matrix.n, matrix.k);
    let (taps, channels) = (matrix.taps(), matrix.channels());
    let all = means.float.len() / taps.max(1);
    let groups = all / channels.max(1);
    let fits = means.float.len() == means.quantized.len() && all * taps == means.float.len();
    if !fits || groups * channels != all || groups == 0 || !n.is_multiple_of(groups) {
        return None;
    }
    let (float, held) = (matrix.rows(weights.0), matrix.rows(weights.1));
    let of_row = |row: usize| {
        let first = row / (n / groups) * channels;
        let mean = |means: &[f32], col: usize| f64::from(means[col / channels * all + first + col % channels]);
        let shift: f64 = (0..k)
            .map(|col| {
                let (w, q) = (f64::from(float[row * k + col]), f64::from(held[row * k + col]));
                w * mean(&means.float, col) - q * mean(&means.quantized, col)
            })
            .sum();
        let bias = bias.map_or(0.0, |b| f64::from(b[row.min(b.len() - 1)]));
        (bias + shift) as f32
    };
    let corrected: Vec<f32> = (0..n).map(of_row).collect();
    corrected.iter().all(|b| b.is_finite()).then_some(corrected)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Constant, DType, Graph, Layout, Node, Op, Value, Window};

    fn conv(groups: usize, n: usize, channels: usize) -> (Graph, LayerMatrix) {
        let mut graph = Graph::default();
        let x = graph.add_value(Value::new("x", DType::F32, vec![1, 4, 4, channels * groups]));
        let size = n * channels * 6;
        let data = (0..size).map(|i| ((i * 37 % 101) as f32 - 50.0) / 50.0).collect();
        let w = graph.add_value(Value::constant("w", vec![n, channels, 2, 3], Constant::F32(data)));
        let y = graph.add_value(Value::new("y", DType::F32, vec![1, 3, 2, n]));
        let window = Window { kernel: [2, 3], stride: [1; 2], dilation: [1; 2], pads: [0; 4] };
        let op = Op::Conv { window, groups, layout: Layout::Nhwc, clamp: None };
        graph.nodes.push(Node { name: "conv".into(), op, inputs: vec![Some(x), Some(w)], outputs: vec![y] });
        let matrix = LayerMatrix::of(&graph, &graph.nodes[0]).expect("a layer");
        (graph, matrix)
    }

    #[test]
    fn the_mean_output_of_every_channel_is_that_of_the_float_layer() {
        // Oracle: the mean of a linear layer's output is the layer at the mean of its input, by loops
        // over the definition of a grouped convolution.
        for (groups, n, channels) in [(1, 3, 4), (4, 4, 1), (2, 6, 3)] {
            let (graph, matrix) = conv(groups, n, channels);
            let float = graph.values[1].f32s().expect("weights").to_vec();
            let held: Vec<f32> = float.iter().map(|w| (w * 7.0).round() / 7.0).collect();
            let all = channels * groups;
            let means = InputMeans {
                float: (0..6 * all).map(|i| i as f32 * 0.1 - 1.0).collect(),
                quantized: (0..6 * all).map(|i| i as f32 * 0.11 - 1.2).collect(),
            };
            let bias: Vec<f32> = (0..n).map(|c| c as f32).collect();
            let found = corrected_bias(&matrix, (&float, &held), Some(&bias), &means).expect("fits");
            let output = |w: &[f32], x: &[f32], c: usize| -> f64 {
                let group = c / (n / groups);
                let mut sum = 0.0;
                for i in 0..channels {
                    for tap in 0..6 {
                        let weight = w[(c * channels + i) * 6 + tap];
                        sum += f64::from(weight) * f64::from(x[tap * all + group * channels + i]);
                    }
                }
                sum
            };
            for c in 0..n {
                let want = output(&float, &means.float, c) + f64::from(bias[c]);
                let got = output(&held, &means.quantized, c) + f64::from(found[c]);
                assert!((want - got).abs() < 1e-5, "groups {groups}, channel {c}: {want} {got}");
            }
        }
    }

    #[test]
    fn means_of_another_layer_or_not_finite_leave_the_bias() {
        let (graph, matrix) = conv(1, 3, 4);
        let w = graph.values[1].f32s().expect("weights");
        let means = |float: Vec<f32>| InputMeans { quantized: float.clone(), float };
        assert_eq!(corrected_bias(&matrix, (w, w), None, &means(vec![0.0; 23])), None);
        assert_eq!(corrected_bias(&matrix, (w, w), None, &means(vec![f32::NAN; 24])), None);
        assert_eq!(corrected_bias(&matrix, (w, w), None, &means(vec![1.0; 24])), Some(vec![0.0; 3]));
    }
}
