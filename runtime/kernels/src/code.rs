//! Formats of weights with fewer than 8 bits, as types: kernels are generic over them.

/// Bits of a code, and which codes there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Width {
    /// Codes 0..=15.
    W4,
    /// Codes 0..=7.
    W3,
    /// Codes 0..=3.
    W2,
    /// Ternary: codes 0, 1, 2 in two bits.
    T2,
}

impl Width {
    pub const ALL: [Self; 4] = [Self::W4, Self::W3, Self::W2, Self::T2];

    /// Bits a code takes in memory.
    pub const fn bits(self) -> usize {
        match self {
            Self::W4 => 4,
            Self::W3 => 3,
            Self::W2 | Self::T2 => 2,
        }
    }

    /// The largest code.
    pub const fn max(self) -> u8 {
        match self {
            Self::W4 => 15,
            Self::W3 => 7,
            Self::W2 => 3,
            Self::T2 => 2,
        }
    }

    /// k of a channel whose codes lie together, in [`Width::runs`] words of 4 bytes.
    pub const fn block(self) -> usize {
        match self {
            Self::W4 => 8,
            Self::W3 => 32,
            Self::W2 | Self::T2 => 16,
        }
    }

    /// Words of 4 bytes of a block: one run of the panel each.
    pub const fn runs(self) -> usize {
        match self {
            Self::W3 => 3,
            _ => 1,
        }
    }
}

/// A [`Width`] as a type.
pub trait Code: Copy + 'static {
    const WIDTH: Width;

    /// Codes of 4 consecutive k, one a byte: the `field`-th four of the block in `words` (a
    /// block of one run has its word first).
    fn four(words: &[u32; 3], field: usize) -> u32;
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident { |$words:ident, $field:ident| $four:expr })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name;

        impl Code for $name {
            const WIDTH: Width = Width::$name;

            #[inline(always)]
            fn four($words: &[u32; 3], $field: usize) -> u32 {
                $four
            }
        }
    )*};
}

codes! {
    /// int8 activations, 4-bit weights.
    W4 { |words, field| words[0] >> (4 * (field & 1)) & 0x0f0f_0f0f }
    /// int8 activations, 3-bit weights.
    W3 { |words, field| {
        let low = if field & 4 == 0 { words[0] } else { words[1] };
        low >> (2 * (field & 3)) & 0x0303_0303 | (words[2] >> (field & 7) & 0x0101_0101) << 2
    } }
    /// int8 activations, 2-bit weights.
    W2 { |words, field| words[0] >> (2 * (field & 3)) & 0x0303_0303 }
    /// int8 activations, ternary weights.
    T2 { |words, field| words[0] >> (2 * (field & 3)) & 0x0303_0303 }
}
