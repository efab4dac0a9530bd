//! A session as the classifier that randomized smoothing smooths.

use selvedge_certify::{Classify, Evaluate, Scores};
use selvedge_core::{DType, Error, ErrorKind};
use selvedge_exec::Session;

/// What the codes of an input stand for in the model's input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum CodeMap {
    /// Codes of an int8 or uint8 input after this is added, saturated at the ends of its range.
    Codes {
        /// 0; −128 where codes of 0 to 255 go into an int8 input.
        offset: i16,
    },
    /// Real numbers of an f32 input: code / `per_unit`, one division in f32, not saturated.
    Real {
        /// Codes from 0 to 1.
        per_unit: f32,
    },
}

/// A session with one input and, as its first output, a score a class: what is certified is the program as it runs
/// here, its saturation and its quantization included.
///
/// ```
/// use selvedge::certify::{Alpha, CertSpec, Certifier, Clean, Decision, Grid, Job, Request, Rule, Step, Subject, Terms};
/// use selvedge::certify::shipped;
/// use selvedge::noise::NoiseTable;
/// use selvedge::{CodeMap, Session, SessionClassifier};
///
/// /// The squared radius in which the smoothed class of a picture cannot change.
/// fn certify(session: &mut Session<'_>, model: [u8; 32], pixels: &[u8], table: &[u8], nonce: [u8; 32]) -> Option<u64> {
///     let table = NoiseTable::parse(table).ok()?;
///     let rule = Rule::Sequential(shipped(4)?); // one sigma
///     let request = Request { rule, sigma: table.sigma(), selection: 32, samples: 10_000, target_r2: None };
///     let spec = CertSpec::new(Alpha::ratio(1, 1000).ok()?, request).ok()?;
///     let grid = Grid { low: 0, high: 255, scale: 1.0 / 255.0, zero: 0 };
///     let subject = Subject { model, classes: 10, input: Clean::U8(pixels), grid };
///     let terms = Terms::new(&spec, subject, &table).ok()?;
///     let job = Job::new(&terms, nonce);
///     let mut run = Certifier::<10>::new(&job).ok()?;
///     let mut model = SessionClassifier::new(session, CodeMap::Codes { offset: -128 }).ok()?;
///     loop {
///         match run.step(&mut model, 1).ok()? { // a draw, between other work
///             Step::Progress(_) => {}
///             Step::Done(Decision::Certified { r2, .. }) => return Some(r2),
///             Step::Done(_) => return None,
///         }
///     }
/// }
/// ```
pub struct SessionClassifier<'s, 'a> {
    session: &'s mut Session<'a>,
    map: CodeMap,
    batch: usize,
}

impl<'s, 'a> SessionClassifier<'s, 'a> {
    /// Of a session whose first input takes what `map` gives.
    ///
    /// # Errors
    /// [`ErrorKind::WrongType`] for an input of another type, or a `per_unit` that is not above 0.
    pub fn new(session: &'s mut Session<'a>, map: CodeMap) -> Result<Self, Error> {
        Self::batched(session, map, 1)
    }

    /// The same of a session that runs `batch` inputs at once, one behind the other in its input, as their scores are in
    /// its output. It has to give each the scores that it has alone; the compiler's `batched` makes such artifacts.
    ///
    /// # Errors
    /// Those of [`SessionClassifier::new`]; [`ErrorKind::WrongLength`] where input or output is no multiple of `batch`.
    pub fn batched(session: &'s mut Session<'a>, map: CodeMap, batch: usize) -> Result<Self, Error> {
        let input = session.input(0)?;
        let fits = match (map, input.dtype()) {
            (CodeMap::Codes { .. }, DType::I8 | DType::U8) => true,
            (CodeMap::Real { per_unit }, DType::F32) => per_unit > 0.0 && per_unit.is_finite(),
            _ => false,
        };
        if !fits {
            return Err(ErrorKind::WrongType.into());
        }
        let elements = input.elements();
        let scores = session.output(0)?.elements();
        if batch == 0 || !elements.is_multiple_of(batch) || !scores.is_multiple_of(batch) {
            return Err(Error::new(ErrorKind::WrongLength).with(elements));
        }
        Ok(SessionClassifier { session, map, batch })
    }

    pub(crate) fn session(&self) -> &Session<'a> {
        self.session
    }
}

/// f32 scores of one are this many integer ones.
const SCORE_STEPS: f32 = 65_536.0;

