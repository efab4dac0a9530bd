//! Schedules, samplers and guidance, f64 at 1e-12.

use crate::support::{Case, case, narrow, same, wide};
use selvedge_denoise::sampler::*;
use selvedge_denoise::*;

/// β from 1e-4 to 0.06 in 100 steps.
const LINEAR: Betas = Betas::Linear { start: 1e-4, end: 0.06 };
const STEPS: [usize; 6] = [0, 1, 10, 50, 70, 99];

fn linear(buffer: &mut [f64; 100]) -> Schedule<'_> {
    Schedule::build(LINEAR, buffer).expect("falls")
}

fn scaled_linear(buffer: &mut [f64; 1000]) -> Schedule<'_> {
    Schedule::build(Betas::ScaledLinear { start: 0.00085, end: 0.012 }, buffer).expect("falls")
}

#[test]
fn schedules_and_posteriors_are_the_reference_ones() {
    let Some(case) = case("ddpm_schedule") else { return };
    assert_eq!(case.steps("inputs.t"), STEPS);
    let mut buffer = [0.0; 100];
    let schedule = linear(&mut buffer);
    let all = |f: &dyn Fn(usize) -> f64| STEPS.map(f);
    let posterior = |t| schedule.posterior(t).expect("a step");
    case.same("expected.alpha_bar", &all(&|t| schedule.alpha_bar(t).expect("a step")), 1e-12);
    case.same("expected.posterior_var", &all(&|t| posterior(t).variance), 1e-12);
    case.same("expected.coef_x0", &all(&|t| posterior(t).clean), 1e-12);
    case.same("expected.coef_xt", &all(&|t| posterior(t).noisy), 1e-12);
    case.same("expected.log_posterior_var_clipped", &all(&|t| posterior(t).log_variance()), 1e-12);
}

#[test]
fn betas_of_cosine_and_scaled_linear_schedules_are_the_reference_ones() {
    let Some(case) = case("beta_schedules") else { return };
    let cosine = STEPS.map(|t| Betas::Cosine { cap: 0.999 }.beta(t, 100));
    // 1 − a quotient near 1 in both: 1e-12 of 1.
    for path in ["expected.cosine_diffsinger_T100", "expected.squaredcos_cap_v2_T100"] {
        case.list(path).iter().zip(cosine).for_each(|(e, f)| assert!((e - f).abs() < 1e-12, "{path}: {e} {f}"));
    }
    let scaled = Betas::ScaledLinear { start: 0.00085, end: 0.012 };
    case.same("expected.scaled_linear_1000", &[0, 1, 10, 50, 500, 999].map(|t| scaled.beta(t, 1000)), 1e-12);
    let mut buffer = [0.0; 1000];
    let last = scaled_linear(&mut buffer).alpha_bar(999).expect("the last");
    same(&[case.number("expected.scaled_linear_alpha_bar_999")], &[last], 1e-12, "the last");
}

#[test]
fn a_step_of_ancestral_sampling_is_the_reference_one_from_every_kind_of_prediction() {
    let Some(case) = case("ddpm_step") else { return };
    let mut buffer = [0.0; 100];
    let schedule = linear(&mut buffer);
    let mut x_t = case.list("inputs.x0");
    schedule.add_noise(50, &mut x_t, Noise::Given(&case.list("inputs.noise"))).expect("fits");
    case.same("inputs.x_t", &x_t, 1e-12);
    let level = schedule.level(50).expect("a step");
    let z = case.list("inputs.z");
    for kind in [Prediction::Noise, Prediction::Clean, Prediction::Velocity, Prediction::Score, Prediction::Residual] {
        let mut prediction = case.list("inputs.eps_pred");
        level.convert(Prediction::Noise, kind, &x_t, &mut prediction).expect("fits");
        match kind {
            Prediction::Clean => case.same("expected.x0_pred", &prediction, 1e-12),
            Prediction::Velocity => case.same("expected.v_pred", &prediction, 1e-12),
            _ => {}
        }
        let (mut mean, mut x) = (x_t.clone(), x_t.clone());
        let clip = Some((-1.0, 1.0));
        ancestral_update(&schedule, 50, kind, clip, &mut mean, &prediction, Noise::Off).expect("fits");
        case.same("expected.mean", &mean, 1e-12);
        ancestral_update(&schedule, 50, kind, clip, &mut x, &prediction, Noise::Given(&z)).expect("fits");
        case.same("expected.x_prev", &x, 1e-12);
        let mut x = narrow(&x_t);
        let (prediction, z) = (narrow(&prediction), narrow(&z));
        ancestral_update(&schedule, 50, kind, clip, &mut x, &prediction, Noise::Given(&z)).expect("fits");
        case.same("expected.x_prev", &wide(&x), 2e-6);
    }
}

