//! Elastic artifacts: one model in several widths, its weights stored once in 8 bits.
//!
//! Each version is compiled with weights that come from the int8 ones by integer arithmetic a device
//! repeats (`selvedge_core::arith::elastic_code`), so that what the device makes is the artifact,
//! byte for byte. After EQ-Net (Xu et al. 2023) every width is a rounding of its own with scales of
//! its own, not a prefix of the longer code's bits.

use crate::calibrate::Sample;
use crate::graph::{Graph, MasterWeights, Op};
use crate::pipeline::{CompileError, CompileOptions, Compiled, compile_graph, equalized, ranges_of};
use crate::program::Storage;
use crate::quantize::{LayerMatrix, QuantScheme, WeightFormat};
use selvedge_core::artifact::digest;
use selvedge_core::params::{ConvI8, DenseI8, LowBit};
use selvedge_core::{Format, OpCode};
use selvedge_exec::elastic::{DEPTHWISE, Derived, ELASTIC_MAGIC, ELASTIC_VERSION, Header, Master, Segment, Version};
use std::collections::HashMap;
use std::ops::Range;
use zerocopy::{FromBytes, IntoBytes};

/// An elastic artifact and the artifacts it makes.
#[derive(Debug)]
pub struct CompiledElastic {
    pub bytes: Vec<u8>,
    /// Names and what was compiled under them.
    pub versions: Vec<(String, Compiled)>,
}

/// Compiles a loaded model in each of the formats, named as `names`. With samples, activations get
/// static grids.
///
/// # Errors
/// [`CompileError`].
pub fn compile_elastic(
    graph: &Graph,
    samples: Option<Vec<Sample>>,
    options: &CompileOptions,
    formats: &[(String, WeightFormat)],
) -> Result<CompiledElastic, CompileError> {
    if let (true, Some(samples)) = (options.equalize, &samples) {
        let (made, options) = equalized(graph, samples, options)?;
        return compile_elastic(&made.graph, Some(samples.clone()), &options, formats);
    }
    let ranges = samples.map(|samples| ranges_of(graph, samples, options)).transpose()?;
    let mut versions = Vec::with_capacity(formats.len());
    for (name, weights) in formats {
        let scheme = QuantScheme { weights: *weights, elastic: true, ..options.scheme.clone() };
        let options = CompileOptions { scheme, ..options.clone() };
        versions.push((name.clone(), compile_graph(graph.clone(), ranges.as_ref(), &options)?));
    }
    Ok(CompiledElastic { bytes: assemble(&versions), versions })
}

/// A layer of a version whose packed weights a device makes.
struct Layer<'a> {
    master: &'a MasterWeights,
    /// Convolution groups, rows of each, length of a row.
    sizes: [usize; 3],
    derived: Derived,
    /// Of the weights section.
    packed: Range<usize>,
}

/// Bytes behind the records, each run of them once.
#[derive(Default)]
struct Blob {
    bytes: Vec<u8>,
    seen: HashMap<Vec<u8>, u32>,
}

impl Blob {
    fn add(&mut self, data: &[u8]) -> u32 {
        if let Some(&at) = self.seen.get(data) {
            return at;
        }
        self.bytes.resize(self.bytes.len().next_multiple_of(16), 0);
        let at = self.bytes.len() as u32;
        self.bytes.extend_from_slice(data);
        self.seen.insert(data.to_vec(), at);
        at
    }
}

