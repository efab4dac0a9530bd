//! Division of 64-bit numbers for quotients of a few bits, without the library's.

/// Quotients are exact below this; larger ones are some number that is not smaller.
pub const LARGEST: u32 = 1 << 12;

/// Quotient and remainder of `n` by `d` > 0; with a quotient of [`LARGEST`] or more the remainder
/// is unspecified.
pub fn quotient(n: u64, d: u64) -> (u32, u64) {
    let (mut rest, mut part, mut bits) = (n, d, 0);
    while part <= rest >> 1 && 1 << bits < LARGEST {
        part <<= 1;
        bits += 1;
    }
    let mut quotient = 0;
    loop {
        quotient <<= 1;
        if rest >= part {
            rest -= part;
            quotient |= 1;
        }
        if bits == 0 {
            return (quotient, rest);
        }
        part >>= 1;
        bits -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::buffers::Rng;

    #[test]
    fn equals_the_processors_division_on_random_numbers_of_every_length() {
        let rng = &mut Rng(31);
        for _ in 0..200_000 {
            let (n, d) = (rng.next() >> rng.range(0, 63), (rng.next() >> rng.range(1, 63)).max(1));
            let (found, rest) = quotient(n, d);
            if n / d < LARGEST as u64 {
                assert_eq!((found as u64, rest), (n / d, n % d), "{n} / {d}");
            } else {
                assert!(found >= LARGEST, "{n} / {d}");
            }
        }
    }
}
