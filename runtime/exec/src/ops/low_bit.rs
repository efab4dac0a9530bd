//! What layers with weights of fewer than 8 bits share.

use selvedge_core::params::{self, LayerArrays, NONE};
use selvedge_kernels::{Code, LowBit, pack_low};

use super::layer_i8::require;
use crate::StepCtx;

/// The weights of a layer of `conv_groups` times `n` rows of `k`, in `bytes` of codes; their
/// [`params::LowBit`] lies `offset` bytes into the step's parameters.
///
/// Codes past the width's largest (code 3 of ternary weights) are not looked for: they give
/// wrong numbers, nothing else.
pub(super) fn low_bit<'a, C: Code>(
    ctx: &StepCtx<'a>,
    offset: usize,
    arrays: &LayerArrays,
    bytes: usize,
    [conv_groups, n, k]: [usize; 3],
) -> Option<LowBit<'a>> {
    let p: &params::LowBit = ctx.params_at(offset).ok()?;
    let group = p.group as usize;
    require(group.is_multiple_of(pack_low::SPAN) && p.zero <= u32::from(C::WIDTH.max()))?;
    require((group == 0) == (p.scales == NONE) && (p.mins == NONE || p.zero == 0))?;
    let count = conv_groups.checked_mul(n)?.checked_mul(pack_low::groups_of(k, group))?;
    let scales = if p.scales == NONE { &[][..] } else { ctx.array(p.scales, count).ok()? };
    let offsets = if p.mins == NONE { &[][..] } else { ctx.array(p.mins, count).ok()? };
    require(arrays.weights_bytes as usize == bytes)?;
    let codes = ctx.array(arrays.weights, bytes).ok()?;
    Some(LowBit { n, k, codes, group, scales, offsets, zero: p.zero as u8 })
}