#[test]
fn steps_of_ddim_are_the_reference_ones() {
    let Some(case) = case("ddim_step") else { return };
    let mut buffer = [0.0; 100];
    let schedule = linear(&mut buffer);
    let (prediction, z) = (case.list("inputs.eps_pred"), case.list("inputs.z"));
    for (eta, to, path) in [
        (0.0, (50, Some(40)), "expected.eta0"),
        (0.5, (50, Some(40)), "expected.eta0.5"),
        (1.0, (50, Some(40)), "expected.eta1"),
        (0.0, (9, None), "expected.to_zero"),
    ] {
        let mut x = case.list("inputs.x_t");
        let noise = Noise::Given(&z[..]);
        ddim_update(&schedule, to, Prediction::Noise, eta, &mut x, &prediction, noise).expect("fits");
        let expected: Vec<f64> = match path {
            // The key has a dot of its own.
            "expected.eta0.5" => crate::support::flat(&case.value("expected")["eta0.5"]),
            path => case.list(path),
        };
        same(&expected, &x, 1e-12, path);
    }
}

/// The exact noise prediction for normal data.
fn toy<'s>(case: &Case, schedule: Schedule<'s>) -> impl ScoreModel<f64, Error = DenoiseError> + use<'s> {
    let (mean, variance) = (case.number("params.data_mean"), case.number("params.data_var"));
    FromFn::new(Prediction::Noise, move |x: &[f64], step: f64, out: &mut [f64]| {
        let a = schedule.alpha_bar(step as usize)?;
        let scale = (1.0 - a).sqrt() / (a * variance + 1.0 - a);
        out.iter_mut().zip(x).for_each(|(out, x)| *out = scale * (x - a.sqrt() * mean));
        Ok(())
    })
}

#[test]
fn all_samplers_end_where_the_reference_does_from_a_shallow_start() {
    let Some(case) = case("shallow_diffusion_toy") else { return };
    let mut buffer = [0.0; 100];
    let schedule = linear(&mut buffer);
    let k = case.integer("params.k");
    let mut start = case.list("inputs.coarse");
    schedule.add_noise(k - 1, &mut start, Noise::Given(&case.list("inputs.start_noise"))).expect("fits");
    case.same("expected.x_k", &start, 1e-12);

    let (mut x, mut scratch) = (start.clone(), vec![0.0; 4]);
    let mut run = Ddim::new(schedule, k, 1, 0.0).expect("a start");
    assert_eq!((run.next_step(), run.runs_left()), (Some(k - 1), k));
    while run.next_step().is_some() {
        run.step(&mut toy(&case, schedule), &mut x, &mut scratch, Noise::Off).expect("runs");
    }
    case.same("expected.ddim_all_steps", &x, 1e-12);
    assert!(run.step(&mut toy(&case, schedule), &mut x, &mut scratch, Noise::Off).is_err(), "it is over");

    // The same through a model of another kind.
    let (mut x, mut run) = (start.clone(), Ddim::new(schedule, k, 1, 0.0).expect("a start"));
    while run.next_step().is_some() {
        let mut model = Convert::new(toy(&case, schedule), schedule, Prediction::Velocity);
        run.step(&mut model, &mut x, &mut scratch, Noise::Off).expect("runs");
    }
    case.same("expected.ddim_all_steps", &x, 1e-11);

    let (mut x, mut history, mut runs) = (start.clone(), vec![f64::NAN; Plms::history_len(4)], 0);
    let mut run = Plms::new(schedule, k, case.integer("params.plms_interval")).expect("a start");
    while run.next_step().is_some() {
        let mut inner = toy(&case, schedule);
        let mut model = FromFn::new(Prediction::Noise, |x: &[f64], step: f64, out: &mut [f64]| {
            runs += 1;
            inner.predict(x, step, out)
        });
        run.step(&mut model, &mut x, &mut history).expect("runs");
    }
    case.same("expected.plms", &x, 1e-12);
    assert_eq!(runs, 7, "six steps and one more run for the first");
    // Closer to the exact flow than DDIM with all steps.
    let worst = x.iter().zip(case.list("expected.ddim_closed_form")).fold(0.0f64, |w, (x, e)| w.max((x - e).abs()));
    assert!(worst < 1.1e-3, "{worst}");

    let noise = case.rows("inputs.ancestral_noise_by_t");
    let (mut x, mut run) = (start, Ancestral::new(schedule, k).expect("a start"));
    while let Some(step) = run.next_step() {
        run.step(&mut toy(&case, schedule), &mut x, &mut scratch, Noise::Given(&noise[step])).expect("runs");
    }
    case.same("expected.ancestral_no_clip", &x, 1e-12);
}

