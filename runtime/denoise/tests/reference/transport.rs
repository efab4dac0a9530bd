//! Transport, moments and eigenvectors, at 1e-10 where an eigendecomposition takes part.

use crate::support::{case, same};
use selvedge_denoise::transport::*;
use selvedge_denoise::{eigen_symmetric, sqrt_symmetric};

fn times(a: &[f64], b: &[f64], n: usize) -> Vec<f64> {
    (0..n * n).map(|at| (0..n).map(|k| a[at / n * n + k] * b[k * n + at % n]).sum()).collect()
}

#[test]
fn maps_between_gaussians_are_the_reference_ones() {
    let Some(case) = case("dot_gaussian") else { return };
    let mut buffers = [[0.0; Moments::len(4)]; 4];
    let [a, b, c, d] = &mut buffers;
    // In two halves each, merged.
    let moments = |path: &str, first: &mut [f64], second: &mut [f64]| -> (Vec<f64>, Vec<f64>) {
        let rows = case.rows(path);
        let mut left = Moments::new(4, first).expect("room");
        let mut right = Moments::new(4, second).expect("room");
        rows.iter()
            .enumerate()
            .for_each(|(i, row)| if i < 13 { &mut left } else { &mut right }.push(row).expect("finite"));
        left.merge(&right).expect("same dimension");
        let mut covariance = vec![0.0; 16];
        left.covariance(&mut covariance).expect("40 rows");
        (left.mean().to_vec(), covariance)
    };
    let (source_mean, source) = moments("inputs.source", a, b);
    let (target_mean, target) = moments("inputs.target", c, d);
    case.same("expected.mean_s", &source_mean, 1e-12);
    case.same("expected.mean_t", &target_mean, 1e-12);
    case.same("expected.cov_s", &source, 1e-12);
    case.same("expected.cov_t", &target, 1e-12);
    let (mut work, mut map) = (vec![0.0; 6 * 16], vec![0.0; 16]);
    transport_map(&source, &target, 4, &mut work, &mut map).expect("positive definite");
    case.same("expected.T0", &map, 1e-10);
    case.same("expected.cov_t", &times(&times(&map, &source, 4), &map, 4), 1e-10);
    let distance = wasserstein2_squared((&source_mean, &source), (&target_mean, &target), &mut work).expect("fits");
    same(&[case.number("expected.w2_squared")], &[distance], 1e-10, "distance");
    for (alpha, path) in
        [(0.0, "expected.transported_alpha0"), (0.3, "expected.out_alpha0_3"), (1.0, "expected.out_alpha1")]
    {
        let mut found = vec![];
        for mut x in case.rows("inputs.x") {
            let mut moved = vec![0.0; 4];
            // One pixel of four channels is a patch of side 1.
            let latent = Latent::new(4, 1, 1, 1).expect("a shape");
            let means = (&source_mean[..], &target_mean[..]);
            transport_patches(latent, &map, means, &x, &mut moved, &mut [0.0; 8]).expect("fits");
            mix(alpha, &moved, &mut x).expect("fits");
            found.extend(x);
        }
        case.same(path, &found, 1e-10);
    }
}

#[test]
fn singular_sources_are_transported_with_noise_that_completes_the_target() {
    let Some(case) = case("dot_gaussian_singular_source") else { return };
    let (source, target) = (case.list("inputs.cov_s"), case.list("inputs.cov_t"));
    let (mut work, mut map, mut noise) = (vec![0.0; 7 * 16], vec![0.0; 16], vec![0.0; 16]);
    sampling_map(&source, &target, 4, &mut work, &mut map, &mut noise).expect("a definite target");
    // The reference takes roots of eigenvalues that are zero but for rounding, and is 1e-8 off by that. Exact values of the
    // first row are from mpmath with 50 digits.
    let near = |path: &str, found: &[f64]| {
        case.list(path).iter().zip(found).for_each(|(e, f)| assert!((e - f).abs() < 2e-8, "{path}: {f}, expected {e}"));
    };
    near("expected.T0", &map);
    near("expected.noise_cov", &noise);
    let exact = [1.886_460_007_043_970_7, -0.277_957_666_600_026_48, -1.201_712_246_821_958, -0.076_869_864_272_632_72];
    same(&exact, &map[..4], 1e-10, "first row");
    let transposed: Vec<f64> = (0..16).map(|at| map[at % 4 * 4 + at / 4]).collect();
    let mut law = times(&times(&map, &source, 4), &transposed, 4);
    law.iter_mut().zip(&noise).for_each(|(law, noise)| *law += noise);
    case.same("expected.check", &law, 1e-10);
    let mut factor = vec![0.0; 16];
    sqrt_symmetric(&noise, 4, &mut work, &mut factor).expect("symmetric");
    same(&noise, &times(&factor, &factor, 4), 1e-10, "noise from its root");
    assert!(transport_map(&source, &target, 4, &mut work, &mut map).is_err(), "the plain map needs an inverse");
}

