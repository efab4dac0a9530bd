//! Oracles: the definitions (V·Λ·Vᵀ, T·C·T = C_t), conditioning of one large normal law, posterior variances.

use selvedge_denoise::state::*;
use selvedge_denoise::transport::*;
use selvedge_denoise::*;
use selvedge_noise::{Domain, NoiseKey};

fn noise(sample: u64, len: usize) -> Vec<f64> {
    NoiseKey::from_bytes([2; 32]).reals(Domain::Extension, sample, 0).take(len).collect()
}

fn times(a: &[f64], b: &[f64], n: usize) -> Vec<f64> {
    (0..n * n).map(|at| (0..n).map(|k| a[at / n * n + k] * b[k * n + at % n]).sum()).collect()
}

fn transposed(a: &[f64], n: usize) -> Vec<f64> {
    (0..n * n).map(|at| a[at % n * n + at / n]).collect()
}

/// A·Aᵀ of a random n × rank matrix.
fn positive(sample: u64, n: usize, rank: usize) -> Vec<f64> {
    let a = noise(sample, n * rank);
    (0..n * n).map(|at| (0..rank).map(|k| a[at / n * rank + k] * a[at % n * rank + k]).sum()).collect()
}

fn near(a: &[f64], b: &[f64], tolerance: f64, what: &str) {
    let largest = a.iter().fold(1e-300f64, |most, x| most.max(x.abs()));
    for (i, (a, b)) in a.iter().zip(b).enumerate() {
        assert!((a - b).abs() <= tolerance * largest, "{what}[{i}]: {a} {b}");
    }
}

#[test]
fn eigenvectors_are_orthonormal_and_give_the_matrix_back_on_all_sizes_and_ranks() {
    let diagonal = |values: &[f64]| -> Vec<f64> {
        let n = values.len();
        (0..n * n).map(|at| if at / n == at % n { values[at / n] } else { 0.0 }).collect()
    };
    let mut matrices: Vec<Vec<f64>> =
        [(1, 1), (2, 1), (3, 3), (10, 4), (36, 36), (36, 5)].map(|(n, rank)| positive(n as u64, n, rank)).to_vec();
    matrices.push(diagonal(&[1.0; 5]));
    matrices.push(diagonal(&[0.0; 4]));
    matrices.push(diagonal(&[1e300, 1e-300, -1e300]));
    matrices.push(vec![0.0, 1.0, 1.0, 0.0]);
    matrices.push(vec![1.0, 1e-20, 1e-20, 1.0]);
    matrices.push(positive(99, 6, 6).iter().map(|x| x * 1e-200).collect());
    for a in &matrices {
        let n = a.len().isqrt();
        let (mut values, mut vectors) = (a.clone(), vec![0.0; n * n]);
        eigen_symmetric(&mut values, &mut vectors, n).expect("converges");
        let lambda: Vec<f64> = (0..n).map(|i| values[i * n + i]).collect();
        let back = times(&times(&vectors, &diagonal(&lambda), n), &transposed(&vectors, n), n);
        near(a, &back, 1e-13 * n as f64, "V·Λ·Vᵀ");
        let unit = times(&transposed(&vectors, n), &vectors, n);
        near(&diagonal(&vec![1.0; n]), &unit, 1e-13 * n as f64, "VᵀV");
    }
}

#[test]
fn transport_of_patches_of_36_numbers_gives_the_target_law() {
    let n = 36;
    let (source, target) = (positive(1, n, 60), positive(2, n, 50));
    let (mut work, mut map) = (vec![0.0; 7 * n * n], vec![0.0; n * n]);
    transport_map(&source, &target, n, &mut work, &mut map).expect("positive definite");
    near(&target, &times(&times(&map, &source, n), &map, n), 1e-10, "T·C·T");
    near(&map, &transposed(&map, n), 1e-10, "symmetric");
    // A source that lacks 20 directions: the rest is noise.
    let poor = positive(3, n, 16);
    let mut extra = vec![0.0; n * n];
    sampling_map(&poor, &target, n, &mut work, &mut map, &mut extra).expect("a definite target");
    let mut law = times(&times(&map, &poor, n), &transposed(&map, n), n);
    law.iter_mut().zip(&extra).for_each(|(law, extra)| *law += extra);
    near(&target, &law, 1e-8, "T·C·Tᵀ + noise");
    // Equal laws: nothing to do, no distance.
    transport_map(&source, &source, n, &mut work, &mut map).expect("positive definite");
    let identity: Vec<f64> = (0..n * n).map(|at| f64::from(u8::from(at % (n + 1) == 0))).collect();
    near(&identity, &map, 1e-10, "identity");
    let mean = vec![0.5; n];
    let distance = wasserstein2_squared((&mean, &source), (&mean, &source), &mut work).expect("fits");
    assert!(distance.abs() < 1e-9, "{distance}");
}

