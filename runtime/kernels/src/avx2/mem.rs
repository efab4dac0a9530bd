//! Loads and stores of fixed sizes, at any alignment.

use core::arch::x86_64::*;

#[inline]
#[target_feature(enable = "avx2")]
pub fn load16(from: &[i8; 16]) -> __m128i {
    // SAFETY: `from` is 16 readable bytes.
    unsafe { _mm_loadu_si128(from.as_ptr().cast()) }
}

/// 8 bytes in the low half, zeros above.
#[inline]
#[target_feature(enable = "avx2")]
pub fn load8(from: &[i8; 8]) -> __m128i {
    // SAFETY: `from` is 8 readable bytes.
    unsafe { _mm_loadl_epi64(from.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
pub fn load_i32(from: &[i32; 8]) -> __m256i {
    // SAFETY: `from` is 32 readable bytes.
    unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
pub fn load_i64(from: &[i64; 4]) -> __m256i {
    // SAFETY: `from` is 32 readable bytes.
    unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
pub fn load_f32(from: &[f32; 8]) -> __m256 {
    // SAFETY: `from` is 32 readable bytes.
    unsafe { _mm256_loadu_ps(from.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx2")]
pub fn store_bytes32(to: &mut [u8; 32], v: __m256i) {
    // SAFETY: `to` is 32 writable bytes.
    unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), v) }
}

#[inline]
#[target_feature(enable = "avx2")]
pub fn store_i32(to: &mut [i32; 8], v: __m256i) {
    // SAFETY: `to` is 32 writable bytes.
    unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), v) }
}

#[inline]
#[target_feature(enable = "avx2")]
pub fn store_f32(to: &mut [f32; 8], v: __m256) {
    // SAFETY: `to` is 32 writable bytes.
    unsafe { _mm256_storeu_ps(to.as_mut_ptr(), v) }
}

#[inline]
#[target_feature(enable = "avx2")]
pub fn store_i16(to: &mut [i16; 8], v: __m128i) {
    // SAFETY: `to` is 16 writable bytes.
    unsafe { _mm_storeu_si128(to.as_mut_ptr().cast(), v) }
}

#[inline]
#[target_feature(enable = "avx2")]
pub fn load32(from: &[u8; 32]) -> __m256i {
    // SAFETY: `from` is 32 readable bytes.
    unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
}

/// A value the compiler knows nothing about, so that it keeps the order of what it is made of.
#[inline]
#[target_feature(enable = "avx2")]
pub fn opaque(mut v: __m256i) -> __m256i {
    // SAFETY: no instruction.
    unsafe { core::arch::asm!("/* {} */", inout(ymm_reg) v, options(pure, nomem, nostack, preserves_flags)) };
    v
}

#[inline]
#[target_feature(enable = "avx2")]
pub fn load_i16(from: &[i16; 8]) -> __m128i {
    // SAFETY: `from` is 16 readable bytes.
    unsafe { _mm_loadu_si128(from.as_ptr().cast()) }
}

/// Brings the line at `at`, any address, to the second cache.
#[inline]
#[target_feature(enable = "avx2")]
pub fn ask_for<T>(at: *const T) {
    _mm_prefetch::<_MM_HINT_T1>(at.cast());
}
