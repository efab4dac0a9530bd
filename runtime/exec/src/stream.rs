//! Sessions of models that keep state between runs.

use core::ops::{Deref, DerefMut};

use selvedge_core::artifact::{StateRecord, tensor_flags};
use selvedge_core::{Artifact, Error, ErrorKind};
use selvedge_kernels::IsaKind;

use crate::session::Unprobed;
use crate::{Cpu, InputMut, OpEntry, Output, Probe, Regions, Session, ops, validate};

/// Bytes in front of the states: `SLVS`, the bytes of all states (u32), half of the artifact's digest.
pub const STATE_HEADER_BYTES: usize = 24;
const MAGIC: [u8; 4] = *b"SLVS";
/// Bytes of the digest in the header.
const DIGEST: usize = 16;

/// `N` bytes of streaming state, all zeros: a state before its first frame.
///
/// `State::new()` is a constant, so that a static cell can hold it. It dereferences to `[u8]`, which is what
/// [`StreamSession::new`] takes; a slice of zeros does as well.
#[repr(C, align(16))]
pub struct State<const N: usize>([u8; N]);

impl<const N: usize> State<N> {
    /// A state before its first frame.
    pub const fn new() -> Self {
        State([0; N])
    }
}

impl<const N: usize> Default for State<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> Deref for State<N> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl<const N: usize> DerefMut for State<N> {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

/// Bytes of state that a model keeps between runs, its header included; 0 for a model that keeps none.
pub fn state_bytes(artifact: &Artifact<'_>) -> usize {
    let of = |state: &StateRecord| artifact.decode(state.input as usize).map_or(0, |tensor| tensor.bytes());
    match artifact.states() {
        [] => 0,
        states => states.iter().fold(STATE_HEADER_BYTES, |sum, state| sum.saturating_add(of(state))),
    }
}

/// A model that keeps state, ready to run frame by frame.
///
/// The state lies in memory that the caller owns, outside of the arena: it outlives the session, can be copied
/// and stored, and whoever has several streams gives each its own. Between runs it is the whole of what the
/// model remembers. A frame that fails leaves it as it was.
///
/// ```
/// use selvedge_core::{Artifact, Error};
/// use selvedge_exec::StreamSession;
///
/// fn denoise(model: Artifact<'_>, arena: &mut [u8], state: &mut [u8], frames: &[[f32; 256]]) -> Result<f32, Error> {
///     let mut session = StreamSession::new(model, arena, state)?;
///     let mut sum = 0.0;
///     for frame in frames {
///         session.input(0)?.copy_from_f32(frame)?;
///         session.step()?;
///         sum += session.output(0)?.as_f32()?.iter().sum::<f32>();
///     }
///     Ok(sum)
/// }
/// ```
#[derive(Debug)]
pub struct StreamSession<'a> {
    session: Session<'a>,
    /// Behind the header.
    state: &'a mut [u8],
}

impl<'a> StreamSession<'a> {
    /// A session with every op of the runtime. `state` holds at least [`state_bytes`] bytes: of zeros for a new
    /// stream, else what an earlier session of this model left.
    ///
    /// # Errors
    /// As [`Session::new`] but [`ErrorKind::HasState`]; [`ErrorKind::StateTooSmall`] (detail: bytes needed),
    /// [`ErrorKind::StateMismatch`] for the state of another model.
    pub fn new(artifact: Artifact<'a>, arena: &'a mut [u8], state: &'a mut [u8]) -> Result<Self, Error> {
        Self::with_ops(artifact, arena, state, ops::ALL)
    }

    /// A session with the ops of a table, which is what the program then links.
    ///
    /// # Errors
    /// As [`StreamSession::new`].
    pub fn with_ops(
        artifact: Artifact<'a>,
        arena: &'a mut [u8],
        state: &'a mut [u8],
        table: &'static [OpEntry],
    ) -> Result<Self, Error> {
        validate::memory(arena, artifact.arena_bytes())?;
        Self::build(artifact, Regions::one(arena), state, table)
    }

    /// A session whose arena lies in two memories, as [`Session::with_regions`] has it.
    ///
    /// # Errors
    /// As [`StreamSession::new`].
    pub fn with_regions(
        artifact: Artifact<'a>,
        [first, second]: [&'a mut [u8]; 2],
        state: &'a mut [u8],
        table: &'static [OpEntry],
    ) -> Result<Self, Error> {
        let arena = validate::regions(&artifact, first, second)?;
        Self::build(artifact, arena, state, table)
    }

    fn build(
        artifact: Artifact<'a>,
        arena: Regions<'a>,
        state: &'a mut [u8],
        table: &'static [OpEntry],
    ) -> Result<Self, Error> {
        let cpu = Cpu::new(table)?;
        let bytes = validate::validate_stream(&artifact, &cpu)?;
        let (header, state) = match bytes {
            0 => state.split_at_mut_checked(0).unwrap_or_default(),
            _ => {
                let needed = STATE_HEADER_BYTES.saturating_add(bytes);
                let small = Error::new(ErrorKind::StateTooSmall).with(needed);
                let state = state.get_mut(..needed).ok_or(small)?;
                state.split_at_mut_checked(STATE_HEADER_BYTES).ok_or(small)?
            }
        };
        let fresh = header.iter().all(|&byte| byte == 0);
        let wanted = state_header(&artifact, bytes);
        if !fresh && !header.iter().eq(wanted.iter()) {
            return Err(ErrorKind::StateMismatch.into());
        }
        header.iter_mut().zip(wanted).for_each(|(to, from)| *to = from);
        let mut stream = StreamSession { session: Session { artifact, arena, cpu, next: None }, state };
        if fresh {
            stream.reset();
        }
        Ok(stream)
    }

    /// The same session on a given instruction set. All compute the same bits.
    ///
    /// # Errors
    /// [`ErrorKind::NoSuchIsa`] where this build or CPU lacks it.
    pub fn with_isa(self, kind: IsaKind) -> Result<Self, Error> {
        Ok(StreamSession { session: self.session.with_isa(kind)?, ..self })
    }

    /// The instruction set in use.
    pub fn isa(&self) -> IsaKind {
        self.session.isa()
    }

    /// The artifact.
    pub fn artifact(&self) -> &Artifact<'a> {
        self.session.artifact()
    }

