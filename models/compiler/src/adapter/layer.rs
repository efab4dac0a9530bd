//! Dense layers of a program, as an adapter sees them.

use crate::program::{Program, ProgramStep, Storage, TensorId};
use selvedge_core::artifact::step_flags;
use selvedge_core::params::{Branch, Branches, DenseI8, LowBit, NONE};
use selvedge_core::{DType, Format, OpCode};
use selvedge_kernels::{Width, pack, pack_low};
use zerocopy::{FromBytes, Immutable, KnownLayout};

/// An int8 or low-bit layer.
#[derive(Clone, Debug, Default)]
pub(super) struct DenseLayer {
    pub step: usize,
    /// Of its output.
    pub name: String,
    /// The int8 activations it reads, and their scale and zero point; scale 1 where it is a row's own.
    pub x: TensorId,
    pub x_grid: (f32, i32),
    pub rows: usize,
    pub n: usize,
    pub k: usize,
    /// What a step of a channel's sum is worth, in steps of the activations' scale where that is a row's own.
    pub unit: Vec<f32>,
    /// Sum of the magnitudes of a channel's weights and branches: times 128 the largest sum.
    pub magnitude: Vec<i64>,
    /// Magnitudes that the requantization of each channel's sum has room for.
    pub room: Vec<i64>,
    pub branches: usize,
}

/// Largest magnitude for sums in 32 bits.
const LARGEST: i64 = (1 << 31) / 128 - 1;

/// The parameters of a dense step with int8 activations.
pub(super) struct DenseParams {
    pub own: DenseI8,
    pub low: Option<LowBit>,
    pub branches: Vec<Branch>,
}

/// The parameters of a step; `None` where it is no dense layer that a branch could join.
pub(super) fn dense_params(step: &ProgramStep) -> Option<DenseParams> {
    let low_bit = matches!(step.format, Format::W4 | Format::W3 | Format::W2 | Format::T2);
    if !(low_bit || step.format == Format::W8) || step.flags & (step_flags::FUSED_ADD | step_flags::OUT_I32) != 0 {
        return None;
    }
    let (own, rest) = DenseI8::read_from_prefix(&step.params).ok()?;
    let (low, rest) = match low_bit {
        true => LowBit::read_from_prefix(rest).map(|(low, rest)| (Some(low), rest)).ok()?,
        false => (None, rest),
    };
    let mut branches = Vec::new();
    match step.op {
        OpCode::Dense => {}
        OpCode::DenseLowRank => {
            let (count, mut rest) = Branches::read_from_prefix(rest).ok()?;
            for _ in 0..count.count {
                let (branch, after) = Branch::read_from_prefix(rest).ok()?;
                branches.push(branch);
                rest = after;
            }
        }
        _ => return None,
    }
    Some(DenseParams { own, low, branches })
}

/// `count` entries at an offset of the weights.
fn array<T: FromBytes + Immutable + KnownLayout>(weights: &[u8], offset: u32, count: usize) -> Option<Vec<T>> {
    let from = offset as usize;
    let bytes = weights.get(from..from.checked_add(count.checked_mul(size_of::<T>())?)?)?;
    bytes.chunks_exact(size_of::<T>()).map(|chunk| T::read_from_bytes(chunk).ok()).collect()
}

/// Every dense layer of a program that a branch could join, in order.
pub(super) fn dense_layers(program: &Program) -> Vec<DenseLayer> {
    (0..program.steps.len()).filter_map(|step| dense_layer(program, step)).collect()
}

fn dense_layer(program: &Program, index: usize) -> Option<DenseLayer> {
    let step = &program.steps[index];
    let params = dense_params(step)?;
    let x = step.inputs.first().copied().flatten()?;
    let (x_tensor, y_tensor) = (&program.tensors[x], &program.tensors[*step.outputs.first()?]);
    if x_tensor.dtype != DType::I8 || x_tensor.storage != Storage::Arena {
        return None;
    }
    let (k, n) = (*x_tensor.dims.last()?, *y_tensor.dims.last()?);
    if k == 0 || n == 0 {
        return None;
    }
    let of_row = step.inputs.get(1).copied().flatten().is_some();
    let x_grid = if of_row { (1.0, 0) } else { x_tensor.quant? };
    let magnitude = magnitudes(program, step.format, &params, (n, k))?;
    let multiplier = params.own.arrays.multiplier;
    let (unit, room) = if step.flags & step_flags::OUT_F32 != 0 {
        (array::<f32>(&program.weights, multiplier, n)?, vec![LARGEST; n])
    } else {
        let (scale, _) = y_tensor.quant?;
        let m = array::<i32>(&program.weights, multiplier, n)?;
        let shift = array::<i8>(&program.weights, params.own.arrays.shift, n)?;
        let unit = m.iter().zip(&shift).map(|(&m, &s)| f64::from(m) * 2f64.powi(-31 - i32::from(s)) * f64::from(scale));
        (unit.map(|u| u as f32).collect(), rooms(program, step, &params, &m, &shift)?)
    };
    Some(DenseLayer {
        step: index,
        name: y_tensor.name.clone(),
        x,
        x_grid,
        rows: x_tensor.elements() / k,
        n,
        k,
        unit,
        magnitude,
        room,
        branches: params.branches.len(),
    })
}

