//! Lowering: every node of the graph becomes steps of the device.
//!
//! A value with an 8-bit grid is stored as int8, one with a 16-bit grid around 0 as int16, any other as its own type. A
//! step is an integer step when its data inputs and its output have grids;
//! otherwise it runs in f32 between Dequantize (shared by all readers) and Quantize.
mod blocks;
pub(crate) mod branches;
mod compact;
mod concat;
mod context;
mod conv;
mod dense;
mod dynamic_matmul;
pub(crate) mod elementwise;
mod embedding;
mod error;
mod fuse;
mod group_norm;
mod in_place;
mod indexed;
mod integer;
mod io;
mod layer;
mod low_bit;
mod movement;
mod nd;
mod norm;
mod pairs;
pub(crate) mod plain_int;
pub(crate) mod pool;
mod pool2d;
mod recurrent;
pub(crate) mod recurrent_i8;
pub(crate) mod reduce;
pub mod requant;
mod softmax;
mod spec;
mod stored;
pub(crate) mod table;
#[cfg(test)]
mod tests;
mod wide;

pub use error::LowerError;
pub use pairs::{PairRule, fuse_conv_pairs};

use crate::graph::{Graph, Node, Op};
use crate::plan::lifetimes;
use crate::program::Program;
use context::Lowering;
use selvedge_core::Format;
use selvedge_core::shape::MAX_RANK;
use selvedge_exec::MAX_LIVE;
use selvedge_kernels::scan::Running;

/// What the packing is made for. All targets share the portable packing today;
/// the target is recorded in the artifact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum TargetSpec {
    /// Runs everywhere.
    #[default]
    Portable,
    X86_64V3,
    Aarch64,
    CortexM,
    Wasm,
}

impl TargetSpec {
    pub const PORTABLE: TargetSpec = TargetSpec::Portable;
    pub const X86_64_V3: TargetSpec = TargetSpec::X86_64V3;
    pub const AARCH64: TargetSpec = TargetSpec::Aarch64;
    pub const CORTEX_M: TargetSpec = TargetSpec::CortexM;
    pub const WASM: TargetSpec = TargetSpec::Wasm;

    const ALL: [TargetSpec; 5] = [Self::PORTABLE, Self::X86_64_V3, Self::AARCH64, Self::CORTEX_M, Self::WASM];

    /// The target of a name on the command line.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|target| target.name() == name)
    }

    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            TargetSpec::Portable => "portable",
            TargetSpec::X86_64V3 => "x86-64-v3",
            TargetSpec::Aarch64 => "aarch64",
            TargetSpec::CortexM => "cortex-m",
            TargetSpec::Wasm => "wasm",
        }
    }
}

/// Choices of lowering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LowerOptions {
    /// Put integer additions into the convolution before them and run steps in place.
    pub fuse: bool,
    /// Compute every quantized value in f32 and pass it through quantize and
    /// dequantize: the oracle of the integer program.
    pub simulate: bool,
    /// Keep the weights of each step together, so that they can be read step by step.
    pub stage: bool,
}

impl Default for LowerOptions {
    fn default() -> Self {
        LowerOptions { fuse: true, simulate: false, stage: false }
    }
}

/// Lowers an optimized graph (see `passes::optimize`) to a program.
///
/// # Errors
/// [`LowerError`] names the node or value the device has no form for, and a remedy.
pub fn lower(graph: &Graph, target: &TargetSpec, options: &LowerOptions) -> Result<Program, LowerError> {
    let mut lowering = Lowering::new(graph, target, *options);
    lowering.lower_inputs()?;
    for node in &graph.nodes {
        lowering.lower_node(node)?;
    }
    lowering.lower_outputs()?;
    lowering.lower_states()?;
    let Lowering { mut program, pool, .. } = lowering;
    program.weights = pool.bytes;
    let weights = weight_format(&program);
    program.meta.insert("weights".into(), weights.into());
    if options.fuse {
        fuse::fuse_residual_adds(&mut program);
        in_place::mark_in_place(&mut program);
    }
    compact::drop_unused_tensors(&mut program);
    check_limits(&program)?;
    Ok(program)
}

/// What the layers' weights are stored as.
fn weight_format(program: &Program) -> &'static str {
    let layers = program.steps.iter().filter(|step| step.weights_bytes > 0 && step.macs > 0);
    let (mut int8, mut float, mut half, mut widened, mut wide) = (false, false, false, false, false);
    for layer in layers {
        int8 |= layer.format == Format::W8;
        float |= layer.format == Format::F32;
        half |= layer.format == Format::F16;
        widened |= layer.format == Format::F32W8;
        wide |= layer.format == Format::I16W8;
    }
    match (int8, float) {
        _ if half => "f16",
        _ if widened => "w8 (f32 activations)",
        _ if wide => "w8 (int16 activations)",
        (true, true) => "w8+f32",
        (true, false) => "w8",
        (false, true) => "f32",
        (false, false) => "none",
    }
}

