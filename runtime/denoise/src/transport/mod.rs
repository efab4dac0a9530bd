//! Deep optimal transport (Adrai et al. 2023): makes restored images follow the statistics of natural ones.
//!
//! Patches of restored and of natural images are taken as Gaussian; the optimal map between two Gaussians is linear. On
//! the device: [`Moments`] of a few dozen images of each kind, [`transport_map`] once, then [`transport_patches`] on every
//! image, or [`fold_kernel`] and one convolution. [`mix`] goes between the restored image and the transported one.

mod map;
mod moments;
mod patch;

pub use map::{mix, sampling_map, transport_map, wasserstein2_squared};
pub use moments::Moments;
pub use patch::{Latent, fold_kernel, gather_statistics, kernel_len, transport_patches};
