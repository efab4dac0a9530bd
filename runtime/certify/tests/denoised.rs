//! A denoiser before a classifier. Oracle: the same composition written as one classifier, draw for draw.

mod common;

use common::{Model, job, noise, sigma, subject};
use selvedge_certify::{
    Alpha, CertSpec, Certifier, Classify, Decision, Denoise, Denoised, DenoisedError, Request, Rule, Step, StepError,
    Terms, denoised_name,
};
use selvedge_noise::NoiseTable;
use std::convert::Infallible;

const LEN: usize = 150;

/// Moving averages of three, every second of them.
struct Smoother {
    input: Vec<i16>,
    output: Vec<i16>,
    batch: usize,
    fails: bool,
}

fn averages(input: &[i16]) -> Vec<i16> {
    let at = |i: usize| i32::from(input[i.min(input.len() - 1)]);
    (0..input.len()).step_by(2).map(|i| ((at(i) + at(i + 1) + at(i + 2)) / 3) as i16).collect()
}

impl Denoise for Smoother {
    type Error = &'static str;

    fn batch(&self) -> usize {
        self.batch
    }

    fn output_len(&self) -> usize {
        LEN / 2
    }

    fn write(&mut self, sample: usize, first: usize, codes: &[i16]) -> Result<(), Self::Error> {
        self.input[sample * LEN + first..][..codes.len()].copy_from_slice(codes);
        Ok(())
    }

    fn run(&mut self, samples: usize) -> Result<(), Self::Error> {
        let results = self.input.chunks(LEN).take(samples).flat_map(averages).collect();
        self.output = results;
        if self.fails { Err("out of order") } else { Ok(()) }
    }

    fn read(&self, sample: usize, first: usize, codes: &mut [i16]) -> Result<(), Self::Error> {
        codes.copy_from_slice(&self.output[sample * (LEN / 2) + first..][..codes.len()]);
        Ok(())
    }
}

fn smoother(batch: usize, fails: bool) -> Smoother {
    Smoother { input: vec![0; LEN * batch], output: Vec::new(), batch, fails }
}

/// Whether most averages are above 14.
fn judge(averages: &[i16]) -> usize {
    usize::from(averages.iter().filter(|&&v| v > 14).count() > averages.len() / 2)
}

fn decide<M: Classify>(model: &mut M) -> Result<(Decision, Vec<u32>), StepError<M::Error>> {
    let bytes = noise(sigma(16, 1));
    let table = NoiseTable::parse(&bytes).expect("valid");
    let request = Request { rule: Rule::Fixed, sigma: sigma(16, 1), selection: 20, samples: 500, target_r2: None };
    let spec = CertSpec::new(Alpha::ratio(1, 1000).expect("a probability"), request).expect("answerable");
    let input: Vec<i16> = (0..LEN as i16).map(|i| 10 + i % 12).collect();
    let terms = Terms::new(&spec, subject(&input, 2), &table).expect("fits");
    let job = job(&terms, 1);
    let mut run = Certifier::<2>::new(&job).expect("fits");
    loop {
        if let Step::Done(decision) = run.step(model, 64)? {
            return Ok((decision, run.estimate().as_slice().to_vec()));
        }
    }
}

#[test]
fn the_composition_is_counted_as_one_classifier_whatever_the_batches() {
    let one = decide(&mut Model::new(LEN, 1, |v: &[i16]| judge(&averages(v)))).expect("runs");
    println!("{one:?}");
    assert!(one.1.iter().all(|&count| count > 20), "{one:?}");
    for (denoiser, classifier) in [(1, 1), (4, 2), (3, 8)] {
        let mut both = Denoised::new(smoother(denoiser, false), Model::new(LEN / 2, classifier, judge));
        assert_eq!(both.batch(), denoiser.min(classifier));
        assert_eq!(decide(&mut both).expect("runs"), one);
        assert_eq!(both.classifier().dimensions, LEN / 2);
        assert!(both.into_parts().1.runs > 500);
    }
}

#[test]
fn errors_name_the_part_and_names_depend_on_both() {
    let mut broken = Denoised::new(smoother(1, true), Model::new(LEN / 2, 1, judge));
    let error = decide(&mut broken).expect_err("fails");
    let part: DenoisedError<&str, Infallible> = DenoisedError::Denoiser("out of order");
    assert_eq!(error, StepError::Model(part));
    assert_eq!(error.to_string(), "denoiser: out of order");
    assert_eq!(DenoisedError::<&str, &str>::Classifier("no").to_string(), "classifier: no");
    let (a, b) = ([1; 32], [2; 32]);
    assert!(denoised_name(&a, &b) != denoised_name(&b, &a) && denoised_name(&a, &b) != denoised_name(&a, &a));
}