/// Magnitudes for which the sum of each channel, its bias included, can be requantized exactly.
fn rooms(program: &Program, step: &ProgramStep, params: &DenseParams, m: &[i32], shift: &[i8]) -> Option<Vec<i64>> {
    let wide = step.flags & step_flags::WIDE != 0;
    let bias: Vec<i64> = match wide {
        true => array::<i64>(&program.weights, params.own.arrays.bias, m.len())?,
        false => array::<i32>(&program.weights, params.own.arrays.bias, m.len())?.into_iter().map(i64::from).collect(),
    };
    let room = |((&m, &shift), &bias): ((&i32, &i8), &i64)| {
        let left = (1 - i32::from(shift)).clamp(0, 40);
        let most = match wide {
            true => ((1i128 << 62) / i128::from(m.max(1))) >> left,
            false => (1i128 << 30) >> left,
        };
        ((most - i128::from(bias.unsigned_abs())) / 128).clamp(0, i128::from(LARGEST)) as i64
    };
    Some(m.iter().zip(shift).zip(&bias).map(room).collect())
}

/// Of each channel the sum of magnitudes of its weights, and of what its branches can add in units of 128.
fn magnitudes(program: &Program, format: Format, params: &DenseParams, (n, k): (usize, usize)) -> Option<Vec<i64>> {
    let arrays = params.own.arrays;
    let codes: Vec<u8> = array(&program.weights, arrays.weights, arrays.weights_bytes as usize)?;
    let mut sums = match &params.low {
        None => w8_magnitudes(&codes, n, k)?,
        Some(low) => {
            let width = match format {
                Format::W4 => Width::W4,
                Format::W3 => Width::W3,
                Format::W2 => Width::W2,
                _ => Width::T2,
            };
            let groups = pack_low::groups_of(k, low.group as usize);
            let scales: Vec<u8> = match low.scales {
                NONE => vec![1; n * groups],
                at => array(&program.weights, at, n * groups)?,
            };
            let offsets: Option<Vec<i16>> = match low.mins {
                NONE => None,
                at => Some(array(&program.weights, at, n * groups)?),
            };
            let group = if low.group == 0 { k } else { low.group as usize };
            let weight = |row: usize, col: usize| {
                let at = pack_low::scale_at(n, groups, row, col / group);
                let scale = i64::from(scales[at]);
                let offset = offsets.as_ref().map_or(i64::from(low.zero) * scale, |offsets| i64::from(offsets[at]));
                scale * i64::from(pack_low::low_code(width, &codes, n, k, row, col)) - offset
            };
            (0..n).map(|row| (0..k).map(|col| weight(row, col).abs()).sum()).collect()
        }
    };
    for branch in &params.branches {
        let rank = branch.rank as usize;
        let up: Vec<u8> = array(&program.weights, branch.up, branch.up_bytes as usize)?;
        for (sum, up) in sums.iter_mut().zip(w8_magnitudes(&up, n, rank)?) {
            *sum += shifted(up, branch.shift);
        }
    }
    Some(sums)
}

/// What a branch whose row has magnitudes `up` adds to those of its channel.
pub(super) fn shifted(up: i64, shift: i32) -> i64 {
    if shift >= 0 { up << shift.min(31) } else { (up >> (-shift).min(63)) + 1 }
}

fn w8_magnitudes(packed: &[u8], n: usize, k: usize) -> Option<Vec<i64>> {
    let code =
        |row: usize, col: usize| packed.get(pack::w8_at(n, k, row, col)).map(|&w| i64::from((w as i8).unsigned_abs()));
    (0..n).map(|row| (0..k).map(|col| code(row, col)).sum()).collect()
}
