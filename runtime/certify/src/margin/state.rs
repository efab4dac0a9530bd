//! Saved states of [`MarginRun`].
//!
//! `{magic SLVM, version u16, classes u16, maps u16, flags u8, bound u8, job 32 bytes, draws of the selection and the
//! estimation u32, chosen map and class u16, the class under each map u16, and for each map and class Σ, Σ², Σ of products
//! u64, 12 bytes of SHA-256}`. The seal finds damage, not forgery.

use super::{Bound, MarginRun, Plan, UNIT};
use crate::bytes::{Reader, Writer};
use crate::{CertError, Job};

const MAGIC: [u8; 4] = *b"SLVM";
const VERSION: u16 = 1;
const SEAL: usize = 12;
/// Flag: the model was found to be no function.
const FAILED: u8 = 1;

/// Bytes of a saved [`MarginRun`].
pub const fn margin_state_bytes(classes: u32, maps: u32) -> usize {
    56 + maps as usize * (2 + 24 * classes as usize) + SEAL
}

impl<'a, const CLASSES: usize, const MAPS: usize> MarginRun<'a, CLASSES, MAPS> {
    /// Writes the state to the front of `to`; returns its length.
    ///
    /// # Errors
    /// [`CertError::Buffer`] with the bytes needed.
    pub fn save(&self, to: &mut [u8]) -> Result<usize, CertError> {
        let (classes, maps) = (self.len(), self.maps.len());
        let needed = margin_state_bytes(classes as u32, maps as u32);
        let to = to.get_mut(..needed).ok_or(CertError::Buffer { needed: needed as u32 })?;
        let mut writer = Writer::new(to);
        writer.put(&MAGIC);
        writer.u16(VERSION);
        writer.u16(classes as u16);
        writer.u16(maps as u16);
        writer.u8(if self.failed { FAILED } else { 0 });
        writer.u8(match self.plan.map(|plan| plan.bound) {
            None => 0,
            Some(Bound::One) => 1,
            Some(Bound::Two) => 2,
            Some(Bound::Margin) => 3,
        });
        writer.put(self.job.binding());
        writer.u32(self.selected);
        writer.u32(self.drawn);
        writer.u16(self.plan.map_or(0, |plan| plan.map));
        writer.u16(self.plan.map_or(0, |plan| plan.class));
        self.classes.iter().take(maps).for_each(|&class| writer.u16(class));
        for entry in self.table.iter().take(maps).flat_map(|row| row.iter().take(classes)) {
            [entry.moments.sum, entry.moments.squares, entry.product].iter().for_each(|&sum| writer.u64(sum));
        }
        writer.seal::<SEAL>();
        Ok(needed)
    }

    /// Goes on from a saved state of the same job.
    ///
    /// # Errors
    /// [`CertError::Foreign`] for the state of another job; [`CertError::Magic`], [`CertError::Version`],
    /// [`CertError::Checksum`] and [`CertError::Field`] for what is no state; those of [`MarginRun::new`].
    pub fn resume(job: &'a Job<'a>, bytes: &[u8]) -> Result<Self, CertError> {
        if bytes.get(..4) != Some(&MAGIC) {
            return Err(CertError::Magic);
        }
        let mut reader = Reader::sealed::<SEAL>(bytes)?;
        let _: [u8; 4] = reader.take()?;
        if reader.u16()? != VERSION {
            return Err(CertError::Version);
        }
        let mut this = Self::new(job)?;
        let (classes, maps) = (usize::from(reader.u16()?), usize::from(reader.u16()?));
        let [flags, bound] = reader.take()?;
        if flags > FAILED || bound > 3 {
            return Err(reader.bad(2));
        }
        if reader.take::<32>()? != *job.binding() || classes != this.len() || maps != this.maps.len() {
            return Err(CertError::Foreign);
        }
        this.failed = flags == FAILED;
        (this.selected, this.drawn) = (reader.u32()?, reader.u32()?);
        let request = job.terms().spec().request();
        let selected = this.selected == request.selection;
        if this.selected > request.selection || this.drawn > request.samples || (this.drawn > 0 && !selected) {
            return Err(reader.bad(8));
        }
        let (map, class) = (reader.u16()?, reader.u16()?);
        let bound = [None, Some(Bound::One), Some(Bound::Two), Some(Bound::Margin)].get(usize::from(bound));
        this.plan = bound.copied().flatten().map(|bound| Plan { map, class, bound });
        if this.plan.is_some() != selected || usize::from(map) >= maps || usize::from(class) >= classes {
            return Err(reader.bad(4));
        }
        for to in this.classes.iter_mut().take(maps) {
            *to = reader.u16()?;
            if usize::from(*to) >= classes {
                return Err(reader.bad(2));
            }
        }
        let first = this.half();
        let draws = match this.selected {
            _ if selected => this.drawn,
            done if done >= first => done - first,
            done => done,
        };
        for entry in this.table.iter_mut().take(maps).flat_map(|row| row.iter_mut().take(classes)) {
            let (sum, squares, product) = (reader.u64()?, reader.u64()?, reader.u64()?);
            // Weights are at most the unit.
            let most = u128::from(draws) * u128::from(UNIT);
            let at_most = |sum: u64| u128::from(UNIT) * u128::from(sum);
            let sums = u128::from(sum) <= most && u128::from(product) <= at_most(sum);
            let cauchy = u128::from(sum) * u128::from(sum) <= u128::from(draws) * u128::from(squares);
            if !sums || u128::from(squares) > at_most(sum) || !cauchy {
                return Err(reader.bad(24));
            }
            (entry.moments.sum, entry.moments.squares, entry.product) = (sum, squares, product);
        }
        reader.end()?;
        Ok(this)
    }
}
