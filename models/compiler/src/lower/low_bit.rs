//! Layers with weights of fewer than 8 bits: packing, and the arrays of their groups.

use super::context::Lowering;
use super::conv::ConvPlan;
use super::layer::Rows;
use super::spec::Spec;
use crate::lowbit::LowBitRows;
use selvedge_core::params::{self, NONE};
use selvedge_kernels::{ConvShape, pack, pack_low};

/// Packed codes, and how they are scaled.
pub(crate) struct Packed {
    pub bytes: Vec<i8>,
    pub low: Option<Groups>,
}

/// Scales and minimums in the order of the kernels.
pub(crate) struct Groups {
    scales: Vec<u8>,
    mins: Vec<i16>,
    group: u32,
    zero: u32,
}

impl Groups {
    /// Of `conv_groups` matrices that follow each other in `rows`.
    fn of(rows: &LowBitRows, conv_groups: usize) -> Self {
        let (n, groups) = (rows.n / conv_groups.max(1), rows.groups());
        let mut out = Groups {
            scales: vec![0; rows.scales.len()],
            mins: vec![0; rows.mins.len()],
            group: rows.group as u32,
            zero: u32::from(rows.zero),
        };
        let each = n * groups;
        for g in 0..conv_groups {
            let part = g * each..(g + 1) * each;
            if !rows.scales.is_empty() {
                pack_low::pack_scales(&rows.scales[part.clone()], n, groups, &mut out.scales[part.clone()]);
            }
            if !rows.mins.is_empty() {
                pack_low::pack_scales(&rows.mins[part.clone()], n, groups, &mut out.mins[part]);
            }
        }
        if !rows.mins.is_empty() {
            out.zero = 0;
        }
        out
    }

    /// Bytes of the arrays.
    pub fn bytes(&self) -> usize {
        self.scales.len() + self.mins.len() * 2
    }
}

impl Packed {
    /// Weights `[n, k]` of a dense layer.
    pub fn dense(rows: &Rows, n: usize, k: usize) -> Self {
        match rows {
            Rows::W8(rows) => {
                let mut bytes = vec![0i8; pack::w8_bytes(n, k)];
                pack::pack_w8(rows, n, k, &mut bytes);
                Packed { bytes, low: None }
            }
            Rows::Low(rows) => Packed { bytes: signed(pack_rows(rows, 1)), low: Some(Groups::of(rows, 1)) },
        }
    }

    /// Weights of a convolution.
    pub fn conv(rows: &Rows, plan: &ConvPlan) -> Self {
        match rows {
            Rows::W8(rows) => Packed { bytes: plan.pack_int(rows), low: None },
            Rows::Low(rows) if plan.depthwise => {
                let (channels, taps) = (rows.n, rows.k);
                let taps_first: Vec<u8> =
                    (0..taps * channels).map(|i| rows.codes[i % channels * taps + i / channels]).collect();
                let mut bytes = vec![0; pack_low::depthwise_low_bytes(rows.width, channels, taps)];
                pack_low::pack_depthwise_low(rows.width, &taps_first, rows.zero, channels, taps, &mut bytes);
                Packed { bytes: signed(bytes), low: Some(Groups::of(rows, 1)) }
            }
            Rows::Low(rows) => {
                let groups = plan.shape.groups;
                Packed { bytes: signed(pack_rows(rows, groups)), low: Some(Groups::of(rows, groups)) }
            }
        }
    }
}

fn signed(bytes: Vec<u8>) -> Vec<i8> {
    bytes.into_iter().map(|byte| byte as i8).collect()
}

/// `groups` matrices that follow each other in `rows`.
fn pack_rows(rows: &LowBitRows, groups: usize) -> Vec<u8> {
    let (n, k) = (rows.n / groups.max(1), rows.k);
    let each = pack_low::low_bytes(rows.width, n, k);
    let mut bytes = vec![0; groups * each];
    for (codes, out) in rows.codes.chunks((n * k).max(1)).zip(bytes.chunks_mut(each.max(1))) {
        pack_low::pack_low(rows.width, codes, n, k, out);
    }
    bytes
}

/// Scratch of a dense layer.
pub(crate) fn dense_scratch(rows: &Rows, count: usize, k: usize) -> usize {
    match rows {
        Rows::W8(_) => 0,
        Rows::Low(_) => pack_low::dense_low_scratch(count, k),
    }
}

/// Scratch of a convolution.
pub(crate) fn conv_scratch(rows: &Rows, shape: &ConvShape, depthwise: bool) -> usize {
    match (rows, depthwise) {
        (Rows::W8(_), true) => pack::depthwise_w8_scratch(shape),
        (Rows::W8(_), false) => pack::conv_w8_scratch(shape),
        (Rows::Low(_), true) => pack_low::depthwise_low_scratch(shape),
        (Rows::Low(_), false) => pack_low::conv_low_scratch(shape),
    }
}

impl Lowering<'_> {
    /// Puts a layer's groups behind its own parameters; gives the bytes they store.
    pub fn with_groups(&mut self, spec: Spec, packed: &Packed) -> (Spec, usize) {
        match &packed.low {
            Some(groups) => (spec.params(&self.store_groups(groups)), groups.bytes()),
            None => (spec, 0),
        }
    }

    /// Stores the arrays of a layer's groups.
    pub fn store_groups(&mut self, groups: &Groups) -> params::LowBit {
        params::LowBit {
            scales: if groups.scales.is_empty() { NONE } else { self.pool.add_array(&groups.scales) },
            mins: if groups.mins.is_empty() { NONE } else { self.pool.add_array(&groups.mins) },
            group: groups.group,
            zero: groups.zero,
        }
    }
}
