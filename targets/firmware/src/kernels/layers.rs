//! Convolution, depthwise convolution, dense layer.

use selvedge_kernels::{ConvShape, IsaI8, NATIVE, Reference, pack};

use super::epilogue::{Epilogue, Kind};
use super::{Mismatch, Suite};

impl Suite<'_> {
    /// One convolution, of one of the kinds or of the one given.
    fn layer(&mut self, s: &ConvShape, depthwise: bool, kind: Option<Kind>) -> Result<(), Mismatch> {
        let Suite { workspace: ws, rng, .. } = self;
        let kind = kind.unwrap_or_else(|| rng.pick(&Kind::ALL));
        let (offset, pad_value) = (rng.size(0, 1), rng.next() as i8);
        let x = &mut ws.x[offset..][..s.batch * s.in_h * s.in_w * s.in_c];
        rng.fill(x);
        let taps = s.kernel_h * s.kernel_w;
        let (in_c, out_c) = (s.in_c / s.groups, s.out_c / s.groups);
        let (k, bytes, scratch) = if depthwise {
            (taps, pack::depthwise_w8_bytes(s.out_c, taps), pack::depthwise_w8_scratch(s))
        } else {
            (taps * in_c, pack::conv_w8_bytes(s.groups, s.out_c, s.in_c, taps), pack::conv_w8_scratch(s))
        };
        let w = &mut ws.weights.0[offset..][..bytes];
        let rows = &mut ws.rows[..s.out_c * k];
        rng.fill(rows);
        if depthwise {
            pack::pack_depthwise_w8(rows, s.out_c, taps, w);
        } else {
            for (rows, w) in rows.chunks(out_c * k).zip(w.chunks_mut(pack::w8_bytes(out_c, k))) {
                pack::pack_w8(rows, out_c, k, w);
            }
        }
        let epilogue = Epilogue::draw(rng, kind, &mut ws.channels, s.out_c, k, 1);
        let scratch = &mut ws.scratch.0[offset..][..scratch];
        scratch.fill(0xa5);
        let name = if depthwise { "depthwise_w8" } else { "conv2d_w8" };
        self.cases += 1;
        epilogue.compare(
            self.out,
            rng,
            &ws.channels,
            (&mut ws.i8s, &mut ws.i32s, &mut ws.f32s),
            s.batch * s.out_h * s.out_w * s.out_c,
            offset,
            (name, s),
            &mut |output| match depthwise {
                true => NATIVE.depthwise_w8(x, w, s, pad_value, output, scratch),
                false => NATIVE.conv2d_w8(x, w, s, pad_value, output, scratch),
            },
            &mut |output| match depthwise {
                true => Reference.depthwise_w8(x, w, s, pad_value, output, &mut []),
                false => Reference.conv2d_w8(x, w, s, pad_value, output, &mut []),
            },
        )
    }

    fn dense(&mut self, [rows, k, n]: [usize; 3], kind: Option<Kind>) -> Result<(), Mismatch> {
        let Suite { workspace: ws, rng, .. } = self;
        let kind = kind.unwrap_or_else(|| rng.pick(&Kind::ALL));
        let offset = rng.size(0, 1);
        let x = &mut ws.x[offset..][..rows * k];
        rng.fill(x);
        let w = &mut ws.weights.0[offset..][..pack::w8_bytes(n, k)];
        rng.fill(&mut ws.rows[..n * k]);
        pack::pack_w8(&ws.rows[..n * k], n, k, w);
        let x_scales = if rng.flip() { rows } else { 1 };
        let epilogue = Epilogue::draw(rng, kind, &mut ws.channels, n, k, x_scales);
        self.cases += 1;
        epilogue.compare(
            self.out,
            rng,
            &ws.channels,
            (&mut ws.i8s, &mut ws.i32s, &mut ws.f32s),
            rows * n,
            offset,
            ("dense_w8", &(rows, k, n)),
            &mut |output| NATIVE.dense_w8(x, w, rows, k, n, output),
            &mut |output| Reference.dense_w8(x, w, rows, k, n, output),
        )
    }

    fn padding(&mut self) -> [usize; 4] {
        [0; 4].map(|_| self.rng.size(0, 3))
    }
}

