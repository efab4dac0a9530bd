//! Oracle: `denoise_reference.json`, 64 cases made by numpy and scipy in f64 (script and versions beside it).
//!
//! [`COVERED`] names every case of the file and where it is tested, or why it is not this crate's. A test holds it against
//! the file.

mod blind;
mod decisions;
mod diffusion;
mod heads;
mod state;
mod support;
mod transport;
mod tweedie;

use support::reference;

/// Where a case is tested.
enum Where {
    /// In this suite, by this module.
    Here(&'static str),
    /// Elsewhere, or nowhere on a device: why.
    Not(&'static str),
}
use Where::{Here, Not};

const COVERED: [(&str, Where); 64] = [
    ("tweedie_gaussian_conjugate", Here("tweedie")),
    ("tweedie_gaussian_mixture_prior", Here("tweedie")),
    ("tweedie_poisson_gamma_prior", Here("tweedie")),
    ("tweedie_gamma_invgamma_prior", Here("tweedie")),
    ("ardae_gaussian_optimum", Here("tweedie")),
    ("score_regression_form", Here("tweedie")),
    ("blind_sigma_tv", Here("blind")),
    ("blind_penalties", Here("blind")),
    ("dot_gaussian", Here("transport")),
    ("dot_gaussian_singular_source", Here("transport")),
    ("dot_patch_fold", Here("transport")),
    ("streaming_moment_merge", Here("transport")),
    ("principal_gradient", Here("transport: the eigenvector; which gradients are combined is the server's")),
    ("ddpm_schedule", Here("diffusion")),
    ("beta_schedules", Here("diffusion")),
    ("ddpm_step", Here("diffusion")),
    ("ddim_step", Here("diffusion")),
    ("shallow_diffusion_toy", Here("diffusion")),
    ("shallow_boundary_kl", Here("diffusion")),
    ("cm_coefficients", Here("diffusion")),
    ("cm_multistep_gaussian", Here("diffusion")),
    ("lcm_boundary", Here("diffusion")),
    ("lcm_step", Here("diffusion")),
    ("apg", Here("diffusion")),
    ("kalman_rts", Here("state")),
    ("paris_fixed_particles", Here("state")),
    ("stablemax", Here("heads")),
    ("sparsemax", Here("heads; certify has its own in integers")),
    ("z_loss", Here("heads")),
    ("comp_sum_losses", Here("heads")),
    ("naive_bayes_head", Here("heads")),
    ("aggregate_interpolated", Here("heads")),
    ("distilled_ridge", Here("heads")),
    ("bilevel_normalized_momentum", Here("heads: the optimum; the path to it is training")),
    ("forest_smoother", Here("heads")),
    ("nonscaling_layernorm", Here("heads")),
    ("adain_style", Here("heads")),
    ("perp_grad", Here("heads")),
    ("istd_metric", Here("heads")),
    ("orex_tiny_forward", Here("heads")),
    ("loss_resampling", Here("heads")),
    ("calibrated_confidence", Here("heads")),
    ("igw_bandit", Here("decisions; its losses for training are comp_sum_losses' kind and are not here")),
    ("optimistic_omd_simplex", Here("decisions")),
    ("ftrl_log_barrier", Here("decisions")),
    ("sparse_ot_topk", Here("decisions")),
    ("robust_losses", Not("training: loss of consistency training")),
    ("ensloss_derivative", Not("training: random loss derivatives")),
    ("nnpu_risk", Not("training: risk of positive-unlabelled learning")),
    ("sam_sharpness", Not("training: sharpness-aware minimization")),
    ("hpm_relative_loss", Not("training: loss of the patch predictor")),
    (
        "compositional_nll",
        Not("training: likelihood of an energy model; the device compares an energy with a threshold"),
    ),
    ("pinn_residual", Not("training: residual of a differential equation of an analytic function")),
    ("weight_standardization_bn_fold", Not("compiler: folded into weights; the channel norm is the kernel GroupNorm")),
    ("lora_branch", Not("exec: low-rank branch of a dense layer, tests/adapter.rs")),
    ("lsq_quant", Not("compiler: quantizer of weights")),
    ("ternary_twn", Not("compiler: quantizer of weights")),
    ("svdquant_split", Not("compiler: low-rank split of weights")),
    ("elastic_bits", Not("compiler: codes from int8 masters")),
    ("magnitude_prune", Not("compiler: sparsity of weights")),
    ("cohen_radius", Not("certify: radius of a count")),
    ("empirical_bernstein", Not("certify: bound of a mean")),
    ("adaptive_smoothing_mix", Not("certify: mixture of two models")),
    ("policy_smoothing_reward", Not("certify: returns of a policy")),
];

#[test]
fn every_case_of_the_reference_is_tested_here_or_has_its_reason() {
    let Some(cases) = reference() else { return };
    let cases = cases.as_object().expect("cases");
    for (name, place) in &COVERED {
        assert!(cases.contains_key(*name), "{name} is not in the file");
        let (Here(text) | Not(text)) = place;
        assert!(!text.is_empty());
    }
    let mut names: Vec<&str> = COVERED.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), cases.len(), "cases that the table does not name, or names twice");
    assert_eq!(COVERED.iter().filter(|(_, place)| matches!(place, Here(_))).count(), 46);
}
