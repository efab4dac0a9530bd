//! Convolution and dense layers with weights of fewer than 8 bits.

use selvedge_kernels::pack_low::{self, groups_of, low_bytes, pack_low, pack_scales};
use selvedge_kernels::{Code, ConvShape, IsaI8, LowBit, NATIVE, Reference, T2, W2, W3, W4};

use super::epilogue::{Epilogue, Kind};
use super::workspace::LowArrays;
use super::{Mismatch, Suite};

/// Group sizes, the whole row first.
const GROUPS: [usize; 5] = [0, 32, 64, 96, 128];

/// What a layer is.
enum Shape<'s> {
    Dense([usize; 3]),
    Conv(&'s ConvShape),
}

impl Suite<'_> {
    fn low<C: Code>(&mut self, shape: &Shape<'_>, kind: Option<Kind>) -> Result<(), Mismatch> {
        let Suite { workspace: ws, rng, .. } = self;
        let kind = kind.unwrap_or_else(|| rng.pick(&Kind::ALL));
        let group = rng.pick(&GROUPS);
        let offset = rng.size(0, 1);
        let (conv_groups, n, k, elements, outputs, scratch) = match shape {
            Shape::Dense([rows, k, n]) => (1, *n, *k, rows * k, rows * n, pack_low::dense_low_scratch(*rows, *k)),
            Shape::Conv(s) => {
                let k = s.kernel_h * s.kernel_w * (s.in_c / s.groups);
                let (input, output) = (s.in_h * s.in_w * s.in_c, s.out_h * s.out_w * s.out_c);
                let scratch = pack_low::conv_low_scratch(s);
                (s.groups, s.out_c / s.groups, k, s.batch * input, s.batch * output, scratch)
            }
        };
        let x = &mut ws.x[offset..][..elements];
        rng.fill(x);
        let w = draw::<C>(rng, &mut ws.low, offset, [conv_groups, n, k], group);
        let (rows, channels) = match shape {
            Shape::Dense([rows, ..]) => (*rows, n),
            Shape::Conv(s) => (1, s.out_c),
        };
        let x_scales = if matches!(shape, Shape::Dense(_)) && rng.flip() { rows } else { 1 };
        let epilogue = Epilogue::draw(rng, kind, &mut ws.channels, channels, k, x_scales);
        let scratch = &mut ws.scratch.0[..scratch];
        scratch.fill(0xa5);
        let pad_value = rng.next() as i8;
        self.cases += 1;
        let case = (C::WIDTH, n, k, group, (w.scales.len(), w.offsets.len(), w.zero));
        epilogue.compare(
            self.out,
            rng,
            &ws.channels,
            (&mut ws.i8s, &mut ws.i32s, &mut ws.f32s),
            outputs,
            offset,
            ("a low-bit layer", &case),
            &mut |output| match shape {
                Shape::Dense(_) => NATIVE.dense_low::<C>(x, &w, rows, output, scratch),
                Shape::Conv(s) => NATIVE.conv2d_low::<C>(x, &w, s, pad_value, output, scratch),
            },
            &mut |output| match shape {
                Shape::Dense(_) => Reference.dense_low::<C>(x, &w, rows, output, &mut []),
                Shape::Conv(s) => Reference.conv2d_low::<C>(x, &w, s, pad_value, output, &mut []),
            },
        )
    }
}

/// Draws and packs, misaligned by `offset`, the weights of `conv_groups` times `n` rows of `k`.
fn draw<'a, C: Code>(
    rng: &mut super::Rng,
    arrays: &'a mut LowArrays,
    offset: usize,
    [conv_groups, n, k]: [usize; 3],
    group: usize,
) -> LowBit<'a> {
    let (max, groups) = (i64::from(C::WIDTH.max()), groups_of(k, group));
    let (with_offsets, extreme) = (rng.range(0, 2) == 0, rng.range(0, 7) == 0);
    let (bytes, values) = (low_bytes(C::WIDTH, n, k), n * groups);
    let LowArrays { codes, unpacked_codes, scales, offsets, unpacked_scales, unpacked_offsets } = arrays;
    let codes = &mut codes.0[offset..];
    for i in 0..conv_groups {
        let unpacked = &mut unpacked_codes[..n * k];
        unpacked.iter_mut().for_each(|code| *code = if extreme { max } else { rng.range(0, max) } as u8);
        pack_low(C::WIDTH, unpacked, n, k, &mut codes[i * bytes..][..bytes]);
        for (scale, offset) in unpacked_scales.iter_mut().zip(&mut *unpacked_offsets).take(values) {
            *scale = if extreme { 255 } else { rng.range(0, 255) as u8 };
            *offset = if extreme { -32768 } else { rng.range(-32768, 32767) as i16 };
        }
        pack_scales(&unpacked_scales[..values], n, groups, &mut scales[i * values..][..values]);
        pack_scales(&unpacked_offsets[..values], n, groups, &mut offsets[i * values..][..values]);
    }
    let values = conv_groups * values;
    LowBit {
        n,
        k,
        codes: &codes[..conv_groups * bytes],
        group,
        scales: if group > 0 { &scales[..values] } else { &[] },
        offsets: if with_offsets { &offsets[..values] } else { &[] },
        zero: if with_offsets { 0 } else { rng.pick(&[0, max / 2 + 1, max]) as u8 },
    }
}

