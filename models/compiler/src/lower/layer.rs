//! Integer layers: weights as i8 rows, folded bias, requantization per channel.

use super::context::Lowering;
use super::requant::{bounded_multiplier, multiplier};
use super::spec::Grid;
use crate::graph::{Clamp, LowRankBranch, QuantCodes, Value, ValueId};
use crate::lowbit::{LowBitRows, Width};
use selvedge_core::Format;
use selvedge_core::artifact::step_flags;
use selvedge_core::params::{LayerArrays, NONE};

/// Integer weights, output channels first, and one scale a channel.
pub(crate) struct IntWeights {
    pub rows: Rows,
    pub scales: Vec<f32>,
    /// Of each channel: sum and sum of magnitudes of its integers.
    pub sums: Vec<(i64, i64)>,
}

/// The codes of a layer.
pub(crate) enum Rows {
    /// `[n, k]` in the graph's order.
    W8(Vec<i8>),
    Low(LowBitRows),
}

impl IntWeights {
    fn new_w8(rows: Vec<i8>, scales: Vec<f32>) -> Self {
        let per = (rows.len() / scales.len().max(1)).max(1);
        let mut sums: Vec<(i64, i64)> = rows.chunks(per).map(row_sums).collect();
        sums.resize(scales.len(), (0, 0));
        IntWeights { rows: Rows::W8(rows), scales, sums }
    }

    fn new_low(rows: &LowBitRows) -> Self {
        let sums = (0..rows.n)
            .map(|row| {
                rows.integers(row).fold((0, 0), |(sum, all), w| (sum + i64::from(w), all + i64::from(w.unsigned_abs())))
            })
            .collect();
        IntWeights { scales: rows.row_scale.clone(), sums, rows: Rows::Low(rows.clone()) }
    }

    /// What the branches of a layer may add to a channel's sum counts as its own.
    pub fn add_branches(&mut self, branches: &[LowRankBranch]) {
        for branch in branches {
            for (sum, up) in self.sums.iter_mut().zip(branch.up.chunks(branch.rank.max(1))) {
                // Bounds count steps of 128; |t| is at most 128.
                let most = row_sums(up).1;
                sum.1 += if branch.shift >= 0 { most << branch.shift.min(31) } else { (most >> -branch.shift) + 1 };
            }
        }
    }

    /// The format of the weights.
    pub fn format(&self) -> Format {
        match &self.rows {
            Rows::W8(_) => Format::W8,
            Rows::Low(rows) => match rows.width {
                Width::W4 => Format::W4,
                Width::W3 => Format::W3,
                Width::W2 => Format::W2,
                Width::T2 => Format::T2,
            },
        }
    }
}

/// Symmetric i8 weights from codes whose scales are per tensor or per index of axis 0.
/// The error is the reason, for a note.
pub(crate) fn int_weights(weights: &Value) -> Result<IntWeights, String> {
    if let Some(low) = &weights.low_bit {
        return Ok(IntWeights::new_low(&low.rows));
    }
    let codes = weights.codes.as_ref().ok_or("its weights are not quantized")?;
    let channels = weights.shape.first().copied().unwrap_or(1);
    if codes.bits > 8 {
        return Err(format!("its weights have {} bits", codes.bits));
    }
    let per_channel = codes.scales.len() > 1;
    if codes.block != 0 || (per_channel && (codes.axis != 0 || codes.scales.len() != channels)) {
        return Err("its weights have scales within an output channel".into());
    }
    let of = |values: &[i32], channel: usize| match values.len() {
        0 => 0,
        1 => values[0],
        _ => values[channel],
    };
    let per = (codes.codes.len() / channels.max(1)).max(1);
    let rows = codes.codes.iter().enumerate().map(|(i, &code)| i8::try_from(code - of(&codes.zeros, i / per)));
    let rows = rows.collect::<Result<Vec<i8>, _>>().map_err(|_| "its weights less their zero point exceed int8")?;
    let scales = if per_channel { codes.scales.clone() } else { vec![codes.scales[0]; channels] };
    if scales.iter().any(|s| !s.is_finite() || *s < 0.0) {
        return Err("a scale of its weights is negative or not finite".into());
    }
    Ok(IntWeights::new_w8(rows, scales))
}

