//! Rules every f32 kernel follows, whatever its instruction set.
//!
//! * Products are rounded, then added: no fused multiply-add.
//! * A dot product is one sequence in ascending `k`, cut into blocks of [`K_BLOCK`]: each block
//!   is summed from +0, block sums are added to a total that starts at +0 ([`BlockedSum`]).
//! * A reduction adds element `i` into lane `i % 8`, then combines the lanes as
//!   `((0+4)+(2+6))+((1+5)+(3+7))` ([`combine`]).
//! * A NaN is stored as [`NAN`], whatever its sign and payload were.
//!
//! The CPU rounds to nearest, ties to even, and keeps subnormal numbers (no flush-to-zero mode).

/// Products that are summed before they join the total.
pub const K_BLOCK: usize = 256;

/// Lanes of a reduction.
pub const LANES: usize = 8;

/// The one NaN that kernels store.
pub const NAN: f32 = f32::from_bits(0x7fc0_0000);

/// `v` as it is stored.
///
/// In integers: compilers may drop a selection between a NaN and another NaN in f32.
#[inline(always)]
pub fn canonical(v: f32) -> f32 {
    let bits = v.to_bits();
    f32::from_bits(if bits & 0x7fff_ffff > 0x7f80_0000 { NAN.to_bits() } else { bits })
}

/// `min(max(v, lo), hi)` as it is stored; NaN stays NaN, and `lo = −∞, hi = ∞` changes nothing.
#[inline(always)]
pub fn clamp(v: f32, lo: f32, hi: f32) -> f32 {
    let v = if v < lo { lo } else { v };
    canonical(if v > hi { hi } else { v })
}

/// The larger one, `a` where they are equal; NaN if either is NaN.
#[inline(always)]
pub fn max(a: f32, b: f32) -> f32 {
    let larger = if b > a { b } else { a };
    if b.is_nan() { b } else { larger }
}

/// The smaller one, `a` where they are equal; NaN if either is NaN.
#[inline(always)]
pub fn min(a: f32, b: f32) -> f32 {
    let smaller = if b < a { b } else { a };
    if b.is_nan() { b } else { smaller }
}

/// Joins the lanes of a reduction.
#[inline(always)]
pub fn combine(l: &[f32; LANES], op: impl Fn(f32, f32) -> f32) -> f32 {
    let even = op(op(l[0], l[4]), op(l[2], l[6]));
    let odd = op(op(l[1], l[5]), op(l[3], l[7]));
    op(even, odd)
}

/// A dot product's sum: see the module's second rule.
#[derive(Clone, Copy, Default)]
pub struct BlockedSum {
    total: f32,
    block: f32,
    count: usize,
}

impl BlockedSum {
    #[inline(always)]
    pub fn add(&mut self, product: f32) {
        self.block += product;
        self.count += 1;
        if self.count == K_BLOCK {
            self.total += self.block;
            self.block = 0.0;
            self.count = 0;
        }
    }

    /// A block that is empty adds +0, which changes no total: totals are never −0.
    #[inline(always)]
    pub fn finish(self) -> f32 {
        self.total + self.block
    }
}

/// What a layer stores: bias (if any) added, clamped.
#[inline(always)]
pub fn epilogue(sum: f32, bias: Option<f32>, lo: f32, hi: f32) -> f32 {
    let v = match bias {
        Some(b) => sum + b,
        None => sum,
    };
    clamp(v, lo, hi)
}

/// Row or column of the input under a tap; `None` outside of it.
#[inline(always)]
pub fn tap(out: usize, stride: usize, tap: usize, dilation: usize, pad: usize, len: usize) -> Option<usize> {
    // Wraps to a number past any length where the tap lies before the input.
    let at = (out * stride + tap * dilation).wrapping_sub(pad);
    (at < len).then_some(at)
}

/// Row or column of a transposed convolution's input that reaches `out` through a tap.
#[inline(always)]
pub fn transposed_tap(out: usize, stride: usize, tap: usize, dilation: usize, pad: usize, len: usize) -> Option<usize> {
    let at = (out + pad).checked_sub(tap * dilation)?;
    (at % stride == 0 && at / stride < len).then_some(at / stride)
}
