//! Low-rank convolutions: a convolution becomes two whose weights multiply to the truncated
//! singular value decomposition of its own.
//!
//! Method: trained rank pruning (Xu et al. 2019), its two decompositions and its energy rule. The
//! pass changes what the graph computes, by the energy it leaves out; it needs float weights.
mod build;
mod plan;
#[cfg(test)]
mod tests;

use crate::graph::Graph;
use plan::candidates;
use serde::{Deserialize, Serialize};

/// How a convolution was cut in two. `r` is the rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConvForm {
    /// `r × C × kh × kw` with the window of the original, then `N × r × 1 × 1`.
    Channel,
    /// `r × C × kh × 1` down the columns, then `N × r × 1 × kw` along the rows.
    Spatial,
}

/// Which forms may be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FactorForm {
    /// For each convolution the one with fewer multiply-accumulates; with a given rank, the one
    /// that keeps more energy.
    #[default]
    Auto,
    Channel,
    Spatial,
}

/// How ranks are chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FactorRank {
    /// The smallest rank whose squared singular values sum to this part of all, over 0 to 1.
    Energy(f64),
    /// The highest energy, one for all convolutions, at which those that can be factorized take at
    /// most this part of their multiply-accumulates.
    Budget(f64),
    /// This rank, less where the matrix has less.
    Rank(usize),
}

/// What to factorize and how far.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FactorizeOptions {
    pub rank: FactorRank,
    pub form: FactorForm,
}

/// A convolution that was cut in two.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FactorizedConv {
    pub node: String,
    /// Name of the value between the two.
    pub between: String,
    pub form: ConvForm,
    pub rank: usize,
    /// The part of the weights' squared norm that is kept, 0 to 1.
    pub energy: f64,
    pub macs_before: u64,
    pub macs_after: u64,
}

/// Why nothing was factorized.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FactorizeError {
    #[error("{0}: give an energy over 0 and up to 1, as in energy:0.9")]
    Energy(f64),
    #[error("{0}: give a part of the MACs over 0 and below 1, as in budget:0.5")]
    Budget(f64),
    #[error("rank 0: give a rank of at least 1")]
    Rank,
    #[error("no ranks bring the convolutions to {asked} of their MACs; the least is {least:.3}: raise the budget")]
    OutOfReach { asked: f64, least: f64 },
}

/// Factorizes every convolution of one group with constant f32 weights where that takes fewer
/// multiply-accumulates. Returns them in the order of the graph.
///
/// # Errors
/// [`FactorizeError`] for options out of range and budgets that no ranks reach; the graph is then
/// as it was.
pub fn factorize_convs(graph: &mut Graph, options: &FactorizeOptions) -> Result<Vec<FactorizedConv>, FactorizeError> {
    match options.rank {
        FactorRank::Energy(e) if !(e > 0.0 && e <= 1.0) => return Err(FactorizeError::Energy(e)),
        FactorRank::Budget(b) if !(b > 0.0 && b < 1.0) => return Err(FactorizeError::Budget(b)),
        FactorRank::Rank(0) => return Err(FactorizeError::Rank),
        _ => {}
    }
    let candidates = candidates(graph, options.form);
    let energy = match options.rank {
        FactorRank::Energy(energy) => Some(energy),
        FactorRank::Budget(part) => Some(plan::energy_within(&candidates, part)?),
        FactorRank::Rank(_) => None,
    };
    let mut made = Vec::new();
    for candidate in candidates {
        let choice = match (energy, options.rank) {
            (Some(energy), _) => candidate.at_energy(energy),
            (None, FactorRank::Rank(rank)) => candidate.at_rank(rank),
            _ => None,
        };
        if let Some(choice) = choice {
            made.push((candidate.index, build::factors(graph, &candidate, choice)));
        }
    }
    Ok(build::replace(graph, made))
}
