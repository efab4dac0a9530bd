//! How often each class was predicted.

/// Counts per class, with room for `CLASSES` of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts<const CLASSES: usize>([u32; CLASSES]);

impl<const CLASSES: usize> Default for Counts<CLASSES> {
    fn default() -> Self {
        Counts([0; CLASSES])
    }
}

impl<const CLASSES: usize> Counts<CLASSES> {
    /// These counts; zeros behind them.
    pub fn from_slice(counts: &[u32]) -> Option<Self> {
        let mut all = [0; CLASSES];
        all.get_mut(..counts.len())?.copy_from_slice(counts);
        Some(Counts(all))
    }

    /// Adds one prediction. `false` for a class there is no room for.
    #[must_use]
    pub fn add(&mut self, class: usize) -> bool {
        match self.0.get_mut(class) {
            Some(count) => {
                *count = count.saturating_add(1);
                true
            }
            None => false,
        }
    }

    /// Adds the counts of other samples. Order and grouping do not matter.
    pub fn merge(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(count, &more)| *count = count.saturating_add(more));
    }

    /// Of one class; 0 for one there is no room for.
    pub fn of(&self, class: usize) -> u32 {
        self.0.get(class).copied().unwrap_or(0)
    }

    /// All of them.
    pub fn as_slice(&self) -> &[u32] {
        &self.0
    }

    /// Predictions counted.
    pub fn total(&self) -> u64 {
        self.0.iter().map(|&count| u64::from(count)).sum()
    }

    /// The most frequent class, of equally frequent ones the first.
    pub fn top(&self) -> usize {
        self.best(None)
    }

    /// The two most frequent classes, of equally frequent ones the first.
    pub fn top_two(&self) -> (usize, usize) {
        let top = self.best(None);
        (top, self.best(Some(top)))
    }

    fn best(&self, except: Option<usize>) -> usize {
        let mut best = None;
        for (class, &count) in self.0.iter().enumerate() {
            if Some(class) != except && best.is_none_or(|(_, most)| count > most) {
                best = Some((class, count));
            }
        }
        best.map_or(0, |(class, _)| class)
    }
}
