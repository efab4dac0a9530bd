//! Heads and small operators around a network, in fixed memory.
//!
//! - Outputs as probabilities that cannot collapse: [`stable_max`], [`sparse_max`], [`collapsed`]; losses to report.
//! - One class of a huge output layer, by algebra of the hidden size: [`Standardized`].
//! - Heads that are fitted on the device in one pass: [`GaussianHead`], [`NormalEquations`].
//! - Decisions: [`inverse_gap`], [`fast_inverse_gap`], [`OptimisticWeights`], [`log_barrier`]; routing: [`sparse_transport`].
//! - Statistics of features: [`layer_norm_unscaled`], [`restyle`]; [`project_out`]; a forest's [`forest_weights`].
//! - [`Implicit`]: a tiny network of coordinates that refines its own result. [`slerp`], [`path_deviation`].

mod bayes;
mod decide;
mod forest;
mod implicit;
mod norm;
mod path;
mod probabilities;
mod ridge;
mod routing;
mod spherical;

pub use bayes::GaussianHead;
pub use decide::{OptimisticWeights, fast_inverse_gap, inverse_gap, log_barrier, perturbed};
pub use forest::{Tree, forest_weights, support_overlap};
pub use implicit::{Dense, Encoding, Implicit};
pub use norm::{layer_norm_unscaled, project_out, restyle};
pub use path::{path_deviation, slerp};
pub use probabilities::{
    collapse_gap, collapsed, comp_sum_loss, soft_max, sparse_max, stable_max, stable_score, weighted_soft_max,
};
pub use ridge::NormalEquations;
pub use routing::{ascend, sparse_column, sparse_transport};
pub use spherical::{Standardized, z_loss, z_loss_gradient};
