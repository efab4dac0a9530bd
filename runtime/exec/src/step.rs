//! A step with what its op may ask about it: operands, parameters, arrays.

use core::ops::RangeInclusive;

use bytemuck::Pod;
use selvedge_core::artifact::{NO_OPERAND, Step, TensorView, step_flags};
use selvedge_core::{Artifact, DType, Error, ErrorKind};
use zerocopy::{FromBytes, Immutable};

/// One step of an artifact. Every accessor is checked and gives an error at this step.
#[derive(Clone, Copy, Debug)]
pub struct StepCtx<'a> {
    artifact: &'a Artifact<'a>,
    step: Step<'a>,
    index: usize,
}

impl<'a> StepCtx<'a> {
    /// Resolves step `index`.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfBounds`] at the step.
    pub fn new(artifact: &'a Artifact<'a>, index: usize) -> Result<Self, Error> {
        Ok(StepCtx { artifact, step: artifact.step(index)?, index })
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
        self.optional_input(i)?.ok_or(self.bad())
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
        let tensor = self.step.outputs.get(i).ok_or(self.bad())?;
        self.artifact.tensor(*tensor as usize)
    }

    /// An input of this element type.
    ///
    /// # Errors
    /// [`ErrorKind::BadStep`], [`ErrorKind::BadTensor`].
    pub fn input_of(&self, i: usize, dtype: DType) -> Result<TensorView<'a>, Error> {
        let tensor = self.input(i)?;
        self.require(tensor.dtype == dtype)?;
        Ok(tensor)
    }

    /// An output of this element type.
    ///
    /// # Errors
    /// [`ErrorKind::BadStep`], [`ErrorKind::BadTensor`].
    pub fn output_of(&self, i: usize, dtype: DType) -> Result<TensorView<'a>, Error> {
        let tensor = self.output(i)?;
        self.require(tensor.dtype == dtype)?;
        Ok(tensor)
    }

    /// Parameter struct at the front of the step's parameters.
    ///
    /// # Errors
    /// [`ErrorKind::BadStep`].
    pub fn params<P: FromBytes + Immutable>(&self) -> Result<P, Error> {
        self.params_at(0)
    }

    /// Parameter struct `offset` bytes into the step's parameters.
    ///
    /// # Errors
    /// [`ErrorKind::BadStep`].
    pub fn params_at<P: FromBytes + Immutable>(&self, offset: usize) -> Result<P, Error> {
        let bytes = self.step.params.get(offset..).ok_or(self.bad())?;
        P::read_from_prefix(bytes).map(|(params, _)| params).map_err(|_| self.bad())
    }

    /// `count` values of the weights section, `offset` bytes from its start.
    ///
    /// # Errors
    /// [`ErrorKind::BadStep`] where they reach out of the section or are misaligned.
    pub fn array<T: Pod>(&self, offset: u32, count: usize) -> Result<&'a [T], Error> {
        let start = offset as usize;
        let bytes = count
            .checked_mul(size_of::<T>())
            .and_then(|n| start.checked_add(n))
            .and_then(|end| self.artifact.weights().get(start..end))
            .ok_or(self.bad())?;
        bytemuck::try_cast_slice(bytes).map_err(|_| self.bad())
    }

    /// Checks that the plan gives the step at least this many bytes of scratch.
    ///
    /// # Errors
    /// [`ErrorKind::BadStep`].
    pub fn scratch(&self, bytes: usize) -> Result<(), Error> {
        self.require(self.step.record.scratch_bytes as usize >= bytes)
    }
}