/// `bias / (s_x·s_w)` per channel: the file's 32-bit codes where they have that scale, else rounded.
pub(crate) fn int_bias(bias: Option<&Value>, x_scale: f32, scales: &[f32]) -> Result<Vec<i64>, String> {
    let Some(bias) = bias else { return Ok(vec![0; scales.len()]) };
    let data = bias.f32s().ok_or("its bias is not constant")?;
    if data.len() != scales.len() && data.len() != 1 {
        return Err("its bias has another length than its channels".into());
    }
    let step = |c: usize| x_scale as f64 * scales[c] as f64;
    if let Some(codes) = bias.codes.as_ref().filter(|codes| codes_match(codes, data.len(), &step)) {
        return Ok((0..scales.len()).map(|c| codes.codes[c.min(codes.codes.len() - 1)] as i64).collect());
    }
    (0..scales.len())
        .map(|c| {
            let (value, step) = (data[c.min(data.len() - 1)] as f64, step(c));
            let q = if value == 0.0 { 0.0 } else { (value / step).round_ties_even() };
            if q.abs() < 2f64.powi(52) { Ok(q as i64) } else { Err(format!("the bias of channel {c} is out of range")) }
        })
        .collect()
}

fn codes_match(codes: &QuantCodes, len: usize, step: &dyn Fn(usize) -> f64) -> bool {
    codes.bits == 32
        && codes.codes.len() == len
        && codes.zeros.iter().all(|&z| z == 0)
        && codes.block == 0
        && (codes.scales.len() == 1 || codes.scales.len() == len)
        && (0..len).all(|c| {
            let scale = codes.scales[c.min(codes.scales.len() - 1)] as f64;
            (scale - step(c)).abs() <= 1e-6 * step(c).abs()
        })
}

/// Per-channel constants of the requantizing epilogue.
pub(crate) struct Epilogue {
    pub bias: Vec<i64>,
    pub multiplier: Vec<i32>,
    pub shift: Vec<i8>,
    pub wide: bool,
}

/// Folds the zero point, bounds the sums and derives the multipliers.
pub(crate) fn epilogue(w: &IntWeights, bias: &[i64], x: Grid, y: Grid) -> Result<Epilogue, String> {
    let channels = w.scales.len();
    let mut folded = Vec::with_capacity(channels);
    let mut bounds = Vec::with_capacity(channels);
    for c in 0..channels {
        let (sum, magnitude) = w.sums[c];
        if magnitude * 128 >= 1 << 31 {
            return Err(format!("the sums of channel {c} may leave 32 bits"));
        }
        folded.push(bias[c] - x.zp as i64 * sum);
        bounds.push(folded[c].abs() + magnitude * 128);
    }
    let scale = |c: usize| x.scale as f64 * w.scales[c] as f64 / y.scale as f64;
    let narrow = (0..channels).all(|c| {
        let (_, k) = multiplier(scale(c));
        let left = (1 - k as i32).clamp(0, 40);
        (bounds[c] as i128) << left <= 1 << 30
    });
    let mut epilogue = Epilogue { bias: folded, multiplier: Vec::new(), shift: Vec::new(), wide: !narrow };
    for (c, &bound) in bounds.iter().enumerate() {
        // An all-zero channel needs no scale.
        if bound == 0 {
            epilogue.multiplier.push(0);
            epilogue.shift.push(31);
            continue;
        }
        let pair = if narrow { Some(multiplier(scale(c))) } else { bounded_multiplier(scale(c), bound.max(1)) };
        let (m, k) = pair
            .filter(|&(_, k)| k >= -30)
            .ok_or_else(|| format!("the scale of channel {c} is too large for its sums"))?;
        epilogue.multiplier.push(m);
        epilogue.shift.push(k);
    }
    Ok(epilogue)
}

/// Sum and sum of magnitudes of a row of weights.
pub(crate) fn row_sums(row: &[i8]) -> (i64, i64) {
    row.iter().fold((0, 0), |(sum, magnitude), &w| (sum + w as i64, magnitude + (w as i64).abs()))
}

/// How a layer's input and output are represented.
pub(crate) enum LayerForm {
    /// int8 to int8.
    Int {
        x: Grid,
        y: Grid,
    },
    /// int8 on a known grid to f32.
    StaticToFloat {
        x: Grid,
    },
    /// f32 quantized at run time, to f32.
    Dynamic,
    /// int16 to int16; the scales.
    Wide {
        x: f32,
        y: f32,
    },
    Float,
}

