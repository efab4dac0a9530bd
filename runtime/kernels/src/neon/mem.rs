//! Loads and stores of fixed sizes, at any alignment.

use core::arch::aarch64::*;

#[inline]
#[target_feature(enable = "neon")]
pub fn load16(from: &[i8; 16]) -> int8x16_t {
    // SAFETY: `from` is 16 readable bytes.
    unsafe { vld1q_s8(from.as_ptr()) }
}

#[inline]
#[target_feature(enable = "neon")]
pub fn load8(from: &[i8; 8]) -> int8x8_t {
    // SAFETY: `from` is 8 readable bytes.
    unsafe { vld1_s8(from.as_ptr()) }
}

#[inline]
#[target_feature(enable = "neon")]
pub fn load_i32(from: &[i32; 8]) -> [int32x4_t; 2] {
    // SAFETY: `from` is 8 readable elements, of which each load takes 4.
    unsafe { [vld1q_s32(from.as_ptr()), vld1q_s32(from.as_ptr().add(4))] }
}

#[inline]
#[target_feature(enable = "neon")]
pub fn load_i64(from: &[i64; 8]) -> [int64x2_t; 4] {
    // SAFETY: `from` is 8 readable elements, of which each load takes 2.
    unsafe { [0, 2, 4, 6].map(|i| vld1q_s64(from.as_ptr().add(i))) }
}

#[inline]
#[target_feature(enable = "neon")]
pub fn load_f32(from: &[f32; 8]) -> [float32x4_t; 2] {
    // SAFETY: `from` is 8 readable elements, of which each load takes 4.
    unsafe { [vld1q_f32(from.as_ptr()), vld1q_f32(from.as_ptr().add(4))] }
}

#[inline]
#[target_feature(enable = "neon")]
pub fn store8(to: &mut [i8; 8], v: int8x8_t) {
    // SAFETY: `to` is 8 writable bytes.
    unsafe { vst1_s8(to.as_mut_ptr(), v) }
}

#[inline]
#[target_feature(enable = "neon")]
pub fn store16(to: &mut [i8; 16], v: int8x16_t) {
    // SAFETY: `to` is 16 writable bytes.
    unsafe { vst1q_s8(to.as_mut_ptr(), v) }
}

#[inline]
#[target_feature(enable = "neon")]
pub fn store_i16(to: &mut [i16; 8], v: int16x8_t) {
    // SAFETY: `to` is 8 writable elements.
    unsafe { vst1q_s16(to.as_mut_ptr(), v) }
}

#[inline]
#[target_feature(enable = "neon")]
pub fn store_i32(to: &mut [i32; 8], v: [int32x4_t; 2]) {
    // SAFETY: `to` is 8 writable elements, of which each store takes 4.
    unsafe {
        vst1q_s32(to.as_mut_ptr(), v[0]);
        vst1q_s32(to.as_mut_ptr().add(4), v[1]);
    }
}

#[inline]
#[target_feature(enable = "neon")]
pub fn store_f32(to: &mut [f32; 8], v: [float32x4_t; 2]) {
    // SAFETY: `to` is 8 writable elements, of which each store takes 4.
    unsafe {
        vst1q_f32(to.as_mut_ptr(), v[0]);
        vst1q_f32(to.as_mut_ptr().add(4), v[1]);
    }
}
