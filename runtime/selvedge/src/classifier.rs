//! A session as the classifier that randomized smoothing smooths.

use selvedge_certify::Classifier;
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
/// use selvedge::certify::{Alpha, Certifier, Identity, Input, Plan, Rule};
/// use selvedge::noise::NoiseTable;
/// use selvedge::{CodeMap, Error, Session, SessionClassifier};
///
/// fn certify(session: &mut Session<'_>, pixels: &[u8], table: &[u8], id: &Identity) -> Option<u64> {
///     let table = NoiseTable::parse(table).ok()?;
///     let rule = Rule::Fixed { n: 1000 };
///     let plan = Plan::new(&table, pixels.len(), 10, 100, rule, Alpha::new(0.001)?).ok()?;
///     let mut certifier = Certifier::<10>::new(&plan, Input::U8(pixels), id).ok()?;
///     let mut model = SessionClassifier::new(session, CodeMap::Codes { offset: -128 }).ok()?;
///     while certifier.decision().is_none() {
///         certifier.step(&mut model, Input::U8(pixels), 1).ok()?; // between other work
///     }
///     match certifier.decision()? {
///         selvedge::certify::Decision::Certified { radius_squared, .. } => Some(radius_squared),
///         _ => None,
///     }
/// }
/// ```
pub struct SessionClassifier<'s, 'a> {
    session: &'s mut Session<'a>,
    map: CodeMap,
}

impl<'s, 'a> SessionClassifier<'s, 'a> {
    /// Of a session whose first input takes what `map` gives.
    ///
    /// # Errors
    /// [`ErrorKind::WrongType`] for an input of another type, or a `per_unit` that is not above 0.
    pub fn new(session: &'s mut Session<'a>, map: CodeMap) -> Result<Self, Error> {
        let fits = match (map, session.input(0)?.dtype()) {
            (CodeMap::Codes { .. }, DType::I8 | DType::U8) => true,
            (CodeMap::Real { per_unit }, DType::F32) => per_unit > 0.0 && per_unit.is_finite(),
            _ => false,
        };
        if fits { Ok(SessionClassifier { session, map }) } else { Err(ErrorKind::WrongType.into()) }
    }
}

impl Classifier for SessionClassifier<'_, '_> {
    type Error = Error;

    fn write(&mut self, first: usize, codes: &[i16]) -> Result<(), Error> {
        let input = self.session.input(0)?;
        let (dtype, elements) = (input.dtype(), input.elements());
        let too_long = || Error::new(ErrorKind::WrongLength).with(elements);
        let size = if dtype == DType::F32 { 4 } else { 1 };
        let range = first.saturating_mul(size)..(first + codes.len()).saturating_mul(size);
        let bytes = input.into_bytes().get_mut(range).ok_or_else(too_long)?;
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

    fn classify(&mut self) -> Result<usize, Error> {
        self.session.run()?;
        Ok(self.session.output(0)?.argmax())
    }
}
