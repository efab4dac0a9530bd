//! Writes the artifact: records, parameters, weights, names and digest.

use crate::plan::MemoryPlan;
use crate::program::{Program, ProgramState, Storage};
use selvedge_core::artifact::{
    AFTER_LAST_STEP, ALIGNMENT, HEADER_BYTES, Header, MAGIC, NO_OPERAND, REGION_SHIFT, SectionEntry, SectionKind,
    StateRecord, StepRecord, TensorRecord, VERSION_MAJOR, VERSION_MINOR, digest, step_flags, tensor_flags,
};
use zerocopy::IntoBytes;

/// Which tensors keep their ONNX names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Names {
    /// All where they take up to 5 % of the artifact, else inputs and outputs.
    #[default]
    Auto,
    All,
    /// Inputs and outputs.
    Io,
    None,
}

/// Choices of [`emit_with`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct EmitOptions {
    pub names: Names,
}

/// Writes the artifact with default options.
pub fn emit(program: &Program, plan: &MemoryPlan) -> Vec<u8> {
    emit_with(program, plan, &EmitOptions::default())
}

/// Writes the artifact of a program and its memory plan.
pub fn emit_with(program: &Program, plan: &MemoryPlan, options: &EmitOptions) -> Vec<u8> {
    let (steps, operands, params) = step_sections(program, plan);
    let io: Vec<u16> = program.inputs.iter().chain(&program.outputs).map(|&t| t as u16).collect();
    let mut sections = vec![
        (SectionKind::Tensors, tensor_records(program, plan).as_bytes().to_vec()),
        (SectionKind::Steps, steps.as_bytes().to_vec()),
        (SectionKind::Operands, operands.as_bytes().to_vec()),
        (SectionKind::Params, params),
        (SectionKind::Io, io.as_bytes().to_vec()),
    ];
    if !program.states.is_empty() {
        sections.push((SectionKind::States, state_records(program).as_bytes().to_vec()));
    }
    let meta = serde_json::to_string(&program.meta).unwrap_or_default();
    sections.push((SectionKind::Meta, meta.into_bytes()));
    let size: usize = sections.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() + program.weights.len();
    let names = match options.names {
        Names::Auto => {
            let all = name_section(program, false);
            // 5 % of the whole, names included.
            if all.len() * 19 <= size { Some(all) } else { Some(name_section(program, true)) }
        }
        Names::All => Some(name_section(program, false)),
        Names::Io => Some(name_section(program, true)),
        Names::None => None,
    };
    sections.extend(names.map(|bytes| (SectionKind::Names, bytes)));
    if !plan.stages.is_empty() {
        sections.push((SectionKind::Stages, plan.stages.as_bytes().to_vec()));
    }
    sections.push((SectionKind::Weights, program.weights.clone()));
    assemble(program, plan, &sections)
}

fn assemble(program: &Program, plan: &MemoryPlan, sections: &[(SectionKind, Vec<u8>)]) -> Vec<u8> {
    let mut entries = Vec::with_capacity(sections.len());
    let mut body = Vec::new();
    let start = HEADER_BYTES + sections.len() * size_of::<SectionEntry>();
    for (kind, bytes) in sections {
        let align = if *kind == SectionKind::Weights { 64 } else { ALIGNMENT };
        let offset = (start + body.len()).next_multiple_of(align);
        body.resize(offset - start, 0);
        body.extend_from_slice(bytes);
        entries.push(SectionEntry {
            kind: *kind as u32,
            offset: offset as u32,
            bytes: bytes.len() as u32,
            reserved: 0,
        });
    }
    let fast = program.meta.get("f32").is_some_and(|mode| mode == "fast") as u32;
    let [first, second] = plan.region_bytes;
    let regions = if second > 0 { (first / ALIGNMENT) as u32 } else { 0 };
    let header = Header {
        magic: MAGIC,
        version_major: VERSION_MAJOR,
        version_minor: VERSION_MINOR,
        flags: fast | regions << REGION_SHIFT,
        total_bytes: (start + body.len()) as u32,
        arena_bytes: plan.arena_bytes as u32,
        arena_lower_bound: plan.lower_bound as u32,
        inputs: program.inputs.len() as u16,
        outputs: program.outputs.len() as u16,
        sections: sections.len() as u32,
        digest: [0; 32],
    };
    let mut artifact = header.as_bytes().to_vec();
    artifact.extend_from_slice(entries.as_bytes());
    artifact.extend_from_slice(&body);
    let sum = digest(&artifact);
    artifact[HEADER_BYTES - 32..HEADER_BYTES].copy_from_slice(&sum);
    artifact
}

