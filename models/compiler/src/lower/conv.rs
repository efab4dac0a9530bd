//! Conv and ConvTranspose.

use super::context::Lowering;
use super::dense::LayerIo;
use super::error::LowerError;
use super::layer::{IntWeights, LayerForm, float_clamp, int_bias, int_flags, int_weights};
use super::low_bit::{Packed, conv_scratch};
use super::spec::Spec;
use super::stored::Packing;
use crate::graph::{self, Clamp, Layout, Node, ValueId, Window};
use selvedge_core::artifact::step_flags;
use selvedge_core::{Format, OpCode, params};
use selvedge_kernels::{ConvShape, Element, pack};

/// The window as the artifact stores it.
pub(crate) fn window_params(w: &Window) -> params::Window {
    let pair = |v: [usize; 2]| [v[0] as u16, v[1] as u16];
    params::Window {
        kernel: pair(w.kernel),
        stride: pair(w.stride),
        dilation: pair(w.dilation),
        pad: [w.pads[0] as u16, w.pads[1] as u16],
    }
}

/// `[outer, inner, taps]` to `[outer, taps, inner]`: OIHW weights to OHWI.
pub(crate) fn channels_last<T: Copy>(data: &[T], outer: usize, inner: usize, taps: usize) -> Vec<T> {
    let mut out = Vec::with_capacity(data.len());
    for o in 0..outer {
        for t in 0..taps {
            out.extend((0..inner).map(|i| data[(o * inner + i) * taps + t]));
        }
    }
    out
}

/// Geometry and kind of a convolution.
pub(crate) struct ConvPlan {
    pub shape: ConvShape,
    pub depthwise: bool,
    pub window: params::Window,
}

impl ConvPlan {
    pub fn taps(&self) -> usize {
        self.shape.kernel_h * self.shape.kernel_w
    }

    /// Input channels of a group times taps.
    pub fn k(&self) -> usize {
        self.taps() * self.shape.in_c / self.shape.groups
    }

    pub fn macs(&self) -> usize {
        self.shape.batch * self.shape.out_h * self.shape.out_w * self.shape.out_c * self.k()
    }

    pub fn op(&self) -> OpCode {
        if self.depthwise { OpCode::DepthwiseConv2d } else { OpCode::Conv2d }
    }

    /// Packs i8 weights `[OC, IC/groups, taps]`.
    pub fn pack_int(&self, rows: &[i8]) -> Vec<i8> {
        let (groups, out_c, k) = (self.shape.groups, self.shape.out_c, self.k());
        if self.depthwise {
            let taps_first = channels_last(rows, 1, out_c, self.taps());
            let mut packed = vec![0; pack::depthwise_w8_bytes(out_c, self.taps())];
            pack::pack_depthwise_w8(&taps_first, out_c, self.taps(), &mut packed);
            return packed;
        }
        let rows = channels_last(rows, out_c, self.shape.in_c / groups, self.taps());
        let per = out_c / groups;
        let group_bytes = pack::w8_bytes(per, k);
        let mut packed = vec![0; groups * group_bytes];
        for g in 0..groups {
            pack::pack_w8(&rows[g * per * k..][..per * k], per, k, &mut packed[g * group_bytes..][..group_bytes]);
        }
        packed
    }

    /// Packs weights `[OC, IC/groups, taps]` of an f32 layer.
    fn pack_float<E: Element>(&self, rows: &[E]) -> Vec<E> {
        let (groups, out_c, k) = (self.shape.groups, self.shape.out_c, self.k());
        if self.depthwise {
            let taps_first = channels_last(rows, 1, out_c, self.taps());
            let mut packed = vec![E::default(); pack::depthwise_f32_elements(out_c, self.taps())];
            pack::pack_depthwise_f32(&taps_first, out_c, self.taps(), &mut packed);
            return packed;
        }
        let rows = channels_last(rows, out_c, self.shape.in_c / groups, self.taps());
        let per = out_c / groups;
        let each = pack::f32_elements(per, k);
        let mut packed = vec![E::default(); groups * each];
        for g in 0..groups {
            pack::pack_f32(&rows[g * per * k..][..per * k], per, k, &mut packed[g * each..][..each]);
        }
        packed
    }

    pub fn int_scratch(&self) -> usize {
        if self.depthwise { pack::depthwise_w8_scratch(&self.shape) } else { pack::conv_w8_scratch(&self.shape) }
    }

    fn float_scratch(&self) -> usize {
        if self.depthwise { pack::depthwise_f32_scratch(&self.shape) } else { pack::conv_f32_scratch(&self.shape) }
    }
}

impl Packing for ConvPlan {
    fn pack<E: Element>(&self, rows: &[E]) -> Vec<E> {
        self.pack_float(rows)
    }
}