#[test]
fn folded_patches_are_the_reference_and_one_convolution_in_the_interior() {
    let Some(case) = case("dot_patch_fold") else { return };
    let latent = Latent::new(2, 4, 5, 3).expect("a shape");
    let image = case.list("inputs.latent");
    let mut work = vec![0.0; 36];
    let mut out = vec![0.0; 40];
    let identity: Vec<f64> = (0..18 * 18).map(|at| f64::from(u8::from(at % 19 == 0))).collect();
    let zeros = [0.0; 18];
    transport_patches(latent, &identity, (&zeros, &zeros), &image, &mut out, &mut work).expect("fits");
    case.same("expected.identity_roundtrip", &out, 1e-12);
    let (map, source, target) = (case.list("inputs.matrix"), case.list("inputs.mean_s"), case.list("inputs.mean_t"));
    transport_patches(latent, &map, (&source, &target), &image, &mut out, &mut work).expect("fits");
    case.same("expected.transported", &out, 1e-12);
    let mut buffer = [0.0; Moments::len(18)];
    let mut moments = Moments::new(18, &mut buffer).expect("room");
    gather_statistics(latent, &image, &mut work, &mut moments).expect("fits");
    assert_eq!(moments.count() as usize, case.integer("expected.n_stat_patches"));
    // The convolution, replicated borders, against the explicit fold where all patches have a say.
    let (mut kernel, mut bias) = (vec![0.0; kernel_len(2, 3)], vec![0.0; 2]);
    fold_kernel(latent, &map, (&source, &target), &mut kernel, &mut bias).expect("fits");
    for (channel, row, column) in (0..2).flat_map(|c| (1..3).flat_map(move |i| (1..4).map(move |j| (c, i, j)))) {
        let mut sum = bias[channel];
        for (input, down, across) in
            (0..2usize).flat_map(|c| (0..5usize).flat_map(move |i| (0..5usize).map(move |j| (c, i, j))))
        {
            let (y, x) = ((row + down).saturating_sub(2).min(3), (column + across).saturating_sub(2).min(4));
            sum += kernel[((channel * 2 + input) * 5 + down) * 5 + across] * image[(input * 4 + y) * 5 + x];
        }
        let explicit = out[(channel * 4 + row) * 5 + column];
        assert!((sum - explicit).abs() < 1e-13, "{channel} {row} {column}: {sum} {explicit}");
    }
}

#[test]
fn moments_resume_and_merge_with_those_of_a_batch() {
    let Some(case) = case("streaming_moment_merge") else { return };
    // A variance of 1e-9 is added to every variance there.
    let (count, mean, variance) = (case.integer("inputs.count1"), case.list("inputs.mean1"), case.list("inputs.var1"));
    let n = count as f64;
    let covariance: Vec<f64> =
        (0..9).map(|at| if at % 4 == 0 { (variance[at / 4] - 1e-9) * n / (n - 1.0) } else { 0.0 }).collect();
    let (mut a, mut b) = ([0.0; Moments::len(3)], [0.0; Moments::len(3)]);
    let mut moments = Moments::resume(count as u64, &mean, &covariance, &mut a).expect("fits");
    let mut batch = Moments::new(3, &mut b).expect("room");
    case.rows("inputs.batch").iter().for_each(|row| batch.push(row).expect("finite"));
    moments.merge(&batch).expect("same dimension");
    case.same("expected.mean", moments.mean(), 1e-12);
    let found: Vec<f64> = (0..3).map(|i| moments.population_variance(i).expect("12 rows") + 1e-9).collect();
    case.same("expected.var", &found, 1e-12);
}

#[test]
fn the_principal_direction_of_gradients_is_the_top_eigenvector_of_their_products() {
    let Some(case) = case("principal_gradient") else { return };
    let rows = case.rows("inputs.client_grads");
    let mut products: Vec<f64> = (0..9).map(|at| rows.iter().map(|row| row[at / 3] * row[at % 3]).sum()).collect();
    let mut vectors = vec![0.0; 9];
    eigen_symmetric(&mut products, &mut vectors, 3).expect("symmetric");
    let top = (0..3).max_by(|&a, &b| products[a * 4].total_cmp(&products[b * 4])).expect("three");
    let mean = case.list("expected.mean");
    let mut direction: Vec<f64> = (0..3).map(|i| vectors[i * 3 + top]).collect();
    let along: f64 = direction.iter().zip(&mean).map(|(a, b)| a * b).sum();
    direction.iter_mut().for_each(|x| *x *= along.signum());
    case.same("expected.pc1", &direction, 1e-10);
    let projected: Vec<f64> = direction.iter().map(|x| x * along.abs()).collect();
    case.same("expected.projection_of_mean", &projected, 1e-10);
}
