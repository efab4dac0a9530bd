//! `mul_i8__avx2`.

use core::arch::x86_64::*;

use super::epilogue::{Rounding, to_bytes};
use super::mem::*;
use crate::args::*;
use crate::portable;

/// 32 products at a time; a shift outside of 1..=31 takes the portable form. Exact.
#[inline]
#[target_feature(enable = "avx2")]
pub fn mul(a: &[i8], b: &[i8], p: &MulI8, out: &mut [i8]) {
    if !(1..=31).contains(&p.shift) {
        return portable::elementwise_i8::mul(a, b, p, out);
    }
    let k = _mm256_set1_epi32(p.shift as i32);
    let rounding = Rounding::new(_mm256_set1_epi32(p.multiplier), k, p.zero_point);
    let (zp1, zp2) = (_mm256_set1_epi32(p.zp1), _mm256_set1_epi32(p.zp2));
    let (lo, hi) = (_mm256_set1_epi32(p.lo as i32), _mm256_set1_epi32(p.hi as i32));
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<32>(), b.as_chunks::<32>());
    let (out, out_rest) = out.as_chunks_mut::<32>();
    for ((a, b), out) in a.iter().zip(b).zip(out) {
        let (a, b) = (a.as_chunks::<8>().0, b.as_chunks::<8>().0);
        let product = |i: usize| {
            let a = _mm256_sub_epi32(_mm256_cvtepi8_epi32(load8(&a[i])), zp1);
            let b = _mm256_sub_epi32(_mm256_cvtepi8_epi32(load8(&b[i])), zp2);
            let y = rounding.apply(_mm256_mullo_epi32(a, b));
            _mm256_min_epi32(_mm256_max_epi32(y, lo), hi)
        };
        let mut bytes = [0u8; 32];
        store_bytes32(&mut bytes, to_bytes([product(0), product(1), product(2), product(3)]));
        *out = bytes.map(|byte| byte as i8);
    }
    portable::elementwise_i8::mul(a_rest, b_rest, p, out_rest);
}
