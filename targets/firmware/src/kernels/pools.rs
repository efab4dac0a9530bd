//! Maximum and average pools.

use selvedge_kernels::{AverageI8, ConvShape, IsaI8, NATIVE, Reference};

use super::{Mismatch, Suite, same};

/// Channels to 67, random windows, strides, dilations and asymmetric padding; counts with and
/// without padding.
pub fn pools(t: &mut Suite<'_>) -> Result<(), Mismatch> {
    for channels in (1..=67).flat_map(|c| [c; 6]).chain([100, 140, 300]) {
        let rng = &mut t.rng;
        let input = [rng.size(1, 2), rng.size(1, 9), rng.size(1, 9), channels];
        let kernel = [rng.size(1, 4), rng.size(1, 4)];
        let (stride, dilation) = ([rng.size(1, 3), rng.size(1, 3)], [rng.size(1, 2), rng.size(1, 2)]);
        let pad = [0; 4].map(|_| rng.size(0, 3));
        let Some(s) = ConvShape::of_window(input, channels, kernel, stride, dilation, pad, channels) else { continue };
        t.max(&s)?;
        t.average(&s)?;
    }
    for [h, w, c] in [[8, 8, 64], [25, 5, 64], [3, 3, 22], [7, 7, 33]] {
        let s = ConvShape::of_window([1, h, w, c], c, [h, w], [1, 1], [1, 1], [0; 4], c).expect("a shape");
        t.max(&s)?;
        t.average(&s)?;
    }
    Ok(())
}

impl Suite<'_> {
    fn max(&mut self, s: &ConvShape) -> Result<(), Mismatch> {
        let Suite { workspace: ws, rng, .. } = self;
        let offset = rng.size(0, 1);
        let x = &mut ws.x[offset..][..s.batch * s.in_h * s.in_w * s.in_c];
        rng.fill(x);
        let n = s.batch * s.out_h * s.out_w * s.out_c;
        let (got, want) = ws.i8s.pair(n, offset, || rng.next() as i8);
        NATIVE.max_pool_i8(x, s, got);
        Reference.max_pool_i8(x, s, want);
        self.cases += 1;
        let (got, want) = ws.i8s.all(n, offset);
        same(self.out, "max_pool_i8", s, got, want, |v| v as u8 as u32)
    }

    fn average(&mut self, s: &ConvShape) -> Result<(), Mismatch> {
        let Suite { workspace: ws, rng, .. } = self;
        let offset = rng.size(0, 1);
        let lo = rng.range(-128, 127);
        let equal_grids = rng.flip();
        let args = AverageI8 {
            pad_end: [rng.size(0, 3), rng.size(0, 3)],
            count_pad: rng.flip(),
            input_zero_point: rng.range(-128, 127) as i32,
            multiplier: if equal_grids { 1 << 23 } else { rng.range(1 << 23, (1 << 24) - 1) as i32 },
            shift: if equal_grids { 23 } else { rng.range(20, 38) as u32 },
            zero_point: rng.range(-128, 127) as i32,
            lo: lo as i8,
            hi: rng.range(lo, 127) as i8,
        };
        let x = &mut ws.x[offset..][..s.batch * s.in_h * s.in_w * s.in_c];
        rng.fill(x);
        let n = s.batch * s.out_h * s.out_w * s.out_c;
        let (got, want) = ws.i8s.pair(n, offset, || rng.next() as i8);
        NATIVE.avg_pool_i8(x, s, &args, got);
        Reference.avg_pool_i8(x, s, &args, want);
        self.cases += 1;
        let (got, want) = ws.i8s.all(n, offset);
        same(self.out, "avg_pool_i8", &(s, args), got, want, |v| v as u8 as u32)
    }
}