#[test]
fn filter_and_smoother_of_two_states_are_the_conditional_law_of_all_states_at_once() {
    // Position and velocity, the position is observed; one observation is missing.
    let model = Kalman { transition: [[1.0, 0.5], [0.0, 0.9]], noise: [[0.1, 0.02], [0.02, 0.2]] };
    let sensor = Observation { matrix: [[1.0, 0.2]], noise: [[0.3]] };
    let prior = Gaussian { mean: [0.2, -0.1], covariance: [[1.0, 0.3], [0.3, 0.5]] };
    let observed = [Some(0.4), Some(-0.3), None, Some(1.2), Some(0.9)];
    let (mut predicted, mut filtered, mut likelihood) = (vec![prior], vec![], 0.0);
    for y in observed {
        let before = predicted[filtered.len()];
        filtered.push(match y {
            None => before,
            Some(y) => {
                likelihood += sensor.innovation(&before, &[y]).expect("positive").log_likelihood;
                sensor.update(&before, &[y]).expect("positive")
            }
        });
        predicted.push(model.predict(&filtered[filtered.len() - 1]).expect("finite"));
    }
    let mut smoothed = vec![filtered[4]];
    for t in (0..4).rev() {
        smoothed.insert(0, rts_step(&model, &filtered[t], &predicted[t + 1], &smoothed[0]).expect("positive").0);
    }
    // All ten numbers at once: means, and covariances Σ_{s,t} = F^{t−s}·Σ_{s,s} for s ≤ t.
    let (mut mean, mut cov) = (vec![0.0; 10], vec![0.0; 100]);
    let mut law = prior;
    for s in 0..5 {
        let mut block = law.covariance;
        for t in s..5 {
            for (i, j) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                cov[(2 * t + i) * 10 + 2 * s + j] = block[i][j];
                cov[(2 * s + j) * 10 + 2 * t + i] = block[i][j];
            }
            let f = &model.transition;
            block = [0, 1].map(|i| [0, 1].map(|j| f[i][0] * block[0][j] + f[i][1] * block[1][j]));
        }
        (mean[2 * s], mean[2 * s + 1]) = (law.mean[0], law.mean[1]);
        law = model.predict(&law).expect("finite");
    }
    let times: Vec<usize> = (0..5).filter(|&t| observed[t].is_some()).collect();
    let h = |row: &[f64], t: usize| row[2 * t] + 0.2 * row[2 * t + 1];
    // Cross covariances of all states with the observations, and the observations' own.
    let cross: Vec<Vec<f64>> = cov.chunks(10).map(|row| times.iter().map(|&t| h(row, t)).collect()).collect();
    let own: Vec<f64> = (0..16)
        .map(|at| {
            let (a, b) = (times[at / 4], at % 4);
            let sum = cross[2 * a][b] + 0.2 * cross[2 * a + 1][b];
            if at / 4 == b { sum + 0.3 } else { sum }
        })
        .collect();
    let residual: Vec<f64> = times.iter().map(|&t| observed[t].expect("observed") - h(&mean, t)).collect();
    let mut solved = residual.clone();
    let mut factor = own.clone();
    solve_positive(&mut factor, 4, &mut solved).expect("positive");
    let distance: f64 = residual.iter().zip(&solved).map(|(a, b)| a * b).sum();
    let log_det: f64 = (0..4).map(|i| 2.0 * factor[i * 5].ln()).sum();
    let exact = -0.5 * (distance + log_det + 4.0 * std::f64::consts::TAU.ln());
    assert!((likelihood - exact).abs() < 1e-12, "{likelihood} {exact}");
    for (t, state) in smoothed.iter().enumerate() {
        for i in 0..2 {
            let at = 2 * t + i;
            let expected = mean[at] + cross[at].iter().zip(&solved).map(|(c, s)| c * s).sum::<f64>();
            assert!((state.mean[i] - expected).abs() < 1e-12, "{t} {i}: {} {expected}", state.mean[i]);
            for j in 0..2 {
                let mut right = cross[2 * t + j].clone();
                solve_positive(&mut own.clone(), 4, &mut right).expect("positive");
                let less: f64 = cross[at].iter().zip(&right).map(|(c, s)| c * s).sum();
                let expected = cov[at * 10 + 2 * t + j] - less;
                assert!((state.covariance[i][j] - expected).abs() < 1e-12, "{t} {i} {j}");
            }
        }
    }
    // The filter's last law is the smoother's; f32 follows.
    let narrow = Observation { matrix: [[1.0f32, 0.2]], noise: [[0.3]] };
    let prior = Gaussian { mean: [0.2f32, -0.1], covariance: [[1.0, 0.3], [0.3, 0.5]] };
    let first = narrow.update(&prior, &[0.4]).expect("positive");
    assert!((f64::from(first.mean[0]) - filtered[0].mean[0]).abs() < 1e-6);
    // A gate: an observation far off has a large distance.
    assert!(sensor.innovation(&filtered[4], &[50.0]).expect("positive").distance > 100.0);
}

