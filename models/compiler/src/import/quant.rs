//! Quantization parameters and quantized constants.
use tract_onnx::pb::NodeProto;

use super::attrs;
use super::error::{NodeResult, bad, refuse};
use super::model::Model;
use super::tensor::{Data, Elem, Tensor};
use crate::graph::{ActQuant, QuantCodes};

/// Per-tensor grid of an activation with the zero point as the file has it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Grid {
    pub scale: f32,
    pub zero: i32,
    pub elem: Elem,
}

impl Grid {
    /// The graph's form: signed, unsigned grids shifted by half their range.
    pub(crate) fn act_quant(self) -> NodeResult<ActQuant> {
        let Elem::Int { bits: bits @ (8 | 16), signed } = self.elem else {
            return refuse(
                format!("an activation grid of type {:?}", self.elem),
                "quantize activations to 2, 4, 8 or 16 bits",
            );
        };
        let shift = if signed { 0 } else { 1 << (bits - 1) };
        Ok(ActQuant { scale: self.scale, zero_point: self.zero - shift, bits, unsigned: !signed })
    }
}

/// Scale and zero point of a quantizing node, both constant.
pub(crate) struct Params<'a> {
    pub scale: &'a Tensor,
    pub zero: Option<&'a Tensor>,
}

impl<'a> Params<'a> {
    /// Reads the inputs `scale` and `zero` of `node` and checks their values.
    pub(crate) fn new(model: &'a Model, node: &NodeProto, scale: usize, zero: usize) -> NodeResult<Params<'a>> {
        let get = |i: usize| match node.input.get(i).filter(|n| !n.is_empty()) {
            None => Ok(None),
            Some(name) => match model.consts.get(name) {
                Some(t) => Ok(Some(t)),
                None => refuse(
                    format!("its quantization parameter `{name}` is computed at run time"),
                    "export the model with static quantization",
                ),
            },
        };
        let Some(s) = get(scale)? else { return bad("it has no scale") };
        let z = get(zero)?;
        let Some(scales) = s.f32s() else { return bad("its scale is no floating-point tensor") };
        if let Some(v) = scales.iter().find(|v| !(v.is_normal() && **v > 0.0)) {
            return bad(format!("scale {v} is not a positive normal number"));
        }
        if let Some(z) = z {
            let one = |t: &Tensor| t.len() == 1 && t.dims.len() <= 1;
            if z.dims != s.dims && !(one(z) && one(s)) {
                return bad(format!("zero point of shape {:?} with a scale of shape {:?}", z.dims, s.dims));
            }
            match z.elem {
                Elem::Int { bits, .. } if bits <= 32 && z.i32s().is_some() => {}
                other => return bad(format!("zero point of type {other:?}")),
            }
        }
        Ok(Params { scale: s, zero: z })
    }

    /// The grid of an activation whose codes have type `elem`.
    pub(crate) fn grid(&self, elem: Elem) -> NodeResult<Grid> {
        let scales = self.scale.f32s().unwrap_or(&[]);
        let &[scale] = scales else {
            return refuse(
                format!("an activation with {} scales (per axis or per block)", scales.len()),
                "quantize activations per tensor",
            );
        };
        let zero = match self.zero {
            None => 0,
            Some(z) if z.elem != elem => {
                return bad(format!("zero point of type {:?} for codes of type {elem:?}", z.elem));
            }
            Some(z) => z.i32s().and_then(|v| v.first()).copied().unwrap_or(0),
        };
        Ok(Grid { scale, zero, elem })
    }

    /// How the scales spread over a constant of shape `dims`.
    fn spread(&self, node: &NodeProto, default_axis: i64, dims: &[usize]) -> NodeResult<Spread> {
        let count = self.scale.len();
        let block = attrs::int(node, "block_size", 0)?;
        if block < 0 {
            return bad(format!("block_size {block} is negative"));
        }
        if block == 0 && count == 1 && self.scale.dims.len() <= 1 {
            return Ok(Spread { axis: 0, block: 0, len: 1, inner: 1, one: true });
        }
        let axis = attrs::axis(attrs::int(node, "axis", default_axis)?, dims.len())?;
        let mut wanted = vec![dims[axis]];
        if block > 0 {
            wanted = dims.to_vec();
            wanted[axis] = dims[axis].div_ceil(block as usize);
        }
        if self.scale.dims != wanted {
            return bad(format!(
                "scale of shape {:?} for a tensor {dims:?} along axis {axis} with block_size {block}, expected {wanted:?}",
                self.scale.dims
            ));
        }
        let inner = dims[axis + 1..].iter().product();
        Ok(Spread { axis, block: block as usize, len: dims[axis], inner, one: false })
    }
}

struct Spread {
    axis: usize,
    block: usize,
    len: usize,
    inner: usize,
    one: bool,
}

impl Spread {
    /// Index of the scale of element `i` of the tensor.
    fn of(&self, i: usize) -> usize {
        if self.one {
            return 0;
        }
        let along = i / self.inner % self.len;
        match self.block {
            0 => along,
            b => (i / self.inner / self.len * self.len.div_ceil(b) + along / b) * self.inner + i % self.inner,
        }
    }
}

/// The f32 tensor, with its codes, that DequantizeLinear makes of `codes`.
pub(crate) fn dequantize(codes: &Tensor, params: &Params, node: &NodeProto, default_axis: i64) -> NodeResult<Tensor> {
    let (Elem::Int { bits, signed }, Some(q)) = (codes.elem, codes.i32s()) else {
        return bad(format!("a tensor of type {:?} cannot be dequantized", codes.elem));
    };
    if let Some(z) = params.zero
        && z.elem != codes.elem
    {
        return bad(format!("zero point of type {:?} for codes of type {:?}", z.elem, codes.elem));
    }
    let spread = params.spread(node, default_axis, &codes.dims)?;
    let scales = params.scale.f32s().unwrap_or(&[]).to_vec();
    let zeros = params.zero.and_then(|z| z.i32s()).map_or_else(|| vec![0; scales.len()], <[i32]>::to_vec);
    let real = |(i, &v): (usize, &i32)| {
        let s = spread.of(i);
        (v as i64 - zeros[s] as i64) as f32 * scales[s]
    };
    let data: Vec<f32> = q.iter().enumerate().map(real).collect();
    let codes_out = QuantCodes {
        bits,
        signed,
        axis: spread.axis,
        block: spread.block,
        scales,
        zeros,
        codes: q.to_vec(),
        dynamic: false,
    };
    Ok(Tensor { codes: Some(codes_out), ..Tensor::f32(codes.dims.clone(), data) })
}

/// The integer tensor that QuantizeLinear makes of the constant `x`.
pub(crate) fn quantize(x: &Tensor, params: &Params, node: &NodeProto) -> NodeResult<Tensor> {
    let Some(values) = x.f32s() else { return refuse("quantizing an integer constant", "store the constant as f32") };
    let elem = output_elem(params, node)?;
    let spread = params.spread(node, 1, &x.dims)?;
    let scales = params.scale.f32s().unwrap_or(&[]);
    let zeros = params.zero.and_then(|z| z.i32s());
    let (lo, hi) = elem.range();
    let code = |(i, &v): (usize, &f32)| {
        let s = spread.of(i);
        let zero = zeros.map_or(0, |z| z[s]) as f64;
        ((v / scales[s]).round_ties_even() as f64 + zero).clamp(lo as f64, hi as f64) as i32
    };
    Ok(Tensor {
        dims: x.dims.clone(),
        elem,
        data: Data::I32(values.iter().enumerate().map(code).collect()),
        codes: None,
    })
}

/// Type of the codes a QuantizeLinear makes: its zero point's, its
/// `output_dtype`, or uint8.
pub(crate) fn output_elem(params: &Params, node: &NodeProto) -> NodeResult<Elem> {
    if let Some(z) = params.zero {
        return Ok(z.elem);
    }
    match attrs::int(node, "output_dtype", 0)? {
        0 => Ok(Elem::Int { bits: 8, signed: false }),
        code => match i32::try_from(code).ok().and_then(Elem::from_code) {
            Some(e @ Elem::Int { .. }) => Ok(e),
            _ => refuse(format!("output_dtype {code}"), "quantize to an integer type"),
        },
    }
}
