//! Elementwise kernels, softmax, and the way between f32 and int8.

use core::fmt::Debug;

use selvedge_kernels::{AddI8, IsaI8, MulI8, NATIVE, Reference, SoftmaxI8};

use super::rng::Rng;
use super::{Mismatch, Suite, same};

/// Lengths with every tail of 64, then long ones; each misaligned by 0 and 1.
fn lengths() -> impl Iterator<Item = (usize, usize)> {
    (0..=67).chain([127, 128, 129, 1000]).flat_map(|n| [(n, 0), (n, 1)])
}

/// A kernel of up to two operands and an output.
type Kernel<'k> = &'k dyn Fn(&[i8], &[i8], &mut [i8]);

impl Suite<'_> {
    /// Runs both on the same operands and former contents, and compares.
    fn compare(
        &mut self,
        (n, offset): (usize, usize),
        (name, case): (&str, &dyn Debug),
        kernel: Kernel<'_>,
        reference: Kernel<'_>,
    ) -> Result<(), Mismatch> {
        let Suite { workspace: ws, rng, .. } = self;
        let (a, b) = (&mut ws.x[offset..][..n], &mut ws.second[offset..][..n]);
        rng.fill(a);
        rng.fill(b);
        let (got, want) = ws.i8s.pair(n, offset, || rng.next() as i8);
        kernel(a, b, got);
        reference(a, b, want);
        self.cases += 1;
        let (got, want) = ws.i8s.all(n, offset);
        same(self.out, name, &((n, offset), case), got, want, |v| v as u8 as u32)
    }
}

fn draw_add(rng: &mut Rng) -> AddI8 {
    AddI8 {
        m1: rng.range(-(1 << 21), 1 << 21) as i32,
        m2: rng.range(-(1 << 21), 1 << 21) as i32,
        c: rng.range(-(1 << 30), 1 << 30) as i32,
        s: rng.range(0, 22) as u32,
        lo: rng.range(-128, 0) as i8,
        hi: rng.range(0, 127) as i8,
    }
}

fn draw_mul(rng: &mut Rng) -> MulI8 {
    let lo = rng.range(-128, 127);
    MulI8 {
        zp1: rng.range(-128, 127) as i32,
        zp2: rng.range(-128, 127) as i32,
        multiplier: rng.range(0, (1 << 31) - 1) as i32,
        shift: rng.range(-10, 31) as i8,
        zero_point: rng.range(-128, 127) as i32,
        lo: lo as i8,
        hi: rng.range(lo, 127) as i8,
    }
}

/// Add, product, change of grid, tables, softmax.
pub fn integer(t: &mut Suite<'_>) -> Result<(), Mismatch> {
    let table: [i8; 256] = [0; 256].map(|_: i8| t.rng.next() as i8);
    for at in lengths() {
        let p = draw_add(&mut t.rng);
        t.compare(at, ("add_i8", &p), &|a, b, out| NATIVE.add_i8(a, b, &p, out), &|a, b, out| {
            Reference.add_i8(a, b, &p, out)
        })?;
        t.compare(at, ("add_in_place_i8", &p), &|a, _, out| NATIVE.add_in_place_i8(a, &p, out), &|a, _, out| {
            Reference.add_in_place_i8(a, &p, out)
        })?;
        let AddI8 { m1: m, c, s, .. } = p;
        t.compare(at, ("rescale_i8", &p), &|a, _, out| NATIVE.rescale_i8(a, m, c, s, out), &|a, _, out| {
            Reference.rescale_i8(a, m, c, s, out)
        })?;
        for _ in 0..4 {
            let p = draw_mul(&mut t.rng);
            t.compare(at, ("mul_i8", &p), &|a, b, out| NATIVE.mul_i8(a, b, &p, out), &|a, b, out| {
                Reference.mul_i8(a, b, &p, out)
            })?;
        }
        t.compare(at, ("table_i8", &()), &|a, _, out| NATIVE.table_i8(a, &table, out), &|a, _, out| {
            Reference.table_i8(a, &table, out)
        })?;
        t.compare(at, ("table_in_place_i8", &()), &|_, _, out| NATIVE.table_in_place_i8(&table, out), &|_, _, out| {
            Reference.table_in_place_i8(&table, out)
        })?;
    }
    for row in (1..=67).chain([255, 256, 257, 1000]) {
        // exp(−d·s) for s = 1/4 and 1/256, by squaring: any falling table will do.
        for first in [13_066_147u64, 16_711_806] {
            let mut powers = [1u32 << 24; 32];
            for d in 1..16 {
                powers[16 + d] = ((powers[15 + d] as u64 * first) >> 24) as u32;
            }
            let sixteen = (powers[31] as u64 * first) >> 24;
            for d in 1..16 {
                powers[d] = ((powers[d - 1] as u64 * sixteen) >> 24) as u32;
            }
            let args = SoftmaxI8 {
                table: &powers,
                inverse: t.rng.range(1 << 24, (1 << 25) - 1) as u32,
                shift: t.rng.range(14, 16) as u32,
                zero_point: t.rng.range(-128, 127) as i32,
            };
            t.compare(
                (3 * row, 1),
                ("softmax_i8", &row),
                &|a, _, out| NATIVE.softmax_i8(a, row, &args, out),
                &|a, _, out| Reference.softmax_i8(a, row, &args, out),
            )?;
        }
    }
    Ok(())
}

