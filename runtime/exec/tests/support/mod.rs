//! Assembles small artifacts by hand, section by section.
#![allow(dead_code)]

pub mod layers;
pub mod zoo;
pub mod zoo_i16;
pub mod zoo_indexed;
pub mod zoo_low;
pub mod zoo_narrow;

use std::ops::{Deref, DerefMut};

use selvedge_core::artifact::{
    AFTER_LAST_STEP, HEADER_BYTES, Header, MAGIC, REGION_SHIFT, SectionEntry, SectionKind, StageRecord, StateRecord,
    StepRecord, TensorRecord, VERSION_MAJOR, VERSION_MINOR, WEIGHTS_MAGIC, WeightsHeader, digest, step_flags,
    tensor_flags,
};
use selvedge_core::{Artifact, DType, Error, ErrorKind, Format, OpCode};
use selvedge_exec::Session;
use selvedge_kernels::IsaKind;
use zerocopy::{Immutable, IntoBytes};

/// Bytes at a multiple of 16.
#[derive(Clone)]
pub struct Aligned {
    words: Vec<u128>,
    len: usize,
}

impl Aligned {
    pub fn zeroed(len: usize) -> Self {
        Aligned { words: vec![0; len.div_ceil(16) + 1], len }
    }

    pub fn of(bytes: &[u8]) -> Self {
        let mut this = Self::zeroed(bytes.len());
        this.copy_from_slice(bytes);
        this
    }
}

impl Deref for Aligned {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.words)[..self.len]
    }
}

impl DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.words)[..self.len]
    }
}

/// A program under construction. Lifetimes and offsets follow from the order of calls; tests
/// overwrite fields to damage them.
#[derive(Clone, Default)]
pub struct Program {
    pub tensors: Vec<TensorRecord>,
    pub steps: Vec<StepRecord>,
    pub operands: Vec<u16>,
    pub params: Vec<u8>,
    pub weights: Vec<u8>,
    pub inputs: Vec<u16>,
    pub outputs: Vec<u16>,
    pub arena_bytes: u32,
    /// Bytes of the arena's first region; 0 for one region.
    pub first_region: u32,
    /// Where steps' weights are read to, if they are.
    pub stages: Vec<StageRecord>,
    pub states: Vec<StateRecord>,
}

/// The parameters of one step.
pub fn params<P: IntoBytes + Immutable>(p: P) -> Vec<u8> {
    p.as_bytes().to_vec()
}

impl Program {
    /// A tensor in memory of its own.
    pub fn tensor(&mut self, dtype: DType, dims: &[u32]) -> u16 {
        let mut all = [0; 6];
        all[..dims.len()].copy_from_slice(dims);
        let elements: u32 = dims.iter().product();
        let offset = self.arena_bytes;
        self.arena_bytes += (elements * dtype.size() as u32).next_multiple_of(16);
        self.tensors.push(TensorRecord {
            dtype: dtype as u8,
            rank: dims.len() as u8,
            flags: 0,
            offset,
            dims: all,
            scale: 0.0,
            zero_point: 0,
            defined: 0,
            last_use: 0,
            reserved: 0,
        });
        self.tensors.len() as u16 - 1
    }

    /// A graph input.
    pub fn input(&mut self, dtype: DType, dims: &[u32]) -> u16 {
        let index = self.tensor(dtype, dims);
        self.inputs.push(index);
        index
    }

    /// A constant in the weights section.
    pub fn constant(&mut self, dtype: DType, dims: &[u32], bytes: &[u8]) -> u16 {
        let (arena, index) = (self.arena_bytes, self.tensor(dtype, dims));
        self.arena_bytes = arena;
        let offset = self.array(bytes);
        let record = self.record(index);
        record.offset = offset;
        record.flags = tensor_flags::CONST;
        index
    }

    pub fn record(&mut self, tensor: u16) -> &mut TensorRecord {
        &mut self.tensors[tensor as usize]
    }

