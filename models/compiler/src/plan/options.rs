//! The memory a device has, and why a program does not fit it.

use super::ARENA_ALIGN;
use super::buffers::Buffers;
use super::regions::spell;
use crate::program::Program;

/// Most bytes the artifact's header can say of a first region.
const LARGEST_FIRST: usize = (1 << 28) - ARENA_ALIGN;

/// A memory of the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    pub name: String,
    /// Most bytes the arena may take of it.
    pub bytes: usize,
}

/// What a plan has to keep to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryOptions {
    /// None: one region as large as needed. One: a limit. Two: a fast and a slow memory.
    pub regions: Vec<Region>,
    /// Inputs and outputs, by ONNX name, that must lie in a region, by its name.
    pub pins: Vec<(String, String)>,
}

/// A plan that cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    #[error("the arena is planned over one region or two; {0} were given")]
    Regions(usize),
    #[error("region '{name}' has {bytes} bytes; give at least {ARENA_ALIGN}")]
    Tiny { name: String, bytes: usize },
    #[error("the regions of memory need two different names; both are '{0}'")]
    SameName(String),
    #[error(
        "the arena needs {needed} bytes of {region}, {} more than its {available} (regions {regions}); \
         most are alive at {at}: {bytes_at} bytes ({alive}). Give more memory, or a smaller input",
        needed - available
    )]
    TooSmall {
        needed: usize,
        region: String,
        available: usize,
        regions: String,
        /// The step with the most bytes alive.
        at: String,
        bytes_at: usize,
        alive: String,
    },
    #[error("'{tensor}' ({bytes} bytes) cannot lie in {region} ({available} bytes there, regions {regions})")]
    Pin { tensor: String, bytes: usize, region: String, available: usize, regions: String },
    #[error("nothing to pin by '{pin}': the inputs and outputs are {tensors}, the regions {regions}")]
    UnknownPin { pin: String, tensors: String, regions: String },
    #[error(
        "step {step} '{name}' reads {needed} bytes of weights, {} more than the {limit} that may be staged, and \
         cannot be cut into smaller parts; raise the limit, or keep the weights in addressable memory",
        needed - limit
    )]
    Stage { step: usize, name: String, needed: usize, limit: usize },
    #[error("output '{0}' is a constant, which has no step to stage its weights: remove the output from the model")]
    ConstantOutput(String),
}

impl MemoryOptions {
    /// Bytes of a region that the arena may take.
    pub(crate) fn limit(&self, region: usize) -> usize {
        let given = self.regions.get(region).map_or(usize::MAX, |r| r.bytes / ARENA_ALIGN * ARENA_ALIGN);
        if region == 0 && self.regions.len() > 1 { given.min(LARGEST_FIRST) } else { given }
    }

    pub(crate) fn check(&self) -> Result<(), PlanError> {
        if let Some(tiny) = self.regions.iter().find(|region| region.bytes < ARENA_ALIGN) {
            return Err(PlanError::Tiny { name: tiny.name.clone(), bytes: tiny.bytes });
        }
        match self.regions.as_slice() {
            [a, b] if a.name == b.name => Err(PlanError::SameName(a.name.clone())),
            [] | [_] | [_, _] => Ok(()),
            more => Err(PlanError::Regions(more.len())),
        }
    }
}

impl PlanError {
    /// The last region given is too small for what it has to take.
    pub(crate) fn over(program: &Program, buffers: &Buffers, options: &MemoryOptions, needed: usize) -> Self {
        let (bytes_at, time) = buffers.peak;
        let at = match time.checked_sub(1).and_then(|step| program.steps.get(step)) {
            Some(step) => format!("step {} '{}'", time - 1, short(&step.name)),
            None if time == 0 => "the inputs".into(),
            None => "the outputs".into(),
        };
        let alive = buffers.alive(program, time);
        let mut list: Vec<String> = alive.iter().take(4).map(|(bytes, name)| format!("{name} {bytes}")).collect();
        if alive.len() > 4 {
            list.push(format!("{} more", alive.len() - 4));
        }
        let last = options.regions.last();
        PlanError::TooSmall {
            needed: needed.next_multiple_of(ARENA_ALIGN),
            region: last.map_or_else(String::new, |r| format!("'{}'", r.name)),
            available: last.map_or(0, |r| r.bytes),
            regions: spell(&options.regions),
            at,
            bytes_at,
            alive: list.join(", "),
        }
    }

    /// A step's weights are more than may be staged.
    pub(crate) fn stage(step: usize, name: &str, needed: usize, limit: usize) -> Self {
        PlanError::Stage { step, name: short(name), needed, limit }
    }

    pub(crate) fn pin(program: &Program, buffers: &Buffers, options: &MemoryOptions, buffer: usize) -> Self {
        let tensor = buffers.tensors.iter().position(|&at| at == Some(buffer));
        let region = buffers.list[buffer].pinned.and_then(|region| options.regions.get(region));
        PlanError::Pin {
            tensor: tensor.map_or_else(String::new, |t| program.tensors[t].name.clone()),
            bytes: buffers.list[buffer].bytes,
            region: region.map_or_else(String::new, |r| format!("'{}'", r.name)),
            available: region.map_or(0, |r| r.bytes),
            regions: spell(&options.regions),
        }
    }
}

/// The end of a long name, which is what differs in names made of many.
pub(crate) fn short(name: &str) -> String {
    let count = name.chars().count();
    if count <= 40 { name.to_string() } else { format!("…{}", name.chars().skip(count - 39).collect::<String>()) }
}
