//! `matmul_i8` on the W8 dense kernel of an instruction set: the right matrix is packed at run time.

use crate::args::{Output, RowsI8, Scale};
use crate::isa::IsaI8;
use crate::pack::{KR, NR};

/// Equal to the reference bit for bit, as the dense kernels are. `scratch` gets the packed matrix,
/// `zeros` takes the place of a bias.
#[inline(always)]
pub fn matmul<I: IsaI8>(
    isa: I,
    a: RowsI8<'_>,
    b: RowsI8<'_>,
    k: usize,
    out: &mut [f32],
    scratch: &mut [i8],
    zeros: &mut [f32],
) {
    pack_rows(b.codes, b.scales.len(), k, scratch);
    zeros.fill(0.0);
    let (lo, hi) = (f32::NEG_INFINITY, f32::INFINITY);
    let scale = Scale { x_scale: a.scales, w_scale: b.scales, bias: zeros, lo, hi };
    isa.dense_w8(a.codes, scratch, a.scales.len(), k, b.scales.len(), Output::F32(scale, out));
}

/// [`pack_w8`](crate::pack::pack_w8), a quad at a time.
#[inline(always)]
fn pack_rows(rows: &[i8], n: usize, k: usize, out: &mut [i8]) {
    let column = k.next_multiple_of(KR);
    let panels = out.chunks_mut((NR * column).max(1)).zip(rows.chunks((NR * k).max(1)));
    for (index, (panel, rows)) in panels.enumerate() {
        let channels = NR.min(n.saturating_sub(index * NR));
        // The zeros behind a narrow panel.
        if let Some(rest) = panel.get_mut(channels * column..) {
            rest.fill(0);
        }
        for (channel, row) in rows.chunks_exact(k.max(1)).enumerate() {
            let Some(panel) = panel.get_mut(channel * KR..) else { return };
            let mut quads = panel.chunks_mut((channels * KR).max(1)).filter_map(|quad| quad.first_chunk_mut::<KR>());
            let (whole, tail) = row.as_chunks::<KR>();
            for (from, to) in whole.iter().zip(quads.by_ref()) {
                *to = *from;
            }
            if let Some(to) = quads.next() {
                let mut last = tail.iter().copied();
                *to = core::array::from_fn(|_| last.next().unwrap_or(0));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::pack::{pack_w8, w8_bytes};
    use std::vec;
    use std::vec::Vec;

    #[test]
    fn rows_are_packed_as_weights_are_on_all_shapes_up_to_18() {
        for n in 1..=18 {
            for k in 1..=18 {
                let rows: Vec<i8> = (0..n * k).map(|i| (i * 37 + 11) as i8).collect();
                let mut want = vec![0; w8_bytes(n, k)];
                pack_w8(&rows, n, k, &mut want);
                let mut got = vec![77; want.len()];
                pack_rows(&rows, n, k, &mut got);
                assert_eq!(got, want, "{n} rows of {k}");
            }
        }
    }
}
