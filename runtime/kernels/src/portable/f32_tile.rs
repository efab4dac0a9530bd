//! The product of a few rows and a few panels, on which convolution, dense and matmul rest.

use crate::args::LayerF32;
use crate::element::Element;
use crate::f32_rules::{K_BLOCK, clamp};
use crate::pack::{MR, NR};

/// Columns of a matrix in groups of [`NR`]: element `i` of column `p·8 + lane` is
/// `data[p·panel_stride + i·k_stride + lane]`.
#[derive(Clone, Copy)]
pub struct Panels<'a, E = f32> {
    pub data: &'a [E],
    pub panel_stride: usize,
    pub k_stride: usize,
}

impl<'a, E> Panels<'a, E> {
    /// Panels as [`crate::pack`] lays them.
    #[inline(always)]
    pub fn packed(data: &'a [E], k: usize) -> Self {
        Self { data, panel_stride: NR * k, k_stride: NR }
    }

    /// From panel `p` on. Without rows (k = 0) there may be no data at all.
    #[inline(always)]
    pub fn from(self, p: usize) -> Self {
        Self { data: self.data.get(p * self.panel_stride..).unwrap_or_default(), ..self }
    }
}

/// A microkernel of M rows and P panels.
pub trait Tile: Copy {
    /// Dot products over `k` of each row with each column of the first P panels.
    fn sums<E: Element, const M: usize, const P: usize>(
        self,
        x: &[&[f32]; M],
        w: Panels<'_, E>,
        k: usize,
    ) -> [[[f32; NR]; P]; M];
}

impl Tile for super::Portable {
    #[inline(always)]
    fn sums<E: Element, const M: usize, const P: usize>(
        self,
        x: &[&[f32]; M],
        w: Panels<'_, E>,
        k: usize,
    ) -> [[[f32; NR]; P]; M] {
        let mut out = [[[0.0; NR]; P]; M];
        for p in 0..P {
            for (out, sums) in out.iter_mut().zip(one_panel(x, w.from(p), k)) {
                out[p] = sums;
            }
        }
        out
    }
}

#[inline(always)]
fn one_panel<E: Element, const M: usize>(x: &[&[f32]; M], w: Panels<'_, E>, k: usize) -> [[f32; NR]; M] {
    let mut total = [[0.0; NR]; M];
    let mut start = 0;
    while start < k {
        let len = K_BLOCK.min(k - start);
        let rows = x.map(|row| &row[start..start + len]);
        let mut block = [[0.0f32; NR]; M];
        for i in 0..len {
            let columns = lanes(w.data, (start + i) * w.k_stride);
            for (sums, row) in block.iter_mut().zip(&rows) {
                for (sum, c) in sums.iter_mut().zip(columns) {
                    *sum += row[i] * c.widen();
                }
            }
        }
        for (total, block) in total.iter_mut().zip(&block) {
            for (total, block) in total.iter_mut().zip(block) {
                *total += block;
            }
        }
        start += len;
    }
    total
}

/// The 8 elements at an offset.
#[inline(always)]
pub fn lanes<E>(x: &[E], at: usize) -> &[E; NR] {
    // The slice has 8 elements: the conversion cannot fail.
    x[at..at + NR].try_into().unwrap()
}

/// Scale, bias, clamp and store of up to 8 channels from `channel` on.
#[inline(always)]
pub fn store<E: Element>(sums: &[f32; NR], layer: &LayerF32<'_, E>, channel: usize, out: &mut [f32]) {
    let mut v = *sums;
    E::scale(layer.scales, channel, &mut v);
    if !layer.bias.is_empty() {
        // Panels of a group may reach past the bias of the last channel.
        let bias = &layer.bias[channel..layer.bias.len().min(channel + NR)];
        if let Ok(bias) = <&[f32; NR]>::try_from(bias) {
            for (v, b) in v.iter_mut().zip(bias) {
                *v += b;
            }
        } else {
            for (v, b) in v.iter_mut().zip(bias) {
                *v += b;
            }
        }
    }
    for v in &mut v {
        *v = clamp(*v, layer.lo, layer.hi);
    }
    match <&mut [f32; NR]>::try_from(&mut *out) {
        Ok(whole) => *whole = v,
        Err(_) => out.copy_from_slice(&v[..out.len()]),
    }
}

/// Rows `[rows, k]` times `panels` panels; `store(row, panel, sums)` takes each 8 sums.
#[inline(always)]
pub fn product<T: Tile, E: Element>(
    tile: T,
    x: &[f32],
    rows: usize,
    k: usize,
    w: Panels<'_, E>,
    panels: usize,
    mut store: impl FnMut(usize, usize, &[f32; NR]),
) {
    let mut p = 0;
    if rows == 1 {
        while p + 4 <= panels {
            row_tiles::<T, E, 4>(tile, x, rows, k, w, p, &mut store);
            p += 4;
        }
    }
    while p + 2 <= panels {
        row_tiles::<T, E, 2>(tile, x, rows, k, w, p, &mut store);
        p += 2;
    }
    if p < panels {
        row_tiles::<T, E, 1>(tile, x, rows, k, w, p, &mut store);
    }
}

/// All rows times panels `p..p + P`.
#[inline(always)]
fn row_tiles<T: Tile, E: Element, const P: usize>(
    tile: T,
    x: &[f32],
    rows: usize,
    k: usize,
    w: Panels<'_, E>,
    p: usize,
    store: &mut impl FnMut(usize, usize, &[f32; NR]),
) {
    let w = w.from(p);
    let row_of = |row: usize| &x[row * k..][..k];
    let mut row = 0;
    while row < rows {
        if row + 1 == rows {
            let sums = tile.sums::<E, 1, P>(&[row_of(row)], w, k);
            for (j, sums) in sums[0].iter().enumerate() {
                store(row, p + j, sums);
            }
            return;
        }
        // Rows behind the last one repeat it.
        let x: [&[f32]; MR] = core::array::from_fn(|m| row_of((row + m).min(rows - 1)));
        let sums = tile.sums::<E, MR, P>(&x, w, k);
        for (m, sums) in sums.iter().enumerate().take(rows - row) {
            for (j, sums) in sums.iter().enumerate() {
                store(row + m, p + j, sums);
            }
        }
        row += MR;
    }
}
