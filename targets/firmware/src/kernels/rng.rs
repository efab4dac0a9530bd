//! Random data.

/// SplitMix64 (Steele, Lea and Flood 2014).
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in `lo..=hi`, which differ by less than 2^32 − 1.
    pub fn range(&mut self, lo: i64, hi: i64) -> i64 {
        let span = (hi - lo) as u32 as u64 + 1;
        lo + (((self.next() >> 32) * span) >> 32) as i64
    }

    pub fn size(&mut self, lo: usize, hi: usize) -> usize {
        self.range(lo as i64, hi as i64) as usize
    }

    pub fn i32(&mut self) -> i32 {
        self.next() as i32
    }

    pub fn flip(&mut self) -> bool {
        self.next() & 1 == 0
    }

    pub fn pick<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.size(0, values.len() - 1)]
    }

    /// Int8 values; one buffer in four has extreme values only.
    pub fn fill(&mut self, values: &mut [i8]) {
        match self.range(0, 7) {
            0 => values.iter_mut().for_each(|v| *v = if self.flip() { -128 } else { 127 }),
            1 => values.fill(-128),
            _ => {
                for chunk in values.chunks_mut(8) {
                    chunk.iter_mut().zip(self.next().to_le_bytes()).for_each(|(v, byte)| *v = byte as i8);
                }
            }
        }
    }

    /// A finite f32 of either sign, most around 1, with halves and zeros among them.
    pub fn f32(&mut self) -> f32 {
        match self.range(0, 9) {
            0 => 0.0,
            1 => self.range(-300, 300) as f32 / 2.0,
            2 => self.range(-1 << 30, 1 << 30) as f32 * 1e6,
            _ => self.range(-1 << 24, 1 << 24) as f32 / (1 << 18) as f32,
        }
    }
}