/// Kernel family for reports.
fn conv_kernel(format: Format, depthwise: bool) -> &'static str {
    match (format, depthwise) {
        (Format::W4, false) => "conv2d_qs8_w4",
        (Format::W3, false) => "conv2d_qs8_w3",
        (Format::W2, false) => "conv2d_qs8_w2",
        (Format::T2, false) => "conv2d_qs8_t2",
        (_, false) => "conv2d_qs8_w8",
        (Format::W4, true) => "depthwise_qs8_w4",
        (Format::W3, true) => "depthwise_qs8_w3",
        (Format::W2, true) => "depthwise_qs8_w2",
        (Format::T2, true) => "depthwise_qs8_t2",
        (_, true) => "depthwise_qs8_w8",
    }
}

/// Of the layers that run in f32.
fn float_kernel(format: Format, depthwise: bool) -> &'static str {
    match (format, depthwise) {
        (Format::F16, false) => "conv2d_f32_f16",
        (Format::F32W8, false) => "conv2d_f32_w8",
        (_, false) => "conv2d_f32",
        (Format::F16, true) => "depthwise_f32_f16",
        (Format::F32W8, true) => "depthwise_f32_w8",
        (_, true) => "depthwise_f32",
    }
}

impl Lowering<'_> {
    /// Refuses what the graph passes should have rewritten.
    pub fn require_nhwc(&self, node: &Node, layout: Layout) -> Result<(), LowerError> {
        if layout == Layout::Nhwc {
            return Ok(());
        }
        Err(LowerError::node(self.graph, node, "its layout is NCHW", "run passes::optimize before lowering"))
    }

    /// Geometry of a spatial node; `in_c` and `out_c` from the tensors.
    pub fn spatial(
        &self,
        node: &Node,
        x: ValueId,
        y: ValueId,
        w: &Window,
        groups: usize,
    ) -> Result<ConvShape, LowerError> {
        let (&[batch, in_h, in_w, in_c], &[_, out_h, out_w, out_c]) =
            (self.graph.value(x).shape.as_slice(), self.graph.value(y).shape.as_slice())
        else {
            return Err(LowerError::node(
                self.graph,
                node,
                "its input is not rank 4",
                "reshape it to two spatial axes",
            ));
        };
        let small = |values: &[usize]| values.iter().all(|&v| v <= u16::MAX as usize);
        if !small(&w.kernel) || !small(&w.stride) || !small(&w.dilation) || !small(&w.pads) {
            return Err(LowerError::node(self.graph, node, "a window size exceeds 65535", "use a smaller window"));
        }
        Ok(ConvShape {
            batch,
            in_h,
            in_w,
            in_c,
            out_h,
            out_w,
            out_c,
            kernel_h: w.kernel[0],
            kernel_w: w.kernel[1],
            stride_h: w.stride[0],
            stride_w: w.stride[1],
            dilation_h: w.dilation[0],
            dilation_w: w.dilation[1],
            pad_top: w.pads[0],
            pad_left: w.pads[1],
            groups,
        })
    }

    pub fn conv_plan(
        &self,
        node: &Node,
        x: ValueId,
        y: ValueId,
        window: &Window,
        groups: usize,
    ) -> Result<ConvPlan, LowerError> {
        let shape = self.spatial(node, x, y, window, groups)?;
        if groups == 0 || shape.in_c % groups != 0 || shape.out_c % groups != 0 {
            return Err(LowerError::node(self.graph, node, "channels do not divide into groups", "check the model"));
        }
        let depthwise = groups > 1 && groups == shape.in_c && groups == shape.out_c;
        Ok(ConvPlan { shape, depthwise, window: window_params(window) })
    }

    pub fn lower_conv(
        &mut self,
        node: &Node,
        window: &Window,
        groups: usize,
        layout: Layout,
        clamp: Option<Clamp>,
    ) -> Result<(), LowerError> {
        self.require_nhwc(node, layout)?;
        let io = self.layer_io(node)?;
        let plan = self.conv_plan(node, io.x, io.y, window, groups)?;
        let form = self.layer_form(io.x, io.w, io.y);
        if !matches!(form, LayerForm::Float) {
            match self.conv_int(node, io, &plan, clamp, form) {
                Ok(()) => return Ok(()),
                Err(reason) => self.note(node, format!("runs in f32: {reason}")),
            }
        }
        self.conv_float(node, io, &plan, clamp)
    }

    fn conv_int(
        &mut self,
        node: &Node,
        io: LayerIo,
        plan: &ConvPlan,
        clamp: Option<Clamp>,
        form: LayerForm,
    ) -> Result<(), String> {
        let graph = self.graph;
        if let LayerForm::Wide { x, y } = form {
            return self.conv_wide(node, io, plan, clamp, (x, y));
        }
        let weights: IntWeights = int_weights(graph.value(io.w))?;
        let bias = io.bias.map(|id| graph.value(id));
        let packed = Packed::conv(&weights.rows, plan);
        let kernel = conv_kernel(weights.format(), plan.depthwise);
        let scratch = conv_scratch(&weights.rows, &plan.shape, plan.depthwise);
        let base = Spec::new(plan.op(), weights.format(), kernel).macs(plan.macs()).scratch(scratch);
        let mut params = params::ConvI8 {
            window: plan.window,
            groups: plan.shape.groups as u32,
            arrays: params::LayerArrays { weights: 0, weights_bytes: 0, bias: 0, multiplier: 0, shift: 0 },
            pad_value: 0,
            output_zero_point: 0,
            lo: -128,
            hi: 127,
            lo_f32: f32::NEG_INFINITY,
            hi_f32: f32::INFINITY,
        };
        if let LayerForm::Int { x, y } = form {
            let epilogue = super::layer::epilogue(&weights, &int_bias(bias, x.scale, &weights.scales)?, x, y)?;
            let stored = (self.pool.add_packed(&packed.bytes), packed.bytes.len());
            let (arrays, bytes) = self.store_epilogue(&epilogue, stored);
            let (lo, hi) = y.clamp(clamp);
            (params.arrays, params.pad_value, params.output_zero_point) = (arrays, x.zp, y.zp);
            (params.lo, params.hi) = (lo as i32, hi as i32);
            let (spec, more) = self.with_groups(base.params(&params), &packed);
            let spec = spec.flags(int_flags(&epilogue)).weights_bytes(bytes + more);
            let input = self.int(io.x).map_err(|e| e.to_string())?;
            self.produce_int(node, spec, &[Some(input)], io.y, y);
            return Ok(());
        }
        let x_grid = if let LayerForm::StaticToFloat { x } = form { Some(x) } else { None };
        let stored = (self.pool.add_packed(&packed.bytes), packed.bytes.len());
        let (arrays, bytes) = self.store_float_epilogue(&weights, bias, x_grid, stored)?;
        (params.lo_f32, params.hi_f32) = float_clamp(clamp);
        (params.arrays, params.pad_value) = (arrays, x_grid.map_or(0, |x| x.zp));
        let (spec, more) = self.with_groups(base.params(&params), &packed);
        let spec = spec.flags(step_flags::OUT_F32).weights_bytes(bytes + more);
        let all = graph.value(io.x).elements();
        self.float_from_sums(node, spec, io, x_grid, (all, 1)).map_err(|e| e.to_string())
    }

    fn conv_float(
        &mut self,
        node: &Node,
        io: LayerIo,
        plan: &ConvPlan,
        clamp: Option<Clamp>,
    ) -> Result<(), LowerError> {
        let weights = self.float_weights(node, io.w)?;
        let stored = self.store_float(&weights, plan);
        let kernel = float_kernel(stored.format, plan.depthwise);
        let (bias, bias_bytes) = self.float_bias(io.bias, plan.shape.out_c);
        let (lo, hi) = float_clamp(clamp);
        let params = params::ConvF32 {
            window: plan.window,
            groups: plan.shape.groups as u32,
            weights: stored.offset,
            weights_bytes: stored.bytes,
            bias,
            lo,
            hi,
        };
        let spec = Spec::new(plan.op(), stored.format, kernel)
            .params(&params)
            .more(&stored.more)
            .macs(plan.macs())
            .scratch(plan.float_scratch())
            .weights_bytes(stored.all_bytes + bias_bytes);
        let input = self.float(io.x)?;
        self.produce_float(node, spec, &[Some(input)], io.y);
        Ok(())
    }

    pub fn lower_conv_transpose(
        &mut self,
        node: &Node,
        window: &Window,
        groups: usize,
        layout: Layout,
    ) -> Result<(), LowerError> {
        self.require_nhwc(node, layout)?;
        let io = self.layer_io(node)?;
        let graph: &graph::Graph = self.graph;
        let weights = graph.value(io.w);
        let shape = self.spatial(node, io.x, io.y, window, groups)?;
        let data = weights.f32s().ok_or_else(|| {
            LowerError::node(graph, node, "its weights are not float", "dequantize them in the model")
        })?;
        let (taps, out_per) = (shape.kernel_h * shape.kernel_w, shape.out_c / groups.max(1));
        // [IC, OC/groups, taps] to [group][tap][input channel][output channel].
        let in_per = shape.in_c / groups.max(1);
        let mut packed = Vec::with_capacity(data.len());
        for g in 0..groups {
            for t in 0..taps {
                for ic in g * in_per..(g + 1) * in_per {
                    packed.extend((0..out_per).map(|oc| data[(ic * out_per + oc) * taps + t]));
                }
            }
        }
        let (bias, bias_bytes) = self.float_bias(io.bias, shape.out_c);
        let params = params::ConvF32 {
            window: window_params(window),
            groups: groups as u32,
            weights: self.pool.add_packed(&packed),
            weights_bytes: (packed.len() * 4) as u32,
            bias,
            lo: f32::NEG_INFINITY,
            hi: f32::INFINITY,
        };
        let macs = shape.batch * shape.in_h * shape.in_w * shape.in_c * out_per * taps;
        let spec = Spec::new(OpCode::ConvTranspose2d, Format::F32, "conv_transpose2d_f32")
            .params(&params)
            .macs(macs)
            .weights_bytes(packed.len() * 4 + bias_bytes);
        let input = self.float(io.x)?;
        self.produce_float(node, spec, &[Some(input)], io.y);
        Ok(())
    }
}
