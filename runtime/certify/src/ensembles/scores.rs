//! The law of a sum of independent integers, every probability rounded up.

use super::Needs;
use crate::CertError;

/// One value of a part of the score.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cell {
    score: i64,
    mass: f64,
}

/// Memory for the law, lent.
#[derive(Debug)]
pub struct Memory<'m> {
    /// One entry for each integer that the score can be.
    pub scores: &'m mut [f64],
    /// One entry for each cell of the largest part.
    pub cells: &'m mut [Cell],
}

/// The law of the parts that were added.
pub(super) struct Scores<'m> {
    memory: Memory<'m>,
    /// The score of the first entry.
    lowest: i64,
    /// Entries in use.
    width: usize,
}

impl<'m> Scores<'m> {
    /// The law of 0.
    pub fn new(memory: Memory<'m>, needs: Needs) -> Result<Self, CertError> {
        let enough = memory.scores.len() >= needs.scores && memory.cells.len() >= needs.cells;
        let Some(first) = memory.scores.first_mut().filter(|_| enough) else {
            let needed = if memory.scores.len() < needs.scores { needs.scores } else { needs.cells };
            return Err(CertError::Buffer { needed: u32::try_from(needed).unwrap_or(u32::MAX) });
        };
        *first = 1.0;
        Ok(Scores { memory, lowest: 0, width: 1 })
    }

    /// Adds an independent part: its values and their probabilities, not below the exact ones.
    ///
    /// From the top entry down, so that no entry is written before the last one that reads it: values are offsets
    /// from the lowest one. A sum of m products is off by at most m + 1 roundings, half an ε each, and by what
    /// underflows: the smallest normal number is more than 2^51 of the smallest ones.
    pub fn add(&mut self, part: impl Iterator<Item = (i64, f64)>) -> Result<(), CertError> {
        let mut count = 0;
        for (score, mass) in part {
            let full = CertError::Buffer { needed: count as u32 + 1 };
            *self.memory.cells.get_mut(count).ok_or(full)? = Cell { score, mass };
            count += 1;
        }
        let cells = self.memory.cells.get_mut(..count).unwrap_or(&mut []);
        let least = cells.iter().map(|cell| cell.score).min().unwrap_or(0);
        let most = cells.iter().map(|cell| cell.score).max().unwrap_or(0);
        let width = usize::try_from(most - least).ok().and_then(|more| more.checked_add(self.width));
        let law = width.and_then(|width| self.memory.scores.get_mut(..width)).ok_or(CertError::Length)?;
        if let Some(fresh) = law.get_mut(self.width..) {
            fresh.fill(0.0);
        }
        let enlarge = 1.0 + (count as f64 + 4.0) * f64::EPSILON;
        for at in (0..law.len()).rev() {
            let mut sum = 0.0;
            for cell in cells.iter() {
                let before = usize::try_from(cell.score - least).ok().and_then(|offset| at.checked_sub(offset));
                let old = before.and_then(|before| law.get(before)).copied().unwrap_or(0.0);
                sum += cell.mass * old;
            }
            if let Some(entry) = law.get_mut(at) {
                *entry = (sum * enlarge + f64::MIN_POSITIVE).min(1.0);
            }
        }
        self.width = law.len();
        self.lowest = self.lowest.saturating_add(least);
        Ok(())
    }

    /// Numbers not below the probabilities of a score of at most `border`, and of more.
    pub fn split(&self, border: i64) -> [f64; 2] {
        let law = self.memory.scores.get(..self.width).unwrap_or(&[]);
        let mut mass = [0.0; 2];
        for (score, p) in (self.lowest..).zip(law) {
            mass[usize::from(score > border)] += p;
        }
        let enlarge = 1.0 + (law.len() as f64 + 4.0) * f64::EPSILON;
        mass.map(|mass| (mass * enlarge + f64::MIN_POSITIVE).min(1.0))
    }
}

/// A number not below the product of probabilities.
pub(super) fn product(factors: impl Iterator<Item = f64>) -> f64 {
    factors.fold(1.0, |product, factor| (product * factor * (1.0 + 2.0 * f64::EPSILON) + f64::MIN_POSITIVE).min(1.0))
}
