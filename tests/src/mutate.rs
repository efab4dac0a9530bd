//! Seeded mutations of artifact bytes.

/// A small counter-free generator (xorshift64*), seeded and repeatable.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Rng(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next_u64(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        if n == 0 { 0 } else { (self.next_u64() >> 11) as usize % n }
    }
}

const INTERESTING: [u32; 12] = [0, 1, 2, 7, 16, 255, 256, 65535, 65536, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff];

/// Changes one to four places. Records lie in the first `hot` bytes; most changes go there.
/// Returns the new length (some mutations truncate).
pub fn mutate(bytes: &mut [u8], hot: usize, rng: &mut Rng) -> usize {
    let mut len = bytes.len();
    for _ in 0..1 + rng.below(4) {
        let span = if rng.below(8) == 0 { len } else { hot.min(len) };
        let at = rng.below(span);
        match rng.below(10) {
            0 | 1 => bytes[at] ^= 1 << rng.below(8),
            2 => bytes[at] = rng.next_u64() as u8,
            3 | 4 => write(bytes, at & !3, &INTERESTING[rng.below(INTERESTING.len())].to_le_bytes()),
            5 => write(bytes, at & !1, &(INTERESTING[rng.below(INTERESTING.len())] as u16).to_le_bytes()),
            6 => {
                let old = bytes[at];
                bytes[at] = if rng.below(2) == 0 { old.wrapping_add(1) } else { old.wrapping_sub(1) };
            }
            7 | 8 => {
                let from = rng.below(span);
                let count = [2, 4, 28, 44][rng.below(4)].min(len - from.max(at));
                bytes.copy_within(from..from + count, at);
            }
            _ if rng.below(8) == 0 => len = rng.below(len + 1),
            _ => bytes[at] = 0,
        }
        if len == 0 {
            break;
        }
    }
    len
}

fn write(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + value.len()) {
        place.copy_from_slice(value);
    }
}

/// A copy of a model file with one to three places changed: bits and bytes, lengths, truncation, a part twice.
/// Weights fill large files; the structure is at either end.
pub fn mutate_file(file: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut bytes = file.to_vec();
    for _ in 0..1 + rng.below(3) {
        if bytes.is_empty() {
            break;
        }
        let near = rng.below(bytes.len().min(4000));
        let at = if rng.below(2) == 0 { near } else { bytes.len() - 1 - near };
        match rng.below(8) {
            0..3 => bytes[at] ^= 1 << rng.below(8),
            3 => bytes[at] = rng.next_u64() as u8,
            4 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][rng.below(5)],
            5 => bytes.truncate(at),
            _ => {
                let end = (at + rng.below(200)).min(bytes.len());
                let copy = bytes[at..end].to_vec();
                bytes.splice(at..at, copy);
            }
        }
    }
    bytes
}