#[test]
fn boundaries_of_shallow_starts_are_the_reference_ones() {
    let Some(case) = case("shallow_boundary_kl") else { return };
    let mut buffer = [0.0; 100];
    let schedule = linear(&mut buffer);
    let (coarse, truth) = (case.list("inputs.coarse"), case.list("inputs.truth"));
    let residual = coarse.iter().zip(&truth).map(|(a, b)| (a - b) * (a - b)).sum::<f64>();
    let found = STEPS.map(|t| boundary_kl(&schedule, t, residual).expect("a step"));
    case.same("expected.kl_at", &found, 1e-12);
    let terminal = terminal_kl(&schedule, truth.iter().map(|x| x * x).sum(), 4).expect("finite");
    same(&[case.number("expected.kl_terminal")], &[terminal], 1e-12, "terminal");
    for (limit, path) in [
        (terminal, "expected.first_t_kl_le_terminal"),
        (0.05, "expected.first_t_kl_le_0_05"),
        (0.01, "expected.first_t_kl_le_0_01"),
    ] {
        assert_eq!(first_step_below(&schedule, residual, limit), Ok(Some(case.integer(path))));
    }
    assert_eq!(first_step_below(&schedule, residual, 1e-9), Ok(None));
    assert_eq!(first_step_below(&schedule, 0.0, 0.0), Ok(Some(0)));
}

#[test]
fn consistency_coefficients_and_karras_grids_are_the_reference_ones() {
    let Some(case) = case("cm_coefficients") else { return };
    let (low, high, rho) =
        (case.number("params.sigma_min"), case.number("params.sigma_max"), case.number("params.rho"));
    let model = Consistency::new(case.number("params.sigma_data"), low).expect("above 0");
    let found: Vec<Boundary> =
        case.list("inputs.sigma").iter().map(|&sigma| model.boundary(sigma).expect("above the least")).collect();
    let each = |f: fn(&Boundary) -> f64| found.iter().map(f).collect::<Vec<f64>>();
    case.same("expected.c_skip", &each(|b| b.skip), 1e-12);
    case.same("expected.c_out", &each(|b| b.out), 1e-12);
    case.same("expected.c_in", &each(|b| b.input), 1e-12);
    case.same("expected.c_noise_quarter_log", &each(|b| b.noise), 1e-12);
    for n in [10, 18, 40] {
        let found: Vec<f64> = (0..n).map(|i| karras(i, n, low, high, rho).expect("a level")).collect();
        case.same(&format!("expected.karras_{n}"), &found, 1e-12);
    }
}

#[test]
fn multistep_consistency_sampling_follows_the_exact_consistency_function() {
    let Some(case) = case("cm_multistep_gaussian") else { return };
    let (mean, variance, least) =
        (case.number("params.data_mean"), case.number("params.data_var"), case.number("params.sigma_min"));
    let model = Consistency::new(0.5, least).expect("above 0");
    let exact = |x: f64, s: f64| mean + (x - mean) * ((variance + least * least) / (variance + s * s)).sqrt();
    let sigmas = case.list("params.sigmas");
    let mut run = Multistep::new(model, &sigmas).expect("falls");
    let (mut x, mut scratch, mut after) = (case.list("inputs.x_T"), vec![0.0; 8], vec![]);
    let noise = case.rows("inputs.z");
    let mut first = vec![];
    while let Some(sigma) = run.next_sigma() {
        let b = model.boundary(sigma).expect("a level");
        // The network that has this consistency function.
        let mut network = FromFn::new(Prediction::Clean, |input: &[f64], level: f64, out: &mut [f64]| {
            assert_eq!(level, b.noise);
            for (out, input) in out.iter_mut().zip(input) {
                let x = input / b.input;
                *out = (exact(x, sigma) - b.skip * x) / b.out;
            }
            if first.is_empty() {
                first = out.to_vec();
            }
            Ok::<(), ()>(())
        });
        let z = noise.get(after.len().wrapping_sub(1)).map_or(Noise::Off, |z| Noise::Given(z));
        run.step(&mut network, &mut x, &mut scratch, z).expect("runs");
        after.push(x.clone());
    }
    case.same("expected.F_net_at_80", &first, 1e-12);
    case.same("expected.recompose", &after[0], 1e-12);
    case.same("expected.after_each", &after.concat(), 1e-12);
}

