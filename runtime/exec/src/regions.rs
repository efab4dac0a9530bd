//! The arena in one or two memories.

use core::ops::Range;

/// Pieces an arena can be in: two regions, one of them with the weights of a step inside.
const PIECES: usize = 3;

/// Bytes that hold the arena's offsets from `base` on.
#[derive(Debug, Default)]
struct Piece<'m> {
    base: usize,
    bytes: &'m mut [u8],
}

/// The arena of a session: one memory, or a fast and a slow one.
///
/// Offsets count through the first region into the second; no range is in both.
#[derive(Debug, Default)]
pub struct Regions<'m> {
    /// In the order of their offsets.
    pieces: [Piece<'m>; PIECES],
}

impl<'m> Regions<'m> {
    /// An arena in one memory.
    pub fn one(arena: &'m mut [u8]) -> Self {
        Regions { pieces: [Piece { base: 0, bytes: arena }, Piece::default(), Piece::default()] }
    }

    /// An arena in two: the first holds `split` bytes, the second those behind.
    pub fn two(first: &'m mut [u8], second: &'m mut [u8], split: usize) -> Self {
        let first = first.get_mut(..split).unwrap_or(&mut []);
        Regions { pieces: [Piece { base: 0, bytes: first }, Piece { base: split, bytes: second }, Piece::default()] }
    }

    /// The same arena for a shorter time.
    pub fn reborrow(&mut self) -> Regions<'_> {
        let [a, b, c] = &mut self.pieces;
        Regions { pieces: [a.reborrow(), b.reborrow(), c.reborrow()] }
    }

    /// Bytes of a range; `None` where no region holds it.
    pub fn get(&self, range: Range<usize>) -> Option<&[u8]> {
        self.pieces.iter().find_map(|piece| piece.bytes.get(piece.local(&range)?))
    }

    /// Bytes of a range, to be written; `None` where no region holds it.
    pub fn get_mut(&mut self, range: Range<usize>) -> Option<&mut [u8]> {
        self.pieces.iter_mut().find_map(|piece| {
            let range = piece.local(&range)?;
            piece.bytes.get_mut(range)
        })
    }

    /// Lends a range and, beside it, the arena without that range.
    pub(crate) fn without(&mut self, range: Range<usize>) -> Option<(&mut [u8], Regions<'_>)> {
        let mut found = None;
        let mut rest = Regions::default();
        let mut places = rest.pieces.iter_mut();
        for piece in &mut self.pieces {
            let (base, bytes) = (piece.base, &mut *piece.bytes);
            let inside = range.start >= base && range.end.saturating_sub(base) <= bytes.len() && found.is_none();
            match range.start.checked_sub(base).filter(|_| inside) {
                Some(start) => {
                    let (front, middle) = bytes.split_at_mut_checked(start)?;
                    let (middle, back) = middle.split_at_mut_checked(range.len())?;
                    found = Some(middle);
                    *places.next()? = Piece { base, bytes: front };
                    *places.next()? = Piece { base: range.end, bytes: back };
                }
                None if bytes.is_empty() => {}
                None => *places.next()? = Piece { base, bytes },
            }
        }
        Some((found?, rest))
    }

    /// Borrows disjoint ranges at once, in the order given, into `slices`, which are empty.
    ///
    /// `None` where ranges overlap, or one lies in no region.
    #[inline]
    pub(crate) fn disjoint<'s, const N: usize>(
        &'s mut self,
        ranges: &[Range<usize>; N],
        slices: &mut [&'s mut [u8]; N],
    ) -> Option<()> {
        let mut pieces = self.pieces.iter_mut().map(|piece| (piece.base, &mut *piece.bytes));
        let (mut at, mut rest) = pieces.next()?;
        // From the lowest range to the highest: one that starts below `at` overlaps the one before.
        for _ in 0..ranges.iter().filter(|range| range.start < range.end).count() {
            let open =
                ranges.iter().zip(slices.iter_mut()).filter(|(range, _)| range.start < range.end && range.start >= at);
            let (range, slice) = open.min_by_key(|(range, _)| range.start)?;
            while range.start - at >= rest.len() {
                (at, rest) = pieces.next().filter(|&(base, _)| base <= range.start)?;
            }
            let (_, behind) = rest.split_at_mut_checked(range.start - at)?;
            (*slice, rest) = behind.split_at_mut_checked(range.end - range.start)?;
            at = range.end;
        }
        Some(())
    }
}