fn widths(t: &mut Suite<'_>, shape: &Shape<'_>, kind: Option<Kind>) -> Result<(), Mismatch> {
    match t.rng.range(0, 3) {
        0 => t.low::<W4>(shape, kind),
        1 => t.low::<W3>(shape, kind),
        2 => t.low::<W2>(shape, kind),
        _ => t.low::<T2>(shape, kind),
    }
}

/// Rows to 9, n to 33, k around the blocks of every width and the sizes of groups; long rows;
/// drawn shapes. The width is drawn for each.
pub fn dense(t: &mut Suite<'_>) -> Result<(), Mismatch> {
    for rows in 1..=9 {
        for k in [1, 3, 4, 5, 8, 15, 16, 17, 31, 32, 33, 63, 65, 96, 100, 128, 129, 200, 256] {
            for n in [1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 33] {
                widths(t, &Shape::Dense([rows, k, n]), None)?;
            }
        }
    }
    for k in [640, 1023, 1024, 1025, 2049] {
        for (rows, n) in [(1, 9), (2, 8), (4, 16), (5, 20)] {
            for kind in Kind::ALL {
                widths(t, &Shape::Dense([rows, k, n]), Some(kind))?;
            }
        }
    }
    for _ in 0..600 {
        let case = [t.rng.size(1, 13), t.rng.size(1, 300), t.rng.size(1, 70)];
        widths(t, &Shape::Dense(case), None)?;
    }
    Ok(())
}

/// Pixels to 9 of 1x1 windows, windows of every stride, dilation, group count and padding, drawn
/// shapes. The width is drawn for each.
pub fn conv2d(t: &mut Suite<'_>) -> Result<(), Mismatch> {
    for pixels in (1..=9).chain([13, 16]) {
        for out_c in [1, 3, 4, 7, 8, 9, 12, 16, 17, 33] {
            for in_c in [1, 3, 4, 7, 8, 16, 17, 32, 33, 64, 70] {
                let s = ConvShape::of_window([1, 1, pixels, in_c], out_c, [1, 1], [1, 1], [1, 1], [0; 4], 1);
                widths(t, &Shape::Conv(&s.expect("a shape")), None)?;
            }
        }
    }
    for kernel in [[1, 1], [1, 3], [3, 1], [3, 3], [4, 5]] {
        for stride in [[1, 1], [2, 1], [2, 3]] {
            for dilation in [[1, 1], [2, 1], [1, 2]] {
                for (groups, in_c, out_c) in [(1, 1, 3), (1, 8, 9), (2, 6, 6), (3, 3, 27), (4, 16, 40), (1, 16, 12)] {
                    for pad in [[0; 4], [1; 4], [2, 0, 1, 3]] {
                        let input = [t.rng.size(1, 2), t.rng.size(1, 8), t.rng.size(1, 8), in_c];
                        let Some(s) = ConvShape::of_window(input, out_c, kernel, stride, dilation, pad, groups) else {
                            continue;
                        };
                        widths(t, &Shape::Conv(&s), None)?;
                    }
                }
            }
        }
    }
    for _ in 0..400 {
        let groups = t.rng.pick(&[1, 1, 1, 2]);
        let input = [t.rng.size(1, 2), t.rng.size(1, 9), t.rng.size(1, 9), t.rng.size(1, 40) * groups];
        let (kernel, stride) = ([t.rng.size(1, 3), t.rng.size(1, 3)], t.rng.size(1, 2));
        let pad = [0; 4].map(|_| t.rng.size(0, 3));
        let out_c = t.rng.size(1, 40) * groups;
        if let Some(s) = ConvShape::of_window(input, out_c, kernel, [stride; 2], [1, 1], pad, groups) {
            widths(t, &Shape::Conv(&s), None)?;
        }
    }
    Ok(())
}