    /// Gives a tensor a grid.
    pub fn grid(&mut self, tensor: u16, scale: f32, zero_point: i16) {
        let record = self.record(tensor);
        record.flags |= tensor_flags::QUANTIZED;
        record.scale = scale;
        record.zero_point = zero_point;
    }

    /// Appends to the weights section; gives the offset.
    pub fn array(&mut self, bytes: &[u8]) -> u32 {
        let offset = self.weights.len().next_multiple_of(16);
        self.weights.resize(offset, 0);
        self.weights.extend_from_slice(bytes);
        offset as u32
    }

    /// Per-channel values padded to a multiple of 8.
    pub fn channels<T: bytemuck::Pod>(&mut self, values: &[T]) -> u32 {
        let mut padded = values.to_vec();
        padded.resize(values.len().next_multiple_of(8), T::zeroed());
        self.array(bytemuck::cast_slice(&padded))
    }

    /// Appends a step with scratch of its own.
    pub fn step(
        &mut self,
        (op, format): (OpCode, Format),
        inputs: &[u16],
        outputs: &[u16],
        params: Vec<u8>,
        scratch_bytes: usize,
    ) -> &mut StepRecord {
        let now = self.steps.len() as u16 + 1;
        for &t in inputs.iter().filter(|&&t| t != u16::MAX) {
            self.record(t).last_use = now;
        }
        for &t in outputs {
            self.record(t).defined = now;
        }
        let operands = self.operands.len() as u32;
        self.operands.extend_from_slice(inputs);
        self.operands.extend_from_slice(outputs);
        let at = self.params.len() as u32;
        self.params.extend_from_slice(&params);
        let scratch = self.arena_bytes;
        self.arena_bytes += (scratch_bytes as u32).next_multiple_of(16);
        self.steps.push(StepRecord {
            op: op as u16,
            flags: 0,
            format: format as u8,
            inputs: inputs.len() as u8,
            outputs: outputs.len() as u8,
            reserved: 0,
            operands,
            params: at,
            params_bytes: params.len() as u32,
            scratch,
            scratch_bytes: scratch_bytes as u32,
        });
        self.steps.last_mut().unwrap()
    }

    /// The last step works in place on input `i`.
    pub fn in_place(&mut self, i: u8) {
        let step = self.steps.last_mut().unwrap();
        step.flags |= step_flags::in_place(i);
        let first = step.operands as usize;
        let (x, y) = (self.operands[first + i as usize], self.operands[first + step.inputs as usize]);
        self.record(y).offset = self.tensors[x as usize].offset;
    }

    /// Makes an input take the value of an output of the run before.
    pub fn state(&mut self, input: u16, output: u16, initial: u32) {
        for tensor in [input, output] {
            self.record(tensor).flags |= tensor_flags::STATE;
        }
        self.states.push(StateRecord { input, output, initial });
    }

    /// A graph output.
    pub fn output(&mut self, tensor: u16) {
        self.outputs.push(tensor);
        self.record(tensor).last_use = AFTER_LAST_STEP;
    }

