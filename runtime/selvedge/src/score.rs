//! A session as the network of denoisers and samplers.

use selvedge_core::{DType, Error, ErrorKind};
use selvedge_denoise::{Prediction, ScoreModel};
use selvedge_exec::Session;

/// A session whose first input is the noisy signal and whose first output is the prediction, both as many elements in the
/// order of the tensors. Quantized inputs and outputs are converted; what denoisers add to the output (the signal, in
/// residual form) never is.
///
/// ```
/// use selvedge::denoise::{DenoiseError, Family, Prediction, StepError, Tweedie};
/// use selvedge::{Error, Session, SessionScore};
///
/// /// Denoises by a network that predicts what is to be added.
/// fn denoise(session: &mut Session<'_>, sigma: f32, y: &[f32], out: &mut [f32]) -> Result<(), StepError<Error>> {
///     let mut model = SessionScore::new(session, Prediction::Residual).map_err(StepError::Model)?;
///     let tweedie = Tweedie::new(Family::Gaussian { sigma: sigma.into() })?.clipped(0.0, 1.0)?;
///     tweedie.denoise(&mut model, sigma, y, out, &mut [])?;
///     Ok(())
/// }
/// ```
pub struct SessionScore<'s, 'a> {
    session: &'s mut Session<'a>,
    kind: Prediction,
    level: Option<usize>,
}

impl<'s, 'a> SessionScore<'s, 'a> {
    /// Of a session that predicts `kind` and asks for no level.
    ///
    /// # Errors
    /// [`ErrorKind::WrongLength`] where input and output have different numbers of elements; [`ErrorKind::WrongType`] for
    /// types that are no real numbers.
    pub fn new(session: &'s mut Session<'a>, kind: Prediction) -> Result<Self, Error> {
        let input = session.input(0)?;
        let (elements, dtype) = (input.elements(), input.dtype());
        let output = session.output(0)?;
        if output.elements() != elements {
            return Err(Error::new(ErrorKind::WrongLength).with(elements));
        }
        let real = |dtype| matches!(dtype, DType::F32 | DType::I8 | DType::U8);
        if !real(dtype) || !real(output.dtype()) {
            return Err(ErrorKind::WrongType.into());
        }
        Ok(SessionScore { session, kind, level: None })
    }

    /// Input `index` is filled with the level before every run: f32 of any size (one element, or a map), or one quantized
    /// element.
    ///
    /// # Errors
    /// [`ErrorKind::NoSuchIo`] for an input that does not exist, or the signal itself; [`ErrorKind::WrongType`] for
    /// another one.
    pub fn with_level(self, index: usize) -> Result<Self, Error> {
        if index == 0 {
            return Err(ErrorKind::NoSuchIo.into());
        }
        let input = self.session.input(index)?;
        let one = input.elements() == 1 && matches!(input.dtype(), DType::I8 | DType::U8);
        if input.dtype() != DType::F32 && !one {
            return Err(ErrorKind::WrongType.into());
        }
        Ok(SessionScore { level: Some(index), ..self })
    }
}

impl ScoreModel<f32> for SessionScore<'_, '_> {
    type Error = Error;

    fn prediction(&self) -> Prediction {
        self.kind
    }

    fn predict(&mut self, x: &[f32], level: f32, out: &mut [f32]) -> Result<(), Error> {
        let input = self.session.input(0)?;
        match input.dtype() {
            DType::F32 => input.copy_from_f32(x)?,
            _ => input.quantize_from_f32(x)?,
        }
        if let Some(index) = self.level {
            let input = self.session.input(index)?;
            match input.dtype() {
                DType::F32 => {
                    let numbers = input.into_bytes().as_chunks_mut::<4>().0;
                    numbers.iter_mut().for_each(|to| *to = level.to_le_bytes());
                }
                _ => input.quantize_from_f32(&[level])?,
            }
        }
        self.session.run()?;
        self.session.output(0)?.dequantize_into(out)
    }
}
