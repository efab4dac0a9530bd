//! One model from four layouts of memory: digests of all steps, instructions, bytes.

use core::fmt::Write;

use selvedge::{Artifact, Error, ErrorKind, OpEntry, Probe, Session, StagedSession, WeightSource};

use crate::count::CountError;
use crate::digest::{Digest, Line};
use crate::{Board, Model};

/// A model in four layouts, compiled from the same file.
pub struct Layouts {
    /// For one memory, with its recorded inputs.
    pub model: Model,
    /// For a fast and a slow memory.
    pub regions: &'static [u8],
    /// The same as head and weights file.
    pub split: (&'static [u8], &'static [u8]),
    /// Head and weights file with weights that are staged.
    pub staged: (&'static [u8], &'static [u8]),
}

/// Memory to run in.
pub struct Memory<'m> {
    pub one: &'m mut [u8],
    pub fast: &'m mut [u8],
    pub slow: &'m mut [u8],
}

/// Most bytes that [`Pages`] copies at once.
const PAGE: usize = 256;

/// Stands in for the driver of a serial flash: copies page by page, from memory.
pub struct Pages {
    weights: &'static [u8],
    /// Bytes copied so far.
    pub copied: usize,
}

impl WeightSource for &mut Pages {
    fn read(&mut self, offset: usize, to: &mut [u8]) -> Result<(), Error> {
        let missing = Error::new(ErrorKind::WeightSource).with(offset);
        let mut from = self.weights.get(offset..).and_then(|rest| rest.get(..to.len())).ok_or(missing)?.chunks(PAGE);
        for (page, bytes) in to.chunks_mut(PAGE).zip(&mut from) {
            page.copy_from_slice(bytes);
            self.copied += bytes.len();
        }
        Ok(())
    }
}

/// What both kinds of session do.
trait Runs {
    fn write(&mut self, input: &[u8]) -> Result<(), Error>;
    fn run(&mut self) -> Result<(), Error>;
    fn run_probed(&mut self, probe: &mut impl Probe) -> Result<(), Error>;
}

macro_rules! runs {
    ($($session:ty),*) => {$(
        impl Runs for $session {
            fn write(&mut self, input: &[u8]) -> Result<(), Error> {
                self.input(0)?.copy_from_bytes(input)
            }

            fn run(&mut self) -> Result<(), Error> {
                self.run()
            }

            fn run_probed(&mut self, probe: &mut impl Probe) -> Result<(), Error> {
                self.run_probed(probe)
            }
        }
    )*};
}

runs!(Session<'_>, StagedSession<'_, &mut Pages>);

struct Report<'b, B, W> {
    model: Model,
    board: &'b mut B,
    out: &'b mut W,
    /// What an empty count reads.
    empty: u64,
}

impl<B: Board, W: Write> Report<'_, B, W> {
    /// Runs a layout on every input, then once more to count it; its instructions.
    fn layout(&mut self, name: &str, mut session: impl Runs) -> Result<u64, Error> {
        for (input, bytes) in self.model.inputs().enumerate() {
            session.write(bytes)?;
            let mut digest = Digest::new();
            session.run_probed(&mut digest)?;
            let _ = writeln!(self.out, "{name} {}", Line { model: self.model.name, input, digest: digest.value() });
        }
        session.write(self.model.inputs().next().unwrap_or(&[]))?;
        self.board.start();
        let result = session.run();
        let run = self.board.stop().saturating_sub(self.empty);
        result.map(|()| run)
    }

    fn totals(&mut self, name: &str, artifact: &Artifact<'_>, run: u64, one: u64) {
        let [fast, slow] = artifact.region_bytes();
        let more = run as i64 - one as i64;
        let _ = writeln!(self.out, "total {name} fast {fast} slow {slow} run {run} more {more}");
    }
}

/// Writes, for each layout, a line an input (`LAYOUT` and a line of the digest file) and one of
/// totals: bytes of its regions, instructions of a run, and how many more than in one memory:
///
/// ```text
/// total LAYOUT fast BYTES slow BYTES run INSTRUCTIONS more INSTRUCTIONS
/// total staged largest BYTES copied BYTES passes NUMBER
/// ```
///
/// The last has the most bytes that one step stages, and those that set-up and all runs, so many
/// passes over the weights, have copied.
///
/// # Errors
/// [`CountError::Counter`] for a counter that is off; those of the set-up and the run.
pub fn run(
    layouts: &Layouts,
    memory: Memory<'_>,
    board: &mut impl Board,
    out: &mut impl Write,
) -> Result<(), CountError> {
    let empty = crate::count::check(board)?;
    let (model, Memory { one: arena, fast, slow }) = (layouts.model, memory);
    let ops: &'static [OpEntry] = model.ops;
    let mut report = Report { model, board, out, empty };

    let artifact = Artifact::parse(model.artifact)?;
    let one = report.layout("one", Session::with_ops(artifact, arena, ops)?)?;
    report.totals("one", &artifact, one, one);

    let artifact = Artifact::parse(layouts.regions)?;
    let run = report.layout("regions", Session::with_regions(artifact, [&mut *fast, &mut *slow], ops)?)?;
    report.totals("regions", &artifact, run, one);

    let artifact = Artifact::parse_split(layouts.split.0, layouts.split.1)?;
    artifact.verify_digest()?;
    let run = report.layout("split", Session::with_regions(artifact, [&mut *fast, &mut *slow], ops)?)?;
    report.totals("split", &artifact, run, one);

    let artifact = Artifact::parse_head(layouts.staged.0)?;
    let mut pages = Pages { weights: layouts.staged.1, copied: 0 };
    StagedSession::new(artifact, [&mut *fast, &mut *slow], ops, &mut pages)?.verify_digest()?;
    pages.copied = 0;
    let session = StagedSession::new(artifact, [fast, slow], ops, &mut pages)?;
    let run = report.layout("staged", session)?;
    report.totals("staged", &artifact, run, one);
    let passes = crate::INPUTS + 2;
    let largest = artifact.stages()?.unwrap_or(&[]).iter().map(|stage| stage.bytes).max().unwrap_or(0);
    let _ = writeln!(report.out, "total staged largest {largest} copied {} passes {passes}", pages.copied);
    Ok(())
}