    pub fn bytes(&self) -> Aligned {
        let io = [&self.inputs[..], &self.outputs[..]].concat();
        let mut sections: Vec<(SectionKind, &[u8])> = vec![
            (SectionKind::Tensors, self.tensors.as_bytes()),
            (SectionKind::Steps, self.steps.as_bytes()),
            (SectionKind::Operands, self.operands.as_bytes()),
            (SectionKind::Params, &self.params),
            (SectionKind::Io, io.as_bytes()),
        ];
        if !self.stages.is_empty() {
            sections.push((SectionKind::Stages, self.stages.as_bytes()));
        }
        if !self.states.is_empty() {
            sections.push((SectionKind::States, self.states.as_bytes()));
        }
        sections.push((SectionKind::Weights, &self.weights));
        let mut out = vec![0u8; HEADER_BYTES + sections.len() * size_of::<SectionEntry>()];
        for (i, (kind, data)) in sections.iter().enumerate() {
            let offset = out.len().next_multiple_of(64);
            out.resize(offset, 0);
            out.extend_from_slice(data);
            let entry =
                SectionEntry { kind: *kind as u32, offset: offset as u32, bytes: data.len() as u32, reserved: 0 };
            let at = HEADER_BYTES + i * size_of::<SectionEntry>();
            out[at..at + size_of::<SectionEntry>()].copy_from_slice(entry.as_bytes());
        }
        let header = Header {
            magic: MAGIC,
            version_major: VERSION_MAJOR,
            version_minor: VERSION_MINOR,
            flags: (self.first_region / 16) << REGION_SHIFT,
            total_bytes: out.len() as u32,
            arena_bytes: self.arena_bytes,
            arena_lower_bound: 0,
            inputs: self.inputs.len() as u16,
            outputs: self.outputs.len() as u16,
            sections: sections.len() as u32,
            digest: [0; 32],
        };
        out[..HEADER_BYTES].copy_from_slice(header.as_bytes());
        let sum = digest(&out);
        out[HEADER_BYTES - 32..HEADER_BYTES].copy_from_slice(&sum);
        Aligned::of(&out)
    }

    /// The artifact cut in two: head and weights file.
    pub fn split(&self) -> (Aligned, Aligned) {
        let bytes = self.bytes();
        let artifact = Artifact::parse(&bytes).unwrap();
        let header = WeightsHeader {
            magic: WEIGHTS_MAGIC,
            version_major: VERSION_MAJOR,
            version_minor: VERSION_MINOR,
            bytes: self.weights.len() as u32,
            reserved: [0; 5],
            digest: artifact.header().digest,
        };
        (Aligned::of(artifact.head()), Aligned::of(&[header.as_bytes(), &self.weights].concat()))
    }

    /// The error of parsing and validating, if any.
    pub fn refusal(&self) -> Option<Error> {
        let (bytes, mut arena) = (self.bytes(), Aligned::zeroed(self.arena_bytes as usize));
        Artifact::parse(&bytes).and_then(|a| Session::new(a, &mut arena).map(drop)).err()
    }

    /// Runs on every instruction set; they agree. Gives the bytes of output 0.
    pub fn run(&self, inputs: &[&[u8]]) -> Result<Vec<u8>, Error> {
        Ok(self.run_all(inputs)?.swap_remove(0))
    }

    /// Runs on every instruction set; they agree. Gives the bytes of all outputs.
    pub fn run_all(&self, inputs: &[&[u8]]) -> Result<Vec<Vec<u8>>, Error> {
        let bytes = self.bytes();
        let results = IsaKind::ALL.map(|kind| -> Result<Option<Vec<Vec<u8>>>, Error> {
            let artifact = Artifact::parse(&bytes)?;
            let mut arena = Aligned::zeroed(artifact.arena_bytes());
            arena.fill(0xa5);
            let mut session = match Session::new(artifact, &mut arena)?.with_isa(kind) {
                Err(error) if error.kind() == ErrorKind::NoSuchIsa => return Ok(None),
                session => session?,
            };
            for (i, data) in inputs.iter().enumerate() {
                session.input(i)?.copy_from_bytes(data)?;
            }
            session.run()?;
            (0..session.output_count()).map(|i| Ok(Some(session.output(i)?.bytes().to_vec()))).collect()
        });
        let mut ran = results.into_iter().filter_map(Result::transpose);
        let first = ran.next().expect("the portable kernels are always there");
        for other in ran {
            assert_eq!(first, other, "instruction sets differ");
        }
        first
    }
}

pub fn i8s(values: &[i8]) -> &[u8] {
    bytemuck::cast_slice(values)
}

pub fn f32s(values: &[f32]) -> &[u8] {
    bytemuck::cast_slice(values)
}

pub fn as_f32(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
}

pub fn as_i8(bytes: &[u8]) -> Vec<i8> {
    bytes.iter().map(|&b| b as i8).collect()
}