fn state_records(program: &Program) -> Vec<StateRecord> {
    let record = |state: &ProgramState| StateRecord {
        input: program.inputs[state.input] as u16,
        output: program.outputs[state.output] as u16,
        initial: state.initial.unwrap_or(StateRecord::ZEROS),
    };
    program.states.iter().map(record).collect()
}

fn tensor_records(program: &Program, plan: &MemoryPlan) -> Vec<TensorRecord> {
    let record = |(index, tensor): (usize, &crate::program::ProgramTensor)| {
        let mut dims = [0u32; 6];
        for (to, &from) in dims.iter_mut().zip(&tensor.dims) {
            *to = from as u32;
        }
        let mut flags = 0;
        let (offset, life) = match tensor.storage {
            Storage::Arena => (plan.offsets[index].unwrap_or(0) as u32, Some(plan.lifetimes[index])),
            Storage::Const(offset) => {
                flags |= tensor_flags::CONST;
                (offset, None)
            }
        };
        if tensor.quant.is_some() {
            flags |= tensor_flags::QUANTIZED;
        }
        let keeps = |s: &ProgramState| program.inputs[s.input] == index || program.outputs[s.output] == index;
        if program.states.iter().any(keeps) {
            flags |= tensor_flags::STATE;
        }
        let (scale, zero_point) = tensor.quant.unwrap_or((0.0, 0));
        let last = |last: usize| if last > program.steps.len() { AFTER_LAST_STEP } else { last as u16 };
        TensorRecord {
            dtype: tensor.dtype as u8,
            rank: tensor.dims.len() as u8,
            flags,
            offset,
            dims,
            scale,
            zero_point: zero_point as i16,
            defined: life.map_or(0, |life| life.first as u16),
            last_use: life.map_or(AFTER_LAST_STEP, |life| last(life.last)),
            reserved: 0,
        }
    };
    program.tensors.iter().enumerate().map(record).collect()
}

fn step_sections(program: &Program, plan: &MemoryPlan) -> (Vec<StepRecord>, Vec<u16>, Vec<u8>) {
    let (mut steps, mut operands, mut params) = (Vec::new(), Vec::<u16>::new(), Vec::<u8>::new());
    for (index, step) in program.steps.iter().enumerate() {
        let first = operands.len();
        operands.extend(step.inputs.iter().map(|input| input.map_or(NO_OPERAND, |t| t as u16)));
        operands.extend(step.outputs.iter().map(|&t| t as u16));
        let at = params.len();
        params.extend_from_slice(&step.params);
        params.resize(params.len().next_multiple_of(4), 0);
        steps.push(StepRecord {
            op: step.op as u16,
            flags: step.flags | step.in_place.map_or(0, step_flags::in_place),
            format: step.format as u8,
            inputs: step.inputs.len() as u8,
            outputs: step.outputs.len() as u8,
            reserved: 0,
            operands: first as u32,
            params: at as u32,
            params_bytes: step.params.len() as u32,
            scratch: plan.scratch[index] as u32,
            scratch_bytes: step.scratch_bytes as u32,
        });
    }
    (steps, operands, params)
}