#[test]
fn latent_consistency_has_the_reference_boundary_steps_and_grid() {
    let Some(boundary_case) = case("lcm_boundary") else { return };
    let mut buffer = [0.0; 1000];
    let schedule = scaled_linear(&mut buffer);
    let boundary =
        LatentBoundary::new(boundary_case.number("params.sigma_data"), boundary_case.number("params.timestep_scaling"))
            .expect("above 0");
    let steps = boundary_case.steps("inputs.t");
    let skip: Vec<f64> = steps.iter().map(|&t| boundary.coefficients(t).0).collect();
    // From 2.5e-9 to 1: each on its own scale.
    boundary_case.list("expected.c_skip").iter().zip(&skip).for_each(|(e, f)| same(&[*e], &[*f], 1e-12, "c_skip"));
    boundary_case.same("expected.c_out", &steps.iter().map(|&t| boundary.coefficients(t).1).collect::<Vec<_>>(), 1e-12);
    let alpha_bar: Vec<f64> = steps.iter().map(|&t| schedule.alpha_bar(t).expect("a step")).collect();
    boundary_case.same("expected.alpha_bar_scaled_linear", &alpha_bar, 1e-12);
    let grid: Vec<usize> = (0..4).map(|i| scaled_step(i, 4, 50, 1000).expect("a step")).collect();
    assert_eq!(grid, steps[..4]);

    let case = case("lcm_step").expect("the same file");
    let (prediction, z) = (case.list("inputs.eps_pred"), case.list("inputs.z"));
    for (to, path) in [(None, "expected.denoised"), (Some(499), "expected.x_prev")] {
        let mut x = case.list("inputs.x");
        let noise = Noise::Given(&z[..]);
        latent_update(&schedule, &boundary, (999, to), Prediction::Noise, &mut x, &prediction, noise).expect("fits");
        case.same(path, &x, 1e-12);
    }
    // A run asks for the grid's steps, and its last step leaves a clean signal: exact data give themselves.
    let mut run = Latent::new(schedule, boundary, 50, 4).expect("a grid");
    let (mut asked, mut x) = (vec![], vec![0.3; 3]);
    let mut model = FromFn::new(Prediction::Clean, |_: &[f64], step: f64, out: &mut [f64]| {
        asked.push(step as usize);
        out.fill(0.25);
        Ok::<(), ()>(())
    });
    while run.next_step().is_some() {
        run.step(&mut model, &mut x, &mut [0.0; 3], Noise::Off).expect("runs");
    }
    assert_eq!(asked, grid);
    same(&[0.25; 3], &x, 1e-7, "the last step");
}

#[test]
fn both_forms_of_projected_guidance_are_the_reference_ones() {
    let Some(case) = case("apg") else { return };
    let (conditional, unconditional) = (case.rows("inputs.cond"), case.rows("inputs.uncond"));
    let settings = GuidanceSettings {
        scale: case.number("params.w"),
        parallel: case.number("params.eta"),
        radius: case.number("params.r"),
        momentum: case.number("params.momentum"),
        form: Form::FromConditional,
    };
    let run = |settings: GuidanceSettings| {
        let mut guidance = Guidance::new(settings).expect("in range");
        // What lies in the buffer at the start does not count.
        let (mut momentum, mut out, mut updates) = (vec![f64::NAN; 6], vec![], vec![]);
        for (i, (c, u)) in conditional.iter().zip(&unconditional).enumerate() {
            let mut guided = vec![0.0; 6];
            updates.push(guidance.guide(3.0 - i as f64, c, u, &mut momentum, &mut guided).expect("fits"));
            out.extend(guided);
        }
        (out, updates)
    };
    let (paper, updates) = run(settings);
    case.same("expected.paper_form", &paper, 1e-12);
    case.same("expected.norm_parallel", &updates.iter().map(|u| u.parallel).collect::<Vec<_>>(), 1e-12);
    case.same("expected.norm_orthogonal", &updates.iter().map(|u| u.orthogonal).collect::<Vec<_>>(), 1e-12);
    let (other, _) = run(GuidanceSettings { form: Form::FromUnconditional, ..settings });
    case.same("expected.diffusers_form", &other, 1e-12);
    let plain = GuidanceSettings { parallel: 1.0, radius: 0.0, momentum: 0.0, ..settings };
    case.same("expected.cfg_limit_eta1", &run(plain).0, 1e-12);
    case.same("expected.cfg_limit_eta1", &run(GuidanceSettings { form: Form::FromUnconditional, ..plain }).0, 1e-12);
    // A level that rises, or a reset, starts anew.
    let mut guidance = Guidance::new(settings).expect("in range");
    let (mut momentum, mut fresh, mut again) = (vec![0.0; 6], vec![0.0; 6], vec![0.0; 6]);
    guidance.guide(2.0, &conditional[0], &unconditional[0], &mut momentum, &mut fresh).expect("fits");
    guidance.guide(1.0, &conditional[1], &unconditional[1], &mut momentum, &mut again).expect("fits");
    guidance.guide(2.0, &conditional[0], &unconditional[0], &mut momentum, &mut again).expect("fits");
    assert_eq!(fresh, again);
    guidance.reset();
    guidance.guide(1.0, &conditional[0], &unconditional[0], &mut momentum, &mut again).expect("fits");
    assert_eq!(fresh, again);
}