impl SessionClassifier<'_, '_> {
    fn put(&mut self, sample: usize, first: usize, codes: &[i16]) -> Result<(), Error> {
        let input = self.session.input(0)?;
        let (dtype, elements) = (input.dtype(), input.elements());
        let each = elements / self.batch;
        let wrong = Error::new(ErrorKind::WrongLength).with(elements);
        let end = first.checked_add(codes.len()).filter(|&end| end <= each && sample < self.batch).ok_or(wrong)?;
        let size = if dtype == DType::F32 { 4 } else { 1 };
        let range = (sample * each + first) * size..(sample * each + end) * size;
        let bytes = input.into_bytes().get_mut(range).ok_or(wrong)?;
        match self.map {
            CodeMap::Codes { offset } => {
                let clamp = |code: i16| match dtype {
                    DType::U8 => code.saturating_add(offset).clamp(0, 255) as u8,
                    _ => code.saturating_add(offset).clamp(-128, 127) as i8 as u8,
                };
                bytes.iter_mut().zip(codes).for_each(|(to, &code)| *to = clamp(code));
            }
            CodeMap::Real { per_unit } => {
                for (to, &code) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(codes) {
                    *to = (f32::from(code) / per_unit).to_le_bytes();
                }
            }
        }
        Ok(())
    }

    fn go(&mut self, samples: usize) -> Result<(), Error> {
        if samples < self.batch {
            // What the last run left there need not be numbers.
            let input = self.session.input(0)?.into_bytes();
            let each = input.len() / self.batch;
            input.iter_mut().skip(samples * each).for_each(|byte| *byte = 0);
        }
        self.session.run()
    }

    /// Element `index` of a result as an integer: codes as they are, real numbers in steps of 2^−16 (NaN: 0).
    fn integer(&self, sample: usize, index: usize) -> Option<i32> {
        let output = self.session.output(0).ok()?;
        let each = output.elements() / self.batch;
        let at = sample.checked_mul(each)?.checked_add(index).filter(|_| index < each)?;
        match output.dtype() {
            DType::I8 => output.as_i8().ok()?.get(at).map(|&x| x.into()),
            DType::U8 => output.as_u8().ok()?.get(at).map(|&x| x.into()),
            DType::I32 => output.as_i32().ok()?.get(at).copied(),
            DType::F32 => output.as_f32().ok()?.get(at).map(|&x| (x * SCORE_STEPS) as i32),
            _ => None,
        }
    }
}

impl Classify for SessionClassifier<'_, '_> {
    type Error = Error;

    fn batch(&self) -> usize {
        self.batch
    }

    fn write(&mut self, sample: usize, first: usize, codes: &[i16]) -> Result<(), Error> {
        self.put(sample, first, codes)
    }

    fn run(&mut self, samples: usize) -> Result<(), Error> {
        self.go(samples)
    }

    fn class(&self, sample: usize) -> usize {
        let Ok(scores) = self.session.output(0) else { return usize::MAX };
        let each = scores.elements() / self.batch;
        scores.argmax_of(sample * each, each)
    }
}

/// Scores are codes of an integer output; of an f32 output steps of 2^−16, so that `Simplex::Softmax` with a unit of 65536
/// is the softmax of logits.
impl Scores for SessionClassifier<'_, '_> {
    fn scores(&self, sample: usize, scores: &mut [i32]) -> Result<(), Error> {
        let each = self.session.output(0)?.elements() / self.batch;
        if scores.len() != each {
            return Err(Error::new(ErrorKind::WrongLength).with(each));
        }
        for (index, score) in scores.iter_mut().enumerate() {
            *score = self.integer(sample, index).ok_or(Error::from(ErrorKind::WrongType))?;
        }
        Ok(())
    }
}

/// Outputs like scores: codes, or steps of 2^−16.
impl Evaluate for SessionClassifier<'_, '_> {
    type Error = Error;

    fn batch(&self) -> usize {
        self.batch
    }

    fn write(&mut self, sample: usize, first: usize, codes: &[i16]) -> Result<(), Error> {
        self.put(sample, first, codes)
    }

    fn run(&mut self, samples: usize) -> Result<(), Error> {
        self.go(samples)
    }

    fn output(&self, sample: usize, index: usize) -> i32 {
        self.integer(sample, index).unwrap_or(i32::MIN)
    }
}
