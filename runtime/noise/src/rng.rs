//! Counter-based random words: a pure function of key, domain, sample and place.
//!
//! ChaCha (Bernstein 2008) with 8 rounds, in its original form: state words 12 and 13 are a 64-bit block counter, 14
//! and 15 a 64-bit stream number. The stream number is `domain·2^62 + sample`, the block counter `place / 16`, and
//! `place mod 16` the word in the block. The first word of a coordinate lies at `place = coordinate`, its second word at
//! `place = 2^35 + coordinate`, the next one 2^35 on. Coordinates are below 2^33, so that no place has two uses.

use chacha20::ChaCha8Rng;
use chacha20::rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};

/// First place of the second words.
const SECOND: u128 = 1 << 35;
/// Samples of a domain.
const SAMPLES: u64 = (1 << 62) - 1;

/// What draws are for; draws of one domain say nothing about those of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Domain {
    /// Choosing what to certify.
    Select,
    /// Estimating its probability.
    Estimate,
    /// Anything else a protocol adds.
    Extension,
}

/// The key of a noise stream.
#[derive(Clone, PartialEq, Eq)]
pub struct NoiseKey([u8; 32]);

impl core::fmt::Debug for NoiseKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("NoiseKey(..)")
    }
}

impl NoiseKey {
    /// SHA-256 of what the noise has to depend on, each with its name: a verifier's nonce, and the hashes of
    /// model, input, parameters and noise table.
    ///
    /// Noise has to be drawn after the input is fixed: an input chosen for known noise voids the confidence
    /// of what is estimated with it.
    pub fn derive(nonce: &[u8; 32], model: &[u8; 32], input: &[u8; 32], params: &[u8; 32], table: &[u8; 32]) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"selvedge noise key v1");
        let parts =
            [(b"nonce ", nonce), (b"model ", model), (b"input ", input), (b"params", params), (b"table ", table)];
        for (name, part) in parts {
            hash.update(name);
            hash.update(part);
        }
        NoiseKey(hash.finalize().into())
    }

    /// A key of these bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        NoiseKey(bytes)
    }

    /// The words of a sample from coordinate `first` on. Samples from 2^62 on repeat.
    pub(crate) fn words(&self, domain: Domain, sample: u64, first: u32) -> Words<'_> {
        let number = match domain {
            Domain::Select => 0,
            Domain::Estimate => 1,
            Domain::Extension => 2u64,
        };
        let stream = (number << 62) | (sample & SAMPLES);
        Words { rng: generator(&self.0, stream, u128::from(first)), key: &self.0, stream }
    }
}

fn generator(key: &[u8; 32], stream: u64, place: u128) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::from_seed(*key);
    rng.set_stream(stream);
    rng.set_word_pos(place);
    rng
}

/// Words of one sample.
pub(crate) struct Words<'k> {
    rng: ChaCha8Rng,
    key: &'k [u8; 32],
    stream: u64,
}

