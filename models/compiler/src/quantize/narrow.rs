//! Weights that a model file quantized to few values, packed in the fewest bits that hold them.

use super::low_bit::LayerMatrix;
use crate::graph::{Graph, LowBitWeights, QuantCodes};
use crate::lowbit::{LowBitRows, Width};

/// Gives layers whose 8-bit codes, less their zero points, take no more than 16 values around 0 a
/// format of 4, 3 or 2 bits or ternary: the same integers in less flash. Returns how many.
pub fn pack_narrow_weights(graph: &mut Graph) -> usize {
    let mut packed = 0;
    for index in 0..graph.nodes.len() {
        let node = &graph.nodes[index];
        let Some(matrix) = LayerMatrix::of(graph, node) else { continue };
        let Some(weights) = node.inputs.get(1).copied().flatten() else { continue };
        let value = graph.value(weights);
        let Some(codes) = value.codes.as_ref().filter(|_| value.low_bit.is_none() && value.stored.is_none()) else {
            continue;
        };
        let Some(rows) = narrow_rows(codes, &matrix) else { continue };
        let dynamic = codes.dynamic;
        let value = graph.value_mut(weights);
        value.low_bit = Some(LowBitWeights { rows, dynamic, a4: false });
        value.codes = None;
        packed += 1;
    }
    packed
}

fn narrow_rows(codes: &QuantCodes, matrix: &LayerMatrix) -> Option<LowBitRows> {
    let (n, k) = (matrix.n, matrix.k);
    let per_row = codes.scales.len() > 1;
    let fits = codes.bits <= 8 && codes.block == 0 && codes.codes.len() == n * k;
    if !fits || codes.scales.is_empty() || (per_row && (codes.axis != 0 || codes.scales.len() != n)) {
        return None;
    }
    let zero = |row: usize| match codes.zeros.len() {
        0 => Some(0),
        1 => codes.zeros.first().copied(),
        _ => codes.zeros.get(row).copied(),
    };
    let mut integers = Vec::with_capacity(n * k);
    for (i, &code) in codes.codes.iter().enumerate() {
        integers.push(code - zero(i / k)?);
    }
    let (lo, hi) = integers.iter().fold((0, 0), |(lo, hi), &w| (w.min(lo), w.max(hi)));
    let width = match (lo, hi) {
        (-1..=0, 0..=1) => Width::T2,
        (lo, hi) if hi - lo <= 3 => Width::W2,
        (lo, hi) if hi - lo <= 7 => Width::W3,
        (lo, hi) if hi - lo <= 15 => Width::W4,
        _ => return None,
    };
    // Symmetric codes keep the middle of the range for 0 where it holds them.
    let middle = if width == Width::T2 { 1 } else { i32::from(width.max() / 2 + 1) };
    let zero = if lo >= -middle && hi <= i32::from(width.max()) - middle { middle } else { -lo };
    let row_scale = if per_row { codes.scales.clone() } else { vec![codes.scales[0]; n] };
    if row_scale.iter().any(|s| !s.is_finite() || *s < 0.0) {
        return None;
    }
    let unsigned: Vec<u8> = matrix.rows(&integers).into_iter().map(|w| (w + zero) as u8).collect();
    Some(LowBitRows {
        n,
        k,
        width,
        group: 0,
        codes: unsigned,
        zero: zero as u8,
        scales: Vec::new(),
        mins: Vec::new(),
        row_scale,
    })
}