/// Ties, infinities, subnormals and zeros of both signs among the values.
fn draw_floats(rng: &mut Rng, x: &mut [f32], scale: f32) {
    let special = [0.5, -0.5, 1.5, -1.5, 2.5, 0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY, 1e-44, f32::MAX, f32::MIN];
    for x in x {
        *x = if rng.range(0, 3) == 0 { rng.pick(&special) * scale } else { rng.f32() };
    }
}

/// Quantization by a given and by a row's own scale, and back.
pub fn quantize(t: &mut Suite<'_>) -> Result<(), Mismatch> {
    for (n, offset) in lengths() {
        for scale in [1.0, 0.25, 0.017_3, 3e-39, 1e30] {
            let Suite { workspace: ws, rng, .. } = t;
            let zero_point = rng.range(-128, 127) as i32;
            let x = &mut ws.floats[offset..][..n];
            draw_floats(rng, x, scale);
            let (got, want) = ws.i8s.pair(n, offset, || 1);
            let fine = NATIVE.quantize_i8(x, scale, zero_point, got);
            assert_eq!(fine, Reference.quantize_i8(x, scale, zero_point, want), "NaN among {n} values");
            t.cases += 1;
            let (got, want) = ws.i8s.all(n, offset);
            same(t.out, "quantize_i8", &(n, zero_point), got, want, |v| v as u8 as u32)?;

            let Suite { workspace: ws, rng, .. } = t;
            let x = &mut ws.x[offset..][..n];
            rng.fill(x);
            let (got, want) = ws.f32s.pair(n, offset, || 1.0);
            NATIVE.dequantize_i8(x, 0.017_3, zero_point, got);
            Reference.dequantize_i8(x, 0.017_3, zero_point, want);
            let (got, want) = ws.f32s.all(n, offset);
            same(t.out, "dequantize_i8", &(n, zero_point), got, want, f32::to_bits)?;

            if n == 0 {
                continue;
            }
            // Three rows, the last of them tiny.
            let Suite { workspace: ws, rng, .. } = t;
            let x = &mut ws.floats[offset..][..3 * n];
            x.iter_mut().for_each(|x| *x = rng.f32());
            x[2 * n..].iter_mut().for_each(|x| *x *= 1e-37);
            let (mut scales, mut wanted) = ([0.0; 3], [0.0; 3]);
            let (got, want) = ws.i8s.pair(3 * n, offset, || 1);
            assert!(NATIVE.dynamic_quantize_i8(x, n, got, &mut scales), "a finite row was refused");
            Reference.dynamic_quantize_i8(x, n, want, &mut wanted);
            same(t.out, "dynamic_quantize_i8", &n, &scales, &wanted, f32::to_bits)?;
            let (got, want) = ws.i8s.all(3 * n, offset);
            same(t.out, "dynamic_quantize_i8", &n, got, want, |v| v as u8 as u32)?;
        }
    }
    Ok(())
}
