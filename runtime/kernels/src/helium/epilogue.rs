//! Epilogues of int8 layers: the sums of up to eight output rows and eight channels.

use core::arch::asm;

use super::tile_i8::Int8;
use crate::args::*;
use crate::pack::NR;
use crate::portable;

/// Where the sums of a layer go, and how: by vectors where all its outputs are int8 and its
/// shifts are 1..=31, else one by one.
pub struct Epilogue<'a> {
    output: Output<'a>,
    channels: usize,
    vectors: bool,
}

/// Output rows stored at a time.
const ROWS: usize = 8;

/// Sums that start with nothing.
const ZEROS: [i32; NR] = [0; NR];

impl<'a> Epilogue<'a> {
    /// `rows` output rows of `channels` channels; `None` where a slice of `output` is shorter.
    #[inline]
    pub fn new(output: Output<'a>, rows: usize, channels: usize) -> Option<Self> {
        let elements = rows.checked_mul(channels)?;
        let (len, vectors) = match &output {
            Output::I8(q, out) => {
                let arrays = match q.bias {
                    Bias::I32(bias) => bias.len().min(q.multiplier.len()).min(q.shift.len()),
                    Bias::I64(_) => 0,
                };
                (out.len(), arrays >= channels && are_right_shifts(q.shift))
            }
            Output::F32(_, out) => (out.len(), false),
            Output::I32(_, out) => (out.len(), false),
        };
        (len >= elements).then_some(Self { output, channels, vectors })
    }

    /// Channels of a row of the output.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// The epilogue for tiles that requantize in registers, and the output.
    #[inline]
    pub fn int8(&mut self) -> Option<(Int8<'_>, &mut [i8])> {
        match &mut self.output {
            Output::I8(q, out) if self.vectors => match q.bias {
                Bias::I32(bias) => Some((Int8 { q, bias }, out)),
                Bias::I64(_) => None,
            },
            _ => None,
        }
    }

    /// What the sums of `live` ≤ 8 channels from `channel` on start with.
    #[inline]
    pub fn start(&self, channel: usize, live: usize) -> [i32; NR] {
        let Output::I8(Requant { bias: Bias::I32(bias), .. }, _) = &self.output else { return ZEROS };
        if !self.vectors {
            return ZEROS;
        }
        let bias = bias.get(channel..).unwrap_or_default();
        match bias.first_chunk::<NR>() {
            Some(bias) => *bias,
            None => {
                let mut start = ZEROS;
                start.iter_mut().zip(bias).take(live).for_each(|(to, &from)| *to = from);
                start
            }
        }
    }

    /// Stores the sums of `rows` ≤ 8 output rows from `row` on, of `live` ≤ 8 channels from
    /// `channel` on, which began with [`Epilogue::start`]. Exact.
    #[inline]
    pub fn store(&mut self, row: usize, rows: usize, channel: usize, live: usize, sums: &[[i32; NR]]) {
        let rows = rows.min(sums.len()).min(ROWS);
        if let (true, Output::I8(q, out)) = (self.vectors, &mut self.output) {
            let at = row * self.channels + channel;
            let end = at + (rows.max(1) - 1) * self.channels + live;
            if rows == 0 || channel + live > self.channels || end > out.len() {
                return;
            }
            let out = out.as_mut_ptr().wrapping_add(at);
            match &q.residual {
                // SAFETY: `rows` rows of `live` bytes, `channels` apart, end at `end`; the
                // arrays of `q` have `channels` entries, `new` has seen to that.
                None => unsafe { requantize(q, channel, live, rows, sums, out, self.channels) },
                Some(r) => {
                    let mut y = [0i8; ROWS * NR];
                    // SAFETY: as above; `y` has room for 8 rows of 8 bytes.
                    unsafe {
                        requantize(q, channel, live, rows, sums, y.as_mut_ptr(), NR);
                        add_skip(r, &y, live, rows, out, self.channels);
                    }
                }
            }
            return;
        }
        for (i, acc) in sums.iter().enumerate().take(rows) {
            portable::epilogue::store(&mut self.output, row + i, channel, live, self.channels, acc);
        }
    }
}

/// Whether all are in 1..=31.
#[inline(never)]
fn are_right_shifts(shifts: &[i8]) -> bool {
    let (mut least, mut most) = (31i32, 1i32);
    // SAFETY: loads are predicated to the elements there are.
    unsafe {
        asm!(
            "wlstp.8 lr, {n}, 3f",
            "2:",
            "vldrb.u8 q0, [{shift}], #16",
            "vminv.s8 {least}, q0",
            "vmaxv.s8 {most}, q0",
            "letp lr, 2b",
            "3:",
            n = in(reg) shifts.len(),
            shift = inout(reg) shifts.as_ptr() => _,
            least = inout(reg) least,
            most = inout(reg) most,
            out("lr") _,
            out("d0") _, out("d1") _,
            options(nostack, readonly),
        );
    }
    least >= 1 && most <= 31
}