impl Lowering<'_> {
    /// Chooses the form of a Conv or Dense and notes a fall back to f32.
    pub fn layer_form(&self, x: ValueId, w: ValueId, y: ValueId) -> LayerForm {
        let (codes, low) = (self.graph.value(w).codes.as_ref(), self.graph.value(w).low_bit.as_ref());
        let usable = (low.is_some() || codes.is_some_and(|codes| codes.bits <= 8)) && !self.options.simulate;
        let dynamic = low.map(|low| low.dynamic).or(codes.map(|codes| codes.dynamic));
        match (usable, self.grid(x).filter(|_| !self.graph.value(x).is_constant()), self.grid(y)) {
            (true, Some(x), Some(y)) => LayerForm::Int { x, y },
            (true, Some(x), None) => LayerForm::StaticToFloat { x },
            (true, None, _) if dynamic == Some(true) => LayerForm::Dynamic,
            (true, None, None) if low.is_none() && !self.graph.value(x).is_constant() => {
                match (self.wide_scale(x), self.wide_scale(y)) {
                    (Some(x), Some(y)) => LayerForm::Wide { x, y },
                    _ => LayerForm::Float,
                }
            }
            _ => LayerForm::Float,
        }
    }

    /// Stores the arrays of a requantizing epilogue; returns their offsets and bytes.
    pub fn store_epilogue(&mut self, epilogue: &Epilogue, weights: (u32, usize)) -> (LayerArrays, usize) {
        let channels = epilogue.bias.len();
        let bias = if epilogue.wide {
            self.pool.add_array(&epilogue.bias)
        } else {
            let narrow: Vec<i32> = epilogue.bias.iter().map(|&b| b as i32).collect();
            self.pool.add_array(&narrow)
        };
        let arrays = LayerArrays {
            weights: weights.0,
            weights_bytes: weights.1 as u32,
            bias,
            multiplier: self.pool.add_array(&epilogue.multiplier),
            shift: self.pool.add_array(&epilogue.shift),
        };
        (arrays, weights.1 + channels * if epilogue.wide { 13 } else { 9 })
    }

    /// Stores the arrays of an epilogue to f32. A static input grid's zero point is folded into the bias.
    pub fn store_float_epilogue(
        &mut self,
        w: &IntWeights,
        bias: Option<&Value>,
        x: Option<Grid>,
        weights: (u32, usize),
    ) -> Result<(LayerArrays, usize), String> {
        let channels = w.scales.len();
        let data = match bias {
            Some(bias) => bias.f32s().ok_or("its bias is not constant")?.to_vec(),
            None => vec![0.0; channels],
        };
        if data.len() != channels && data.len() != 1 {
            return Err("its bias has another length than its channels".into());
        }
        let mut folded = Vec::with_capacity(channels);
        for c in 0..channels {
            let (sum, magnitude) = w.sums[c];
            if magnitude * 128 >= 1 << 31 {
                return Err(format!("the sums of channel {c} may leave 32 bits"));
            }
            let value = data[c.min(data.len() - 1)] as f64;
            let zero = x.map_or(0.0, |x| x.zp as f64 * sum as f64 * x.scale as f64 * w.scales[c] as f64);
            folded.push((value - zero) as f32);
        }
        // A static scale of the input is folded into those of the weights: the kernel's own product.
        let scales: Vec<f32> = w.scales.iter().map(|s| x.map_or(*s, |x| x.scale * s)).collect();
        let arrays = LayerArrays {
            weights: weights.0,
            weights_bytes: weights.1 as u32,
            bias: self.pool.add_array(&folded),
            multiplier: self.pool.add_array(&scales),
            shift: NONE,
        };
        Ok((arrays, weights.1 + channels * 8))
    }
}

/// Flags of a requantizing layer.
pub(crate) fn int_flags(epilogue: &Epilogue) -> u16 {
    if epilogue.wide { step_flags::WIDE } else { 0 }
}

/// Bounds of an f32 clamp.
pub(crate) fn float_clamp(clamp: Option<Clamp>) -> (f32, f32) {
    clamp.map_or((f32::NEG_INFINITY, f32::INFINITY), |c| (c.lo, c.hi))
}