#[test]
fn the_best_linear_denoiser_reaches_the_posterior_variance() {
    // Oracle: the mean squared error of the posterior mean is the posterior variance, here by the trace.
    let n = 6;
    let covariance = positive(7, n, 6);
    let (mut values, mut vectors) = (covariance.clone(), vec![0.0; n * n]);
    eigen_symmetric(&mut values, &mut vectors, n).expect("converges");
    let lambda: Vec<f64> = (0..n).map(|i| values[i * (n + 1)].max(0.0)).collect();
    let mean = vec![0.3; n];
    let mut root = vec![0.0; n * n];
    sqrt_symmetric(&covariance, n, &mut vec![0.0; 2 * n * n], &mut root).expect("converges");
    let (sigma, draws) = (0.7, 20_000);
    let tweedie = Tweedie::new(Family::Gaussian { sigma }).expect("a law");
    let mut model = GaussianScore::new(&mean, &vectors, &lambda).expect("positive");
    let (mut error, mut before) = (0.0, 0.0);
    for draw in 0..draws {
        let z = noise(1000 + draw, 2 * n);
        let x: Vec<f64> = (0..n).map(|i| 0.3 + (0..n).map(|k| root[i * n + k] * z[k]).sum::<f64>()).collect();
        let y: Vec<f64> = x.iter().zip(&z[n..]).map(|(x, z)| x + sigma * z).collect();
        let mut out = vec![0.0; n];
        tweedie.denoise(&mut model, sigma, &y, &mut out, &mut []).expect("runs");
        error += out.iter().zip(&x).map(|(a, b)| (a - b) * (a - b)).sum::<f64>();
        before += y.iter().zip(&x).map(|(a, b)| (a - b) * (a - b)).sum::<f64>();
    }
    let (error, before) = (error / draws as f64, before / draws as f64);
    // σ²·(1 + σ²·r′) along each eigenvector, r′ = −1/(λ + σ²).
    let exact: f64 =
        lambda.iter().map(|l| posterior_variance(sigma, -1.0 / (l + sigma * sigma)).expect("finite")).sum();
    // Each error is a sum of squares: 5 standard errors.
    let deviation = exact * (2.0 / draws as f64).sqrt() * 5.0;
    assert!((error - exact).abs() < deviation, "{error}, exact {exact}");
    assert!(exact < 0.9 * before, "{exact} of {before}");
}