fn name_section(program: &Program, io_only: bool) -> Vec<u8> {
    let mut offsets = vec![0u32];
    let mut text = String::new();
    for (index, tensor) in program.tensors.iter().enumerate() {
        if !io_only || program.inputs.contains(&index) || program.outputs.contains(&index) {
            text.push_str(&tensor.name);
        }
        offsets.push(text.len() as u32);
    }
    let mut bytes = offsets.as_bytes().to_vec();
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::plan_memory;
    use crate::program::{ProgramStep, ProgramTensor};
    use selvedge_core::{Artifact, DType, Format, OpCode};

    /// x → reshape → y, with a constant beside them.
    fn program() -> Program {
        let tensor = |name: &str, dims: &[usize], storage| ProgramTensor {
            name: name.into(),
            dtype: DType::I8,
            dims: dims.to_vec(),
            quant: Some((0.5, -3)),
            storage,
            perm: None,
            channels: None,
        };
        let step = ProgramStep {
            op: OpCode::Reshape,
            format: Format::Any,
            flags: 0,
            inputs: vec![Some(0), None],
            outputs: vec![1],
            params: vec![1, 2, 3, 4, 5],
            scratch_bytes: 7,
            in_place: Some(0),
            name: "n".into(),
            macs: 0,
            weights_bytes: 0,
            kernel: "reshape".into(),
            block: 0..0,
        };
        Program {
            states: Vec::new(),
            name: "model".into(),
            tensors: vec![
                tensor("input", &[2, 6], Storage::Arena),
                tensor("output", &[12], Storage::Arena),
                tensor("table", &[3], Storage::Const(64)),
            ],
            steps: vec![step],
            weights: (0..80).collect(),
            inputs: vec![0],
            outputs: vec![1],
            meta: [("target".to_string(), "portable".to_string())].into(),
            notes: Vec::new(),
        }
    }

    fn aligned(bytes: &[u8]) -> Vec<u128> {
        let mut words = vec![0u128; bytes.len().div_ceil(16)];
        words.as_mut_bytes()[..bytes.len()].copy_from_slice(bytes);
        words
    }

    #[test]
    fn an_artifact_reads_back() {
        let program = program();
        let plan = plan_memory(&program);
        let words = aligned(&emit_with(&program, &plan, &EmitOptions { names: Names::All }));
        let artifact = Artifact::parse(words.as_bytes()).expect("parses");
        artifact.verify_digest().expect("digest");
        assert_eq!((artifact.inputs(), artifact.outputs()), (&[0u16][..], &[1u16][..]));
        assert_eq!(artifact.arena_bytes(), plan.arena_bytes);
        assert_eq!(artifact.header().arena_lower_bound as usize, plan.lower_bound);
        assert_eq!(artifact.weights(), program.weights);
        assert!((artifact.weights().as_ptr() as usize - words.as_ptr() as usize).is_multiple_of(64));
        assert_eq!(artifact.name(1), Some("output"));
        assert_eq!(artifact.meta(), Some(r#"{"target":"portable"}"#));
        let (x, y, table) = (artifact.tensor(0), artifact.tensor(1), artifact.tensor(2));
        let (x, y, table) = (x.expect("x"), y.expect("y"), table.expect("table"));
        assert_eq!(
            (x.dims, x.quantization(), x.record.defined, x.record.last_use),
            (&[2, 6][..], Some((0.5, -3)), 0, 1)
        );
        assert_eq!((y.record.defined, y.record.last_use), (1, AFTER_LAST_STEP));
        assert!(table.is_const() && table.range() == (64..67));
        let step = artifact.step(0).expect("step");
        assert_eq!((step.inputs, step.outputs), (&[0, NO_OPERAND][..], &[1u16][..]));
        assert_eq!((step.params, step.record.scratch_bytes), (&[1, 2, 3, 4, 5][..], 7));
        assert_eq!(step_flags::in_place_input(step.record.flags), Some(0));
    }

    #[test]
    fn names_are_chosen_by_size() {
        let program = program();
        let plan = plan_memory(&program);
        let name = |names, index| {
            let words = aligned(&emit_with(&program, &plan, &EmitOptions { names }));
            Artifact::parse(words.as_bytes()).expect("parses").name(index).map(str::to_string)
        };
        assert_eq!(name(Names::All, 2).as_deref(), Some("table"));
        // All names are more than 5 % of so small an artifact.
        assert_eq!(name(Names::Auto, 2), None);
        assert_eq!(name(Names::Io, 0).as_deref(), Some("input"));
        assert_eq!(name(Names::None, 0), None);
    }
}