/// Pixels to 2·4 + 1, channels to 2·8 + 1 and around 32, k around the vectors of 16; then
/// windows of every stride, dilation, group count and padding; then drawn shapes.
pub fn conv2d(t: &mut Suite<'_>) -> Result<(), Mismatch> {
    for pixels in 1..=9 {
        for out_c in (1..=17).chain([24, 31, 32, 33]) {
            for in_c in [1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 20, 31, 32, 33, 48, 49] {
                let s = ConvShape::of_window([1, 1, pixels, in_c], out_c, [1, 1], [1, 1], [1, 1], [0; 4], 1);
                t.layer(&s.expect("a shape"), false, None)?;
            }
        }
    }
    for kernel in [[1, 1], [1, 3], [3, 1], [2, 2], [3, 3], [4, 5]] {
        for stride in [[1, 1], [2, 1], [2, 3]] {
            for dilation in [[1, 1], [2, 1], [1, 2], [3, 2]] {
                for (groups, in_c, out_c) in [(1, 1, 3), (1, 3, 8), (1, 8, 9), (2, 6, 6), (3, 3, 27), (4, 16, 40)] {
                    for pad in [[0; 4], [1; 4], [2, 0, 1, 3], [0, 4, 3, 0]] {
                        let input = [t.rng.size(1, 2), t.rng.size(1, 8), t.rng.size(1, 8), in_c];
                        let Some(s) = ConvShape::of_window(input, out_c, kernel, stride, dilation, pad, groups) else {
                            continue;
                        };
                        t.layer(&s, false, None)?;
                    }
                }
            }
        }
    }
    for (groups, pixels) in [(2, 4), (3, 1), (100, 3)] {
        for kind in Kind::ALL {
            let s = ConvShape::of_window([1, 2, pixels + 1, 300], 300, [2, 2], [1, 1], [1, 1], [0; 4], groups);
            t.layer(&s.expect("a shape"), false, Some(kind))?;
        }
    }
    for _ in 0..400 {
        let groups = t.rng.pick(&[1, 1, 1, 2, 3]);
        let (stride, dilation) = (t.rng.size(1, 3), t.rng.size(1, 3));
        let input = [t.rng.size(1, 2), t.rng.size(1, 11), t.rng.size(1, 11), t.rng.size(1, 40) * groups];
        let (kernel, pad) = ([t.rng.size(1, 4), t.rng.size(1, 4)], t.padding());
        let out_c = t.rng.size(1, 40) * groups;
        if let Some(s) = ConvShape::of_window(input, out_c, kernel, [stride; 2], [dilation; 2], pad, groups) {
            t.layer(&s, false, None)?;
        }
    }
    Ok(())
}

/// Channels to 33 with windows to 40 taps and every kind; wide inputs and large windows; drawn
/// shapes.
pub fn depthwise(t: &mut Suite<'_>) -> Result<(), Mismatch> {
    const KERNELS: [[usize; 2]; 12] =
        [[1, 1], [1, 2], [3, 1], [2, 2], [1, 5], [3, 3], [2, 5], [3, 4], [13, 1], [5, 5], [4, 8], [5, 8]];
    for channels in 1..=33 {
        for kernel in KERNELS {
            for kind in Kind::ALL {
                let input = [1, t.rng.size(1, 9), t.rng.size(1, 9), channels];
                let pad = [kernel[0] / 2, kernel[1] / 2, kernel[0] / 2, kernel[1] / 2];
                let Some(s) = ConvShape::of_window(input, channels, kernel, [1, 1], [1, 1], pad, channels) else {
                    continue;
                };
                t.layer(&s, true, Some(kind))?;
            }
        }
    }
    let cases = [
        ([1, 4, 300, 9], [3, 3], [1, 1], [1, 1]),
        ([2, 9, 101, 8], [3, 3], [2, 2], [1, 1]),
        ([1, 3, 1000, 3], [1, 3], [1, 3], [1, 2]),
        ([1, 33, 33, 8], [3, 3], [1, 1], [15, 15]),
        ([1, 30, 31, 10], [5, 6], [1, 2], [1, 1]),
        ([1, 1, 900, 8], [1, 2], [1, 1], [1, 800]),
        ([1, 20, 20, 16], [16, 11], [1, 1], [1, 1]),
        ([1, 800, 2, 8], [13, 2], [1, 1], [60, 1]),
    ];
    for (input, kernel, stride, dilation) in cases {
        for pad in [[0; 4], [1, 2, 3, 0]] {
            for kind in Kind::ALL {
                let s = ConvShape::of_window(input, input[3], kernel, stride, dilation, pad, input[3]);
                t.layer(&s.expect("a shape"), true, Some(kind))?;
            }
        }
    }
    for _ in 0..400 {
        let channels = t.rng.size(1, 40);
        let input = [t.rng.size(1, 2), t.rng.size(1, 16), t.rng.size(1, 16), channels];
        let (kernel, pad) = ([t.rng.size(1, 5), t.rng.size(1, 5)], t.padding());
        let (stride, dilation) = ([t.rng.size(1, 3), t.rng.size(1, 2)], [t.rng.size(1, 2), t.rng.size(1, 3)]);
        if let Some(s) = ConvShape::of_window(input, channels, kernel, stride, dilation, pad, channels) {
            t.layer(&s, true, None)?;
        }
    }
    Ok(())
}

/// Rows to 9, k to 33, n to 33; long rows; drawn shapes.
pub fn dense(t: &mut Suite<'_>) -> Result<(), Mismatch> {
    for rows in 1..=9 {
        for k in 1..=33 {
            for n in [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33] {
                t.dense([rows, k, n], None)?;
            }
        }
    }
    for k in [255, 256, 257, 1023, 1024, 1025, 2047, 2049, 4100] {
        for (rows, n) in [(1, 9), (2, 8), (3, 17), (4, 16), (5, 20)] {
            for kind in Kind::ALL {
                t.dense([rows, k, n], Some(kind))?;
            }
        }
    }
    for _ in 0..200 {
        let case = [t.rng.size(1, 13), t.rng.size(1, 300), t.rng.size(1, 150)];
        t.dense(case, None)?;
    }
    Ok(())
}
