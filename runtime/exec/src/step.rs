//! A step with what its op may ask about it: operands, parameters, arrays.

use core::ops::RangeInclusive;

use bytemuck::Pod;
use selvedge_core::artifact::{NO_OPERAND, Step, TensorView, step_flags};
use selvedge_core::{Artifact, DType, Error, ErrorKind};
use zerocopy::{FromBytes, Immutable, KnownLayout};

/// One step of an artifact. Every accessor is checked and gives an error at this step.
#[derive(Clone, Copy, Debug)]
pub struct StepCtx<'a> {
    artifact: &'a Artifact<'a>,
    step: Step<'a>,
    index: usize,
    /// The weights section from `base` on.
    weights: &'a [u8],
    base: usize,
}

impl<'a> StepCtx<'a> {
    /// Resolves step `index`.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfBounds`] at the step.
    pub fn new(artifact: &'a Artifact<'a>, index: usize) -> Result<Self, Error> {
        Self::with_weights(artifact, index, artifact.weights(), 0)
    }

    /// A step that sees only the weights from `base` on.
    pub(crate) fn with_weights(
        artifact: &'a Artifact<'a>,
        index: usize,
        weights: &'a [u8],
        base: usize,
    ) -> Result<Self, Error> {
        Ok(StepCtx { artifact, step: artifact.step(index)?, index, weights, base })
    }

    /// The artifact the step belongs to.
    pub fn artifact(&self) -> &'a Artifact<'a> {
        self.artifact
    }

    /// The step's record, operands and parameters.
    pub fn step(&self) -> &Step<'a> {
        &self.step
    }

    /// Position in the program.
    pub fn index(&self) -> usize {
        self.index
    }

    /// An error of this kind at this step.
    pub fn error(&self, kind: ErrorKind) -> Error {
        Error::new(kind).at_step(self.index).with(self.step.record.op as usize)
    }

    /// [`ErrorKind::BadStep`] at this step, with the op code.
    pub fn bad(&self) -> Error {
        self.error(ErrorKind::BadStep)
    }

    /// Fails with [`StepCtx::bad`] unless the condition holds.
    ///
    /// # Errors
    /// [`ErrorKind::BadStep`].
    pub fn require(&self, condition: bool) -> Result<(), Error> {
        if condition { Ok(()) } else { Err(self.bad()) }
    }

    /// Checks the number of operands.
    ///
    /// # Errors
    /// [`ErrorKind::BadStep`].
    pub fn counts(&self, inputs: RangeInclusive<usize>, outputs: usize) -> Result<(), Error> {
        self.require(inputs.contains(&self.step.inputs.len()) && self.step.outputs.len() == outputs)
    }

    /// Checks that no flag but these is set.
    ///
    /// # Errors
    /// [`ErrorKind::BadStep`].
    pub fn flags(&self, allowed: u16) -> Result<(), Error> {
        let flags = self.step.record.flags;
        let in_place = flags & step_flags::IN_PLACE != 0;
        self.require(flags & 0xff & !allowed == 0 && (in_place || flags >> 8 == 0))
    }

    /// Index of the input that output 0 lies on.
    pub fn in_place(&self) -> Option<usize> {
        step_flags::in_place_input(self.step.record.flags)
    }

    /// The tensor of an input that must be there.
    ///
    /// # Errors
    /// [`ErrorKind::BadStep`], [`ErrorKind::BadTensor`].
    pub fn input(&self, i: usize) -> Result<TensorView<'a>, Error> {
        self.operand(self.step.inputs, i, None)
    }

    /// No artifact has a tensor [`NO_OPERAND`].
    fn operand(&self, operands: &[u16], i: usize, dtype: Option<DType>) -> Result<TensorView<'a>, Error> {
        let tensor = operands.get(i).and_then(|&tensor| self.artifact.decode(tensor as usize));
        tensor.filter(|tensor| dtype.is_none_or(|dtype| tensor.dtype == dtype)).ok_or_else(|| self.bad())
    }

    /// The tensor of an input that may be left out.
    ///
    /// # Errors
    /// [`ErrorKind::BadTensor`].
    pub fn optional_input(&self, i: usize) -> Result<Option<TensorView<'a>>, Error> {
        match self.step.inputs.get(i) {
            None | Some(&NO_OPERAND) => Ok(None),
            Some(&tensor) => self.artifact.tensor(tensor as usize).map(Some),
        }
    }

    /// The tensor of an output.
    ///
    /// # Errors
    /// [`ErrorKind::BadStep`], [`ErrorKind::BadTensor`].
    pub fn output(&self, i: usize) -> Result<TensorView<'a>, Error> {
        self.operand(self.step.outputs, i, None)
    }

    /// An input of this element type.
    ///
    /// # Errors
    /// [`ErrorKind::BadStep`], [`ErrorKind::BadTensor`].
    pub fn input_of(&self, i: usize, dtype: DType) -> Result<TensorView<'a>, Error> {
        self.operand(self.step.inputs, i, Some(dtype))
    }

    /// An output of this element type.
    ///
    /// # Errors
    /// [`ErrorKind::BadStep`], [`ErrorKind::BadTensor`].
    pub fn output_of(&self, i: usize, dtype: DType) -> Result<TensorView<'a>, Error> {
        self.operand(self.step.outputs, i, Some(dtype))
    }

    /// Parameter struct at the front of the step's parameters.
    ///
    /// # Errors
    /// [`ErrorKind::BadStep`].
    pub fn params<P: FromBytes + Immutable + KnownLayout>(&self) -> Result<&'a P, Error> {
        self.params_at(0)
    }

    /// Parameter struct `offset` bytes into the step's parameters.
    ///
    /// # Errors
    /// [`ErrorKind::BadStep`].
    pub fn params_at<P: FromBytes + Immutable + KnownLayout>(&self, offset: usize) -> Result<&'a P, Error> {
        let bytes = self.step.params.get(offset..).and_then(|bytes| bytes.get(..size_of::<P>()));
        bytes.and_then(|bytes| P::ref_from_bytes(bytes).ok()).ok_or_else(|| self.bad())
    }

    /// `bytes` of the weights section, `start` bytes from its start; `None` where they reach out
    /// of what is in memory.
    pub fn weights(&self, start: usize, bytes: usize) -> Option<&'a [u8]> {
        self.weights.get(start.checked_sub(self.base)?..)?.get(..bytes)
    }

    /// `count` values of the weights section, `offset` bytes from its start.
    ///
    /// # Errors
    /// [`ErrorKind::BadStep`] where they reach out of the section or are misaligned.
    pub fn array<T: Pod>(&self, offset: u32, count: usize) -> Result<&'a [T], Error> {
        let bytes = self.weights(offset as usize, count.saturating_mul(size_of::<T>()));
        bytes.and_then(|bytes| bytemuck::try_cast_slice(bytes).ok()).ok_or_else(|| self.bad())
    }

    /// Bytes of scratch that the plan gives the step.
    pub fn scratch_bytes(&self) -> usize {
        self.step.record.scratch_bytes as usize
    }

    /// Checks that the plan gives the step at least this many bytes of scratch.
    ///
    /// # Errors
    /// [`ErrorKind::BadStep`].
    pub fn scratch(&self, bytes: usize) -> Result<(), Error> {
        self.require(self.scratch_bytes() >= bytes)
    }
}