fn assemble(versions: &[(String, Compiled)]) -> Vec<u8> {
    let mut blob = Blob::default();
    let (mut records, mut masters): (Vec<Version>, Vec<Master>) = (Vec::new(), Vec::new());
    let (mut segments, mut derived): (Vec<Segment>, Vec<Derived>) = (Vec::new(), Vec::new());
    for (name, compiled) in versions {
        let weights = &compiled.program.weights;
        let head = compiled.artifact.len() - weights.len();
        let layers = layers(compiled);
        let (first_segment, first_derived) = (segments.len(), derived.len());
        for part in copied(compiled, &layers) {
            let data = &weights[part.clone()];
            if data.iter().any(|&byte| byte != 0) {
                segments.push(Segment { from: blob.add(data), to: part.start as u32, bytes: data.len() as u32 });
            }
        }
        for layer in &layers {
            let [groups, n, k] = layer.sizes.map(|size| size as u32);
            let master = Master { at: blob.add(layer.master.codes.as_bytes()), groups, n, k };
            let index = masters.iter().position(|m| *m == master).unwrap_or_else(|| {
                masters.push(master);
                masters.len() - 1
            });
            let ratios = if layer.master.ratios.is_empty() { 0 } else { blob.add(layer.master.ratios.as_bytes()) };
            derived.push(Derived { master: index as u32, ratios, ..layer.derived });
        }
        let mut name_bytes = [0; 16];
        name_bytes.iter_mut().zip(name.bytes()).for_each(|(to, from)| *to = from);
        records.push(Version {
            name: name_bytes,
            head: blob.add(&compiled.artifact[..head]),
            head_bytes: head as u32,
            weights_bytes: weights.len() as u32,
            arena_bytes: compiled.plan.arena_bytes as u32,
            first_segment: first_segment as u32,
            segments: (segments.len() - first_segment) as u32,
            first_derived: first_derived as u32,
            derived: (derived.len() - first_derived) as u32,
        });
    }
    let tables =
        [records.as_bytes().len(), masters.as_bytes().len(), segments.as_bytes().len(), derived.as_bytes().len()];
    let start = (size_of::<Header>() + tables.iter().sum::<usize>()).next_multiple_of(16);
    let moved = start as u32;
    records.iter_mut().for_each(|version| version.head += moved);
    masters.iter_mut().for_each(|master| master.at += moved);
    segments.iter_mut().for_each(|segment| segment.from += moved);
    derived.iter_mut().for_each(|derived| derived.ratios += moved);
    let header = Header {
        magic: ELASTIC_MAGIC,
        version: ELASTIC_VERSION,
        total_bytes: (start + blob.bytes.len()) as u32,
        versions: records.len() as u32,
        masters: masters.len() as u32,
        segments: segments.len() as u32,
        derived: derived.len() as u32,
        reserved: 0,
        digest: [0; 32],
    };
    let mut bytes =
        [header.as_bytes(), records.as_bytes(), masters.as_bytes(), segments.as_bytes(), derived.as_bytes()].concat();
    bytes.resize(start, 0);
    bytes.extend_from_slice(&blob.bytes);
    let sum = digest(&bytes);
    bytes[size_of::<Header>() - 32..size_of::<Header>()].copy_from_slice(&sum);
    bytes
}

/// The layers of a version that come from int8 masters.
fn layers(compiled: &Compiled) -> Vec<Layer<'_>> {
    let mut found = Vec::new();
    for node in &compiled.graph.nodes {
        let Some(value) = node.inputs.get(1).copied().flatten().map(|id| compiled.graph.value(id)) else { continue };
        let (Some(master), Some(matrix)) = (&value.master, LayerMatrix::of(&compiled.graph, node)) else { continue };
        let is_layer =
            |op| matches!(op, OpCode::Dense | OpCode::DenseLowRank | OpCode::Conv2d | OpCode::DepthwiseConv2d);
        let integer = |format| !matches!(format, Format::F32);
        let step = compiled.program.steps.iter().find(|s| s.name == node.name && is_layer(s.op) && integer(s.format));
        let Some(step) = step else { continue };
        let (own, arrays) = match step.op {
            OpCode::Conv2d | OpCode::DepthwiseConv2d => match ConvI8::read_from_prefix(&step.params) {
                Ok((p, _)) => (size_of::<ConvI8>(), p.arrays),
                Err(_) => continue,
            },
            _ => match DenseI8::read_from_prefix(&step.params) {
                Ok((p, _)) => (size_of::<DenseI8>(), p.arrays),
                Err(_) => continue,
            },
        };
        let low = step.params.get(own..).and_then(|bytes| Some(LowBit::read_from_prefix(bytes).ok()?.0));
        let low = low.filter(|_| value.low_bit.is_some());
        let groups = match node.op {
            Op::Conv { groups, .. } if !matrix.depthwise => groups,
            _ => 1,
        };
        let depthwise = if matrix.depthwise { DEPTHWISE } else { 0 };
        found.push(Layer {
            master,
            sizes: [groups, matrix.n / groups.max(1), matrix.k],
            derived: Derived {
                master: 0,
                to: arrays.weights,
                format: step.format as u32 | depthwise,
                group: low.map_or(0, |low| low.group),
                zero: value.low_bit.as_ref().map_or(0, |low| u32::from(low.rows.zero)),
                ratios: 0,
                scales: low.map_or(selvedge_core::params::NONE, |low| low.scales),
            },
            packed: arrays.weights as usize..(arrays.weights + arrays.weights_bytes) as usize,
        });
    }
    found
}

/// The parts of the weights section that no layer makes: large constants apart, so that versions
/// share them.
fn copied(compiled: &Compiled, layers: &[Layer<'_>]) -> Vec<Range<usize>> {
    const LARGE: usize = 256;
    let mut borders: Vec<usize> = vec![0, compiled.program.weights.len()];
    for tensor in &compiled.program.tensors {
        if let (Storage::Const(at), LARGE..) = (tensor.storage, tensor.bytes()) {
            borders.extend([at as usize, at as usize + tensor.bytes()]);
        }
    }
    borders.extend(layers.iter().flat_map(|layer| [layer.packed.start, layer.packed.end]));
    borders.sort_unstable();
    borders.dedup();
    let made = |at: usize| layers.iter().any(|layer| layer.packed.contains(&at));
    borders.windows(2).map(|pair| pair[0]..pair[1]).filter(|part| !made(part.start)).collect()
}
