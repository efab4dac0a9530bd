//! What calibration keeps of a layer's inputs.

use nalgebra::DMatrix;

use super::LowBitError;

/// Rows kept to score outputs on.
const KEPT: usize = 512;

/// Second moments of a layer's inputs, and some of the inputs.
#[derive(Clone, Debug)]
pub struct Gram {
    k: usize,
    tokens: usize,
    /// Σ xᵀx, `[k, k]`, the upper triangle; nothing where squares are enough.
    sums: DMatrix<f64>,
    /// Its diagonal.
    squares: Vec<f64>,
    pending: Vec<f32>,
    kept: Vec<f32>,
    random: u64,
}

impl Gram {
    /// Of rows of `k`.
    pub fn new(k: usize) -> Self {
        Gram { sums: DMatrix::zeros(k, k), ..Gram::of_squares(k) }
    }

    /// Of rows of `k`, without the products of columns: for [`mean_squares`](Self::mean_squares) and
    /// [`kept`](Self::kept), in a small part of the time.
    pub fn of_squares(k: usize) -> Self {
        Gram {
            k,
            tokens: 0,
            sums: DMatrix::zeros(0, 0),
            squares: vec![0.0; k],
            pending: Vec::new(),
            kept: Vec::new(),
            random: 1,
        }
    }

    /// Adds rows `[tokens, k]`; rows that are all zero (padding) do not count.
    ///
    /// # Errors
    /// [`LowBitError::Columns`], [`LowBitError::NotFinite`].
    pub fn add(&mut self, rows: &[f32]) -> Result<(), LowBitError> {
        if self.k == 0 || !rows.len().is_multiple_of(self.k) {
            return Err(LowBitError::Columns { found: rows.len(), k: self.k });
        }
        if let Some(index) = rows.iter().position(|x| !x.is_finite()) {
            return Err(LowBitError::NotFinite { index });
        }
        for row in rows.chunks(self.k).filter(|row| row.iter().any(|&x| x != 0.0)) {
            self.keep(row);
            self.tokens += 1;
            self.squares.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(*x) * f64::from(*x));
            if !self.sums.is_empty() {
                self.pending.extend_from_slice(row);
            }
        }
        if self.pending.len() >= 256 * self.k {
            self.flush();
        }
        Ok(())
    }

    /// Every row is kept with the same probability (Vitter 1985, algorithm R; fixed seed). Every n-th one would
    /// not do: rows are positions of sequences, and n may be a sequence's length.
    fn keep(&mut self, row: &[f32]) {
        if self.kept.len() < KEPT * self.k {
            self.kept.extend_from_slice(row);
            return;
        }
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let place = (self.random >> 33) as usize % (self.tokens + 1);
        if let Some(old) = self.kept.get_mut(place * self.k..(place + 1) * self.k) {
            old.copy_from_slice(row);
        }
    }

    fn flush(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let rows = self.pending.len() / self.k.max(1);
        let x = DMatrix::from_row_iterator(rows, self.k, self.pending.iter().map(|&x| f64::from(x)));
        self.sums.gemm_tr(1.0, &x, &x, 1.0);
        self.pending.clear();
    }

    pub fn k(&self) -> usize {
        self.k
    }

    /// Rows that were added, without those of zeros.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// Σ xᵀx; empty where only squares were added up.
    pub fn sums(&mut self) -> &DMatrix<f64> {
        self.flush();
        &self.sums
    }

    /// Mean x² of each column.
    pub fn mean_squares(&self) -> Vec<f32> {
        let tokens = self.tokens.max(1) as f64;
        self.squares.iter().map(|x| (x / tokens) as f32).collect()
    }

    /// Rows to score outputs on, `[_, k]`.
    pub fn kept(&self) -> &[f32] {
        &self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::gaussian;
    use super::*;

    #[test]
    fn sums_equal_a_plain_loop_and_rows_of_zeros_do_not_count() {
        let (k, tokens) = (7, 700);
        let mut rows = gaussian(tokens * k, 1);
        rows[3 * k..4 * k].fill(0.0);
        let mut gram = Gram::new(k);
        rows.chunks(k * 50).for_each(|part| gram.add(part).expect("fits"));
        assert_eq!(gram.tokens(), tokens - 1);
        assert_eq!(gram.kept().len(), KEPT * k);
        let sums = gram.sums().clone();
        for i in 0..k {
            for j in 0..k {
                let want: f64 = rows.chunks(k).map(|row| f64::from(row[i]) * f64::from(row[j])).sum();
                assert!((sums[(i, j)] - want).abs() < 1e-6 * want.abs().max(1.0));
            }
        }
        // Rows of every place in a sequence are kept alike.
        let mut gram = Gram::new(1);
        gram.add(&(0..64 * KEPT).map(|i| (i % 32 + 1) as f32).collect::<Vec<_>>()).expect("fits");
        let counts = (1..=32).map(|place| gram.kept().iter().filter(|&&x| x == place as f32).count());
        assert!(counts.clone().all(|count| (4..=40).contains(&count)), "{:?}", counts.collect::<Vec<_>>());
        let mut gram = Gram::new(k);
        let mut squares = Gram::of_squares(k);
        squares.add(&rows).expect("fits");
        let diagonal = sums.diagonal();
        for (found, want) in squares.mean_squares().iter().zip(diagonal.iter()) {
            let want = want / (tokens - 1) as f64;
            assert!((f64::from(*found) - want).abs() < 1e-6 * want);
        }
        assert_eq!((squares.tokens(), squares.sums().len()), (tokens - 1, 0));
        assert_eq!(gram.add(&[1.0; 8]), Err(LowBitError::Columns { found: 8, k }));
    }
}
