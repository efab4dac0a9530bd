//! The inner product of W8 panels: 8 channels times a few rows of int8, or a block of int16.

use crate::pack::{KR, NR};

/// Bytes of a panel that hold [`KR`] consecutive k of each of its channels.
pub const QUAD: usize = NR * KR;

/// An int8 value, kept as such or as its byte, or an int16 one.
pub trait Activation: Copy {
    fn get(self) -> i32;
}

impl Activation for i8 {
    #[inline(always)]
    fn get(self) -> i32 {
        i32::from(self)
    }
}

impl Activation for u8 {
    #[inline(always)]
    fn get(self) -> i32 {
        i32::from(self as i8)
    }
}

impl Activation for i16 {
    #[inline(always)]
    fn get(self) -> i32 {
        i32::from(self)
    }
}

/// Whether lanes of a vector or single registers hold the sums.
pub const VECTORS: bool = cfg!(any(target_arch = "x86_64", selvedge_neon, target_feature = "simd128"));

/// Sums of `R` rows times the `channels` of `panel`, whole quads of k of rows of one length.
/// Exact; sums wrap; those past `channels` are unspecified.
#[inline(always)]
pub fn dot<X: Activation, const R: usize>(panel: &[i8], channels: usize, rows: [&[X]; R]) -> [[i32; NR]; R] {
    if VECTORS && channels == NR { dot_lanes(panel, rows) } else { dot_registers(panel, channels, rows) }
}

/// One sum a lane, the channels side by side: four k of a channel are the bytes of its lane.
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "every loop has a constant length and becomes vectors")]
pub fn dot_lanes<X: Activation, const R: usize>(panel: &[i8], rows: [&[X]; R]) -> [[i32; NR]; R] {
    let count = rows.first().map_or(0, |row| row.len() / KR);
    let quads = panel.as_chunks::<QUAD>().0.get(..count).unwrap_or_default();
    let mut x: [&[[X; KR]]; R] = [&[]; R];
    for (x, row) in x.iter_mut().zip(rows) {
        *x = row.as_chunks::<KR>().0.get(..quads.len()).unwrap_or_default();
    }
    let mut acc = [[0i32; NR]; R];
    if x.iter().any(|x| x.len() != quads.len()) {
        return acc;
    }
    for (quad, w) in quads.iter().enumerate() {
        let w = w.as_chunks::<KR>().0;
        let mut lanes = [0i32; NR];
        for c in 0..NR {
            lanes[c] = i32::from_le_bytes([w[c][0] as u8, w[c][1] as u8, w[c][2] as u8, w[c][3] as u8]);
        }
        let (mut w0, mut w1, mut w2, mut w3) = (lanes, lanes, lanes, lanes);
        for c in 0..NR {
            (w0[c], w1[c]) = (lanes[c] << 24 >> 24, lanes[c] << 16 >> 24);
            (w2[c], w3[c]) = (lanes[c] << 8 >> 24, lanes[c] >> 24);
        }
        for r in 0..R {
            let [x0, x1, x2, x3] = x[r][quad].map(|x| x.get());
            let mut sums = acc[r];
            for c in 0..NR {
                let low = w0[c] * x0 + w1[c] * x1;
                sums[c] = sums[c].wrapping_add(low + (w2[c] * x2 + w3[c] * x3));
            }
            acc[r] = sums;
        }
    }
    acc
}

/// One sum a register, one channel after the other.
#[inline(always)]
pub fn dot_registers<X: Activation, const R: usize>(panel: &[i8], channels: usize, rows: [&[X]; R]) -> [[i32; NR]; R] {
    let mut acc = [[0i32; NR]; R];
    let rows = rows.map(|row| row.as_chunks::<KR>().0);
    for channel in 0..channels.min(NR) {
        let mut sums = [0i32; R];
        // The quads of a channel are as far apart as the panel is wide.
        let of_channel = panel.as_chunks::<KR>().0.iter().skip(channel).step_by(channels);
        for (quad, w) in of_channel.enumerate().take(rows.first().map_or(0, |row| row.len())) {
            for (row, sum) in rows.iter().zip(&mut sums) {
                let Some(x) = row.get(quad) else { continue };
                for (x, w) in x.iter().zip(w) {
                    *sum = sum.wrapping_add(x.get() * *w as i32);
                }
            }
        }
        for (acc, sum) in acc.iter_mut().zip(sums) {
            acc[channel] = sum;
        }
    }
    acc
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::buffers::Rng;

    #[test]
    fn both_forms_equal_each_other_on_random_panels_up_to_40_quads() {
        let rng = &mut Rng(20);
        for quads in 0..40 {
            let panel = rng.i8s(quads * QUAD);
            let rows: [std::vec::Vec<i8>; 4] = core::array::from_fn(|_| rng.i8s(quads * KR));
            let rows = [0, 1, 2, 3].map(|i| rows[i].as_slice());
            assert_eq!(dot_lanes(&panel, rows), dot_registers(&panel, NR, rows));
            assert_eq!(dot_lanes(&panel, [rows[3]]), dot_registers(&panel, NR, [rows[3]]));
        }
    }
}