/// Requantizes, even and odd channels apart: the non-rounding high multiply and the rounding
/// shift are the rule's `(acc·m + 2^(30+k)) >> (31+k)` for k in 1..=31.
///
/// # Safety
/// The arrays of `q` have `channel + live` entries; `sums` has `rows` ≥ 1 rows; as many
/// of `live` ≤ 8 bytes, `step` bytes apart, can be written at `out`.
#[inline(never)]
unsafe fn requantize(
    q: &Requant<'_>,
    channel: usize,
    live: usize,
    rows: usize,
    sums: &[[i32; NR]],
    out: *mut i8,
    step: usize,
) {
    // SAFETY: loads of the arrays and stores are predicated to the live channels.
    unsafe {
        asm!(
            "mov r0, #0",
            "vidup.u32 q0, r0, #2",
            "add r0, {live}, #1",
            "lsr r0, r0, #1",
            "vctp.32 r0",
            "vpstt",
            "vldrwt.u32 q2, [{m}, q0, uxtw #2]",
            "vldrbt.s32 q4, [{k}, q0]",
            "add {m}, {m}, #4",
            "add {k}, {k}, #1",
            "lsr r0, {live}, #1",
            "vctp.32 r0",
            "vpstt",
            "vldrwt.u32 q3, [{m}, q0, uxtw #2]",
            "vldrbt.s32 q5, [{k}, q0]",
            "vneg.s32 q4, q4",
            "vneg.s32 q5, q5",
            "vdup.16 q6, {lo}",
            "vdup.16 q7, {hi}",
            "vctp.16 {live}",
            "dls lr, lr",
            "2:",
            "vld20.32 {{q0, q1}}, [{sums}]",
            "vld21.32 {{q0, q1}}, [{sums}]!",
            "vqdmulh.s32 q0, q0, q2",
            "vqdmulh.s32 q1, q1, q3",
            "vrshl.s32 q0, q0, q4",
            "vrshl.s32 q1, q1, q5",
            "vqmovnb.s32 q0, q0",
            "vqmovnt.s32 q0, q1",
            "vqadd.s16 q0, q0, {zero_point}",
            "vmax.s16 q0, q0, q6",
            "vmin.s16 q0, q0, q7",
            "vpst",
            "vstrbt.16 q0, [r1]",
            "add r1, r1, {step}",
            "le lr, 2b",
            out("r0") _,
            m = inout(reg) q.multiplier.as_ptr().wrapping_add(channel) => _,
            k = inout(reg) q.shift.as_ptr().wrapping_add(channel) => _,
            live = in(reg) live,
            lo = in(reg) q.lo as i32,
            hi = in(reg) q.hi as i32,
            zero_point = in(reg) q.zero_point,
            sums = inout(reg) sums.as_ptr() => _,
            inout("r1") out => _,
            step = in(reg) step,
            inout("lr") rows => _,
            out("d0") _, out("d1") _, out("d2") _, out("d3") _, out("d4") _, out("d5") _, out("d6") _, out("d7") _,
            out("d8") _, out("d9") _, out("d10") _, out("d11") _, out("d12") _, out("d13") _, out("d14") _,
            out("d15") _,
            options(nostack),
        );
    }
}

/// Fused residual: adds what `out` holds to rows of 8 requantized values.
///
/// # Safety
/// `rows` ≥ 1 rows of `live` ≤ 8 bytes, `step` bytes apart, can be read and written at `out`.
#[inline(never)]
unsafe fn add_skip(r: &Residual, y: &[i8; ROWS * NR], live: usize, rows: usize, out: *mut i8, step: usize) {
    // SAFETY: loads and stores of `out` are predicated to the live channels; `y` has the rows.
    unsafe {
        asm!(
            "vdup.16 q6, {lo}",
            "vdup.16 q7, {hi}",
            "vctp.16 {live}",
            "dls lr, lr",
            "2:",
            "vpst",
            "vldrbt.s16 q2, [r1]",
            "vldrb.s16 q0, [r2], #8",
            "vmovlt.s16 q3, q2",
            "vmovlb.s16 q2, q2",
            "vmovlt.s16 q1, q0",
            "vmovlb.s16 q0, q0",
            "vmul.i32 q0, q0, {m1}",
            "vmul.i32 q1, q1, {m1}",
            "vmla.i32 q0, q2, {m2}",
            "vmla.i32 q1, q3, {m2}",
            "vadd.i32 q0, q0, {c}",
            "vadd.i32 q1, q1, {c}",
            "vshl.s32 q0, {s}",
            "vshl.s32 q1, {s}",
            "vqmovnb.s32 q0, q0",
            "vqmovnt.s32 q0, q1",
            "vmax.s16 q0, q0, q6",
            "vmin.s16 q0, q0, q7",
            "vpst",
            "vstrbt.16 q0, [r1]",
            "add r1, r1, {step}",
            "le lr, 2b",
            live = in(reg) live,
            lo = in(reg) r.lo as i32,
            hi = in(reg) r.hi as i32,
            m1 = in(reg) r.m1,
            m2 = in(reg) r.m2,
            c = in(reg) r.c,
            s = in(reg) -((r.s & 31) as i32),
            inout("r2") y => _,
            inout("r1") out => _,
            step = in(reg) step,
            inout("lr") rows => _,
            out("d0") _, out("d1") _, out("d2") _, out("d3") _, out("d4") _, out("d5") _, out("d6") _, out("d7") _,
            out("d12") _, out("d13") _, out("d14") _, out("d15") _,
            options(nostack),
        );
    }
}
