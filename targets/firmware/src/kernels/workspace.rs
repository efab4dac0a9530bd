//! The memory a suite works in.

/// Elements of an input or output.
const ELEMENTS: usize = 80_000;
/// Bytes of weights.
const WEIGHTS: usize = 190_000;
/// Bytes of scratch.
const SCRATCH: usize = 30_000;
/// Channels of a layer.
const CHANNELS: usize = 320;
/// Codes of a layer, and its scales and offsets.
const CODES: usize = 50_000;
const VALUES: usize = 2_000;
/// Elements before and behind an output that must stay as they were.
const GUARD: usize = 32;

/// Static memory for [`run`](super::run), about 2.5 MB.
pub struct Workspace {
    pub x: [i8; ELEMENTS],
    pub second: [i8; ELEMENTS],
    pub rows: [i8; WEIGHTS],
    /// Aligned as in artifacts.
    pub weights: Aligned<[i8; WEIGHTS]>,
    /// Aligned as in arenas.
    pub scratch: Aligned<[u8; SCRATCH]>,
    pub floats: [f32; ELEMENTS],
    pub channels: Channels,
    pub low: LowArrays,
    pub i8s: Outputs<i8>,
    pub i32s: Outputs<i32>,
    pub f32s: Outputs<f32>,
}

impl Workspace {
    #[allow(clippy::new_without_default, reason = "too large for the stack: for a static alone")]
    pub const fn new() -> Self {
        Self {
            x: [0; ELEMENTS],
            second: [0; ELEMENTS],
            rows: [0; WEIGHTS],
            weights: Aligned([0; WEIGHTS]),
            scratch: Aligned([0; SCRATCH]),
            floats: [0.0; ELEMENTS],
            channels: Channels {
                bias: [0; CHANNELS],
                wide_bias: [0; CHANNELS],
                multiplier: [0; CHANNELS],
                shift: [0; CHANNELS],
                w_scale: [0.0; CHANNELS],
                f32_bias: [0.0; CHANNELS],
                x_scale: [0.0; CHANNELS],
                column_sum: [0; CHANNELS],
            },
            low: LowArrays {
                codes: Aligned([0; CODES]),
                unpacked_codes: [0; CODES],
                scales: [0; VALUES],
                offsets: [0; VALUES],
                unpacked_scales: [0; VALUES],
                unpacked_offsets: [0; VALUES],
            },
            i8s: Outputs { got: [0; ELEMENTS + 2 * GUARD], want: [0; ELEMENTS + 2 * GUARD] },
            i32s: Outputs { got: [0; ELEMENTS + 2 * GUARD], want: [0; ELEMENTS + 2 * GUARD] },
            f32s: Outputs { got: [0.0; ELEMENTS + 2 * GUARD], want: [0.0; ELEMENTS + 2 * GUARD] },
        }
    }
}

/// At a multiple of 16 bytes.
#[repr(C, align(16))]
pub struct Aligned<T>(pub T);

/// Arrays of a layer's epilogue.
pub struct Channels {
    pub bias: [i32; CHANNELS],
    pub wide_bias: [i64; CHANNELS],
    pub multiplier: [i32; CHANNELS],
    pub shift: [i8; CHANNELS],
    pub w_scale: [f32; CHANNELS],
    pub f32_bias: [f32; CHANNELS],
    pub x_scale: [f32; CHANNELS],
    pub column_sum: [i32; CHANNELS],
}

/// Codes, scales and offsets, packed and not.
pub struct LowArrays {
    /// Aligned as in artifacts.
    pub codes: Aligned<[u8; CODES]>,
    pub unpacked_codes: [u8; CODES],
    pub scales: [u8; VALUES],
    pub offsets: [i16; VALUES],
    pub unpacked_scales: [u8; VALUES],
    pub unpacked_offsets: [i16; VALUES],
}

/// What a kernel and what its reference wrote.
pub struct Outputs<T> {
    got: [T; ELEMENTS + 2 * GUARD],
    want: [T; ELEMENTS + 2 * GUARD],
}

impl<T: Copy> Outputs<T> {
    /// Both outputs of `n` elements, filled alike by `fill`, `offset` elements misaligned, with
    /// the elements around them.
    pub fn pair(&mut self, n: usize, offset: usize, mut fill: impl FnMut() -> T) -> (&mut [T], &mut [T]) {
        for (got, want) in self.got.iter_mut().zip(&mut self.want).take(GUARD + offset + n + GUARD / 2) {
            *want = fill();
            *got = *want;
        }
        let range = GUARD + offset..GUARD + offset + n;
        (&mut self.got[range.clone()], &mut self.want[range])
    }

    /// Outputs of `n` elements with all around them, as they are now.
    pub fn all(&self, n: usize, offset: usize) -> (&[T], &[T]) {
        let range = ..GUARD + offset + n + GUARD / 2;
        (&self.got[range], &self.want[range])
    }
}