    /// Number of inputs, states left out.
    pub fn input_count(&self) -> usize {
        plain(self.artifact(), self.artifact().inputs()).count()
    }

    /// Number of outputs, states left out.
    pub fn output_count(&self) -> usize {
        plain(self.artifact(), self.artifact().outputs()).count()
    }

    /// Input `i` of those that are no state, to be written before each step.
    ///
    /// # Errors
    /// [`ErrorKind::NoSuchIo`].
    pub fn input(&mut self, i: usize) -> Result<InputMut<'_>, Error> {
        let no_such = Error::new(ErrorKind::NoSuchIo).with(i);
        let place = plain(self.artifact(), self.artifact().inputs()).nth(i).ok_or(no_such)?;
        self.session.input(place)
    }

    /// Output `i` of those that are no state, of the last step.
    ///
    /// # Errors
    /// [`ErrorKind::NoSuchIo`].
    pub fn output(&self, i: usize) -> Result<Output<'_>, Error> {
        let no_such = Error::new(ErrorKind::NoSuchIo).with(i);
        let place = plain(self.artifact(), self.artifact().outputs()).nth(i).ok_or(no_such)?;
        self.session.output(place)
    }

    /// Runs one frame and takes its state over.
    ///
    /// # Errors
    /// As [`Session::run`]; the state is then what it was.
    pub fn step(&mut self) -> Result<(), Error> {
        self.step_probed(&mut Unprobed)
    }

    /// Runs one frame, shows each step to the probe and takes the frame's state over.
    ///
    /// # Errors
    /// As [`StreamSession::step`].
    pub fn step_probed(&mut self, probe: &mut impl Probe) -> Result<(), Error> {
        self.each(|bytes, state| bytes.iter_mut().zip(state).for_each(|(to, from)| *to = *from), |state| state.input)?;
        self.session.run_probed(probe)?;
        self.each(|bytes, state| state.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from), |state| state.output)
    }

    /// Goes back to the state before the first frame.
    pub fn reset(&mut self) {
        let artifact = self.session.artifact;
        let mut rest = &mut *self.state;
        for state in artifact.states() {
            let bytes = artifact.decode(state.input as usize).map_or(0, |tensor| tensor.bytes());
            let (own, behind) = core::mem::take(&mut rest).split_at_mut_checked(bytes).unwrap_or_default();
            rest = behind;
            match artifact.weights().get(state.initial as usize..).filter(|_| state.initial != StateRecord::ZEROS) {
                Some(initial) => own.iter_mut().zip(initial).for_each(|(to, &from)| *to = from),
                None => own.fill(0),
            }
        }
    }

    /// Shows the bytes of each state's tensor in the arena, and those that are kept.
    fn each(
        &mut self,
        mut f: impl FnMut(&mut [u8], &mut [u8]),
        tensor: impl Fn(&StateRecord) -> u16,
    ) -> Result<(), Error> {
        let artifact = self.session.artifact;
        let mut rest = &mut *self.state;
        for state in artifact.states() {
            let index = tensor(state) as usize;
            let range = artifact.tensor(index)?.range();
            let (own, behind) = core::mem::take(&mut rest).split_at_mut_checked(range.len()).unwrap_or_default();
            rest = behind;
            f(self.session.arena.get_mut(range).ok_or(Error::new(ErrorKind::OutOfBounds).with(index))?, own);
        }
        Ok(())
    }
}

/// Places of the tensors that are no state.
fn plain<'a>(artifact: &Artifact<'a>, tensors: &'a [u16]) -> impl Iterator<Item = usize> + use<'a> {
    let artifact = *artifact;
    let state =
        move |tensor: u16| artifact.record(tensor as usize).is_ok_and(|record| record.flags & tensor_flags::STATE != 0);
    tensors.iter().enumerate().filter(move |&(_, &tensor)| !state(tensor)).map(|(place, _)| place)
}

fn state_header(artifact: &Artifact<'_>, bytes: usize) -> [u8; STATE_HEADER_BYTES] {
    let mut header = [0; STATE_HEADER_BYTES];
    let count = (bytes as u32).to_le_bytes();
    let digest = artifact.header().digest.iter().take(DIGEST);
    let all = MAGIC.iter().chain(&count).chain(digest);
    header.iter_mut().zip(all).for_each(|(to, &from)| *to = from);
    header
}