impl Piece<'_> {
    fn reborrow(&mut self) -> Piece<'_> {
        Piece { base: self.base, bytes: self.bytes }
    }

    fn local(&self, range: &Range<usize>) -> Option<Range<usize>> {
        Some(range.start.checked_sub(self.base)?..range.end.checked_sub(self.base)?)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    fn disjoint<'s, const N: usize>(
        arena: &'s mut Regions<'_>,
        ranges: &[Range<usize>; N],
    ) -> Option<[&'s mut [u8]; N]> {
        let mut slices = core::array::from_fn(|_| &mut [][..]);
        arena.disjoint(ranges, &mut slices).map(|()| slices)
    }

    fn bytes(from: u8, n: usize) -> Vec<u8> {
        (from..).take(n).collect()
    }

    #[test]
    fn offsets_count_through_the_first_region_into_the_second() {
        let (mut first, mut second) = (bytes(0, 20), bytes(100, 8));
        let mut arena = Regions::two(&mut first, &mut second, 16);
        assert_eq!(arena.get(3..5), Some(&[3, 4][..]));
        assert_eq!(arena.get(16..18), Some(&[100, 101][..]));
        assert_eq!(arena.get(24 - 1..24), Some(&[107][..]));
        for outside in [15..17, 0..17, 23..25, 24..25, 40..41] {
            assert_eq!(arena.get(outside.clone()), None, "{outside:?}");
            assert!(arena.get_mut(outside).is_none());
        }
    }

    #[test]
    fn disjoint_ranges_of_two_regions_are_lent_in_the_order_given() {
        let (mut first, mut second) = (bytes(0, 16), bytes(100, 8));
        let mut arena = Regions::two(&mut first, &mut second, 16);
        let lent = disjoint(&mut arena, &[18..20, 4..6, 0..0, 6..7, 0..4]).expect("disjoint");
        assert_eq!(lent.map(|slice| slice.to_vec()), [&[102, 103][..], &[4, 5], &[], &[6], &[0, 1, 2, 3]]);
        for bad in [[0..4, 3..5], [2..3, 0..8], [0..1, 0..1], [15..17, 0..1], [23..25, 0..1], [30..31, 0..1]] {
            assert!(disjoint(&mut arena, &bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn a_range_can_be_taken_out_of_either_region() {
        for (range, expected) in [(4..8, [4, 5, 6, 7]), (16..20, [100, 101, 102, 103]), (20..24, [104, 105, 106, 107])]
        {
            let (mut first, mut second) = (bytes(0, 16), bytes(100, 8));
            let mut arena = Regions::two(&mut first, &mut second, 16);
            let (taken, rest) = arena.without(range.clone()).expect("inside");
            assert_eq!(taken, expected);
            for offset in 0..24 {
                assert_eq!(rest.get(offset..offset + 1).is_some(), !range.contains(&offset), "{offset}");
            }
            assert_eq!(rest.get(range.start.saturating_sub(1)..range.end), None);
        }
        let mut one = bytes(0, 16);
        assert!(Regions::one(&mut one).without(12..17).is_none());
    }

    /// Oracle: for each byte, which ranges hold it.
    #[test]
    fn random_ranges_are_lent_exactly_when_they_are_disjoint_and_inside() {
        let mut state = 3u64;
        let mut next = move |n: usize| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as usize % n
        };
        let mut lent_count = 0;
        for _ in 0..20_000 {
            let (mut first, mut second) = (bytes(0, 24), bytes(24, 24));
            let ranges: [Range<usize>; 4] = core::array::from_fn(|_| {
                let start = next(49);
                start..start + next(9)
            });
            let sound = |r: &Range<usize>| r.is_empty() || r.end <= 24 || (r.start >= 24 && r.end <= 48);
            let once = (0..48).all(|byte| ranges.iter().filter(|r| r.contains(&byte)).count() <= 1);
            let lent = ranges.iter().all(sound) && once;
            let mut arena = Regions::two(&mut first, &mut second, 24);
            let slices = disjoint(&mut arena, &ranges);
            assert_eq!(slices.is_some(), lent, "{ranges:?}");
            for (slice, range) in slices.iter().flatten().zip(&ranges) {
                let expected: Vec<u8> = range.clone().map(|b| b as u8).collect();
                assert_eq!(**slice, expected[..]);
            }
            lent_count += lent as usize;
        }
        assert!(lent_count > 1000, "{lent_count}");
    }
}