impl Words<'_> {
    /// The word of the next coordinate.
    #[inline]
    pub fn next(&mut self) -> u32 {
        self.rng.next_u32()
    }

    /// The second word of a coordinate; does not move the first words.
    #[cold]
    pub fn second(&self, coordinate: u64) -> u32 {
        self.later(1, coordinate)
    }

    /// The word of a coordinate after `number` others; does not move the first words.
    #[cold]
    pub fn later(&self, number: u32, coordinate: u64) -> u32 {
        generator(self.key, self.stream, u128::from(number) * SECOND + u128::from(coordinate)).next_u32()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A word of ChaCha8 by Bernstein's description: block counter in state words 12 and 13, stream in 14 and 15.
    fn chacha8(key: &[u8; 32], stream: u64, place: u64) -> u32 {
        let mut start = [0x6170_7865u32, 0x3320_646e, 0x7962_2d32, 0x6b20_6574, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        for (word, bytes) in start[4..12].iter_mut().zip(key.chunks_exact(4)) {
            *word = u32::from_le_bytes(*bytes.first_chunk().expect("four bytes"));
        }
        let block = place / 16;
        [start[12], start[13]] = [block as u32, (block >> 32) as u32];
        [start[14], start[15]] = [stream as u32, (stream >> 32) as u32];
        let mut x = start;
        let mut quarter = |a: usize, b: usize, c: usize, d: usize| {
            for (first, second, last, bits) in [(a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)] {
                x[first] = x[first].wrapping_add(x[second]);
                x[last] = (x[last] ^ x[first]).rotate_left(bits);
            }
        };
        for _ in 0..4 {
            (0..4).for_each(|i| quarter(i, 4 + i, 8 + i, 12 + i));
            (0..4).for_each(|i| quarter(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4));
        }
        x[place as usize % 16].wrapping_add(start[place as usize % 16])
    }

    #[test]
    fn words_are_those_of_chacha8() {
        // Oracle: the keystream of ChaCha8 for the zero key (draft-strombergson-chacha-test-vectors-01, TC1).
        const KEYSTREAM: [u8; 32] = [
            0x3e, 0x00, 0xef, 0x2f, 0x89, 0x5f, 0x40, 0xd6, 0x7f, 0x5b, 0xb8, 0xe8, 0x1f, 0x09, 0xa5, 0xa1, 0x2c, 0x84,
            0x0e, 0xc3, 0xce, 0x9a, 0x7f, 0x3b, 0x18, 0x1b, 0xe1, 0x88, 0xef, 0x71, 0x1a, 0x1e,
        ];
        let mut words = NoiseKey([0; 32]).words(Domain::Select, 0, 0);
        for (place, bytes) in KEYSTREAM.chunks_exact(4).enumerate() {
            let word = words.next();
            assert_eq!(word.to_le_bytes(), bytes, "word {place}");
            assert_eq!(word, chacha8(&[0; 32], 0, place as u64));
        }
    }

    #[test]
    fn every_word_lies_where_the_page_says() {
        // Oracle: ChaCha8 written down a second time, above.
        let bytes = core::array::from_fn(|i| i as u8 * 7 + 1);
        let key = NoiseKey::from_bytes(bytes);
        for (domain, number) in [(Domain::Select, 0u64), (Domain::Estimate, 1), (Domain::Extension, 2)] {
            for sample in [0, 1, 4_000_000_000, (1 << 62) - 1] {
                let stream = number << 62 | sample;
                for coordinate in [0u32, 1, 15, 16, 3071, 1 << 31, u32::MAX - 1, u32::MAX] {
                    let mut words = key.words(domain, sample, coordinate);
                    let place = u64::from(coordinate);
                    assert_eq!(words.next(), chacha8(&bytes, stream, place), "{domain:?} {sample} {coordinate}");
                    assert_eq!(words.next(), chacha8(&bytes, stream, place + 1));
                    assert_eq!(words.second(place), chacha8(&bytes, stream, (1 << 35) + place));
                }
            }
        }
    }

    #[test]
    fn every_part_of_a_key_counts_and_none_can_stand_in_for_another() {
        let part = |i: usize, at: usize| if i == at { [1u8; 32] } else { [0; 32] };
        let key = |i| NoiseKey::derive(&part(i, 0), &part(i, 1), &part(i, 2), &part(i, 3), &part(i, 4));
        for i in 0..6 {
            (0..i).for_each(|j| assert!(key(i) != key(j), "{i} {j}"));
        }
    }

    #[test]
    fn every_place_has_its_own_word_whatever_was_read_before() {
        let key = NoiseKey::derive(&[1; 32], &[2; 32], &[3; 32], &[4; 32], &[5; 32]);
        let mut all = key.words(Domain::Estimate, 9, 0);
        let words: alloc::vec::Vec<u32> = (0..200).map(|_| all.next()).collect();
        for first in [0u32, 1, 15, 16, 17, 63, 64, 65, 150] {
            let mut from = key.words(Domain::Estimate, 9, first);
            let second = from.second(3);
            (first..200).for_each(|place| assert_eq!(from.next(), words[place as usize]));
            assert_eq!(from.second(3), second);
        }
        assert_ne!(key.words(Domain::Select, 9, 0).next(), words[0]);
        assert_ne!(key.words(Domain::Estimate, 10, 0).next(), words[0]);
    }
}