fn check_limits(program: &Program) -> Result<(), LowerError> {
    for tensor in &program.tensors {
        if tensor.dims.len() > MAX_RANK {
            let reason = format!("has rank {}", tensor.dims.len());
            return Err(LowerError::value(&tensor.name, reason, format!("use at most {MAX_RANK} axes")));
        }
        if tensor.elements() == 0 {
            return Err(LowerError::value(&tensor.name, "has no elements", "remove the empty tensor from the model"));
        }
        if tensor.elements() >= 1 << 29 {
            return Err(LowerError::value(&tensor.name, "has too many elements", "split the tensor"));
        }
    }
    for step in &program.steps {
        if step.inputs.len() > u8::MAX as usize {
            return Err(LowerError::value(&step.name, "has more than 255 inputs", "join them in two stages"));
        }
    }
    if let Some(step) = crowded_step(program) {
        let reason = format!("runs while more than {MAX_LIVE} tensors are alive");
        return Err(LowerError::value(&program.steps[step].name, reason, "split the model"));
    }
    let most = u16::MAX as usize - 2;
    if program.tensors.len() > most || program.steps.len() > most {
        return Err(LowerError::value(&program.name, "has more than 65533 tensors or steps", "split the model"));
    }
    if program.weights.len() >= u32::MAX as usize / 2 {
        return Err(LowerError::value(&program.name, "has more than 2 GiB of weights", "quantize it"));
    }
    Ok(())
}

/// A step at which more tensors are alive than the runtime tracks.
fn crowded_step(program: &Program) -> Option<usize> {
    let mut change = vec![0isize; program.steps.len() + 3];
    for (tensor, life) in program.tensors.iter().zip(lifetimes(program)) {
        if !tensor.is_const() {
            change[life.first] += 1;
            change[life.last + 1] -= 1;
        }
    }
    let mut live = change[0];
    (0..program.steps.len()).find(|&step| {
        live += change[1 + step];
        live > MAX_LIVE as isize
    })
}

impl Lowering<'_> {
    fn lower_node(&mut self, node: &Node) -> Result<(), LowerError> {
        match &node.op {
            Op::Conv { window, groups, layout, clamp } => self.lower_conv(node, window, *groups, *layout, *clamp),
            Op::ConvTranspose { window, groups, layout, .. } => {
                self.lower_conv_transpose(node, window, *groups, *layout)
            }
            Op::Dense { clamp } => self.lower_dense(node, *clamp),
            Op::MatMul => self.lower_matmul(node),
            Op::DynamicMatMul { transposed } => self.lower_dynamic_matmul(node, *transposed),
            Op::LayerNorm { epsilon } => self.lower_layer_norm(node, *epsilon),
            Op::BatchNorm { epsilon } => self.lower_batch_norm(node, *epsilon),
            Op::GroupNorm { groups, epsilon, layout, clamp } => {
                self.lower_group_norm(node, *groups, *epsilon, *layout, *clamp)
            }
            Op::Recurrent(layer) => self.lower_recurrent(node, layer),
            Op::MaxPool { window, layout } => self.lower_max_pool(node, window, *layout),
            Op::AvgPool { window, layout, count_include_pad } => {
                self.lower_avg_pool(node, window, *layout, *count_include_pad)
            }
            Op::Unary(f) => self.lower_unary(node, *f),
            Op::Binary { kind, clamp } => self.lower_binary(node, *kind, *clamp),
            Op::Softmax { axis } => self.lower_softmax(node, *axis),
            Op::Reduce { kind, axes, .. } => self.lower_reduce(node, *kind, axes),
            Op::Reshape => self.lower_reshape(node),
            Op::Transpose { perm } => self.lower_transpose(node, perm),
            Op::Concat { axis } => self.lower_concat(node, *axis),
            Op::Pad { begin, value, .. } => self.lower_pad(node, begin, *value),
            Op::Slice { start, step } => self.lower_slice(node, start, step),
            Op::Gather { axis } => self.lower_gather(node, *axis),
            Op::Expand => self.lower_expand(node),
            Op::GatherElements { nd, axis } => self.lower_gather_elements(node, *nd, *axis),
            Op::Scatter { nd, axis, reduction } => self.lower_scatter(node, *nd, *axis, *reduction),
            Op::TopK { axis, largest } => self.lower_top_k(node, *axis, *largest),
            Op::Resample { axis, taps } => self.lower_resample(node, *axis, taps),
            Op::ConvNd { window, groups, transposed } => self.lower_conv_nd(node, window, *groups, *transposed),
            Op::GridSample { mode, outside, align_corners } => {
                self.lower_grid_sample(node, *mode, *outside, *align_corners)
            }
            Op::MaxPoolNd { window, column_major } => self.lower_max_pool_nd(node, window, *column_major),
            Op::Cast => self.lower_cast(node),
            Op::Compare { kind } => self.lower_compare(node, *kind),
            Op::Select => self.lower_select(node),
            Op::ArgReduce { axis, least, last } => self.lower_arg_reduce(node, *axis, *least, *last),
            Op::CumSum { axis, exclusive, reverse, product } => {
                let how = Running { exclusive: *exclusive, reverse: *reverse, product: *product };
                self.lower_cum_sum(node, *axis, how)
            }
            Op::BitCast => self.lower_bit_cast(node),
            Op::FakeQuant => self.lower_fake_quant(node),
            Op::DynamicQuantizeLinear => self.lower_dynamic_quantize_linear(node),
            Op::MatMulInteger => self.lower_matmul_integer(node),
            Op::ConvInteger { window, groups, layout } => self.lower_conv_integer(node, window, *groups, *layout),
        }
    }
}
