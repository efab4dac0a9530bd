//! The QOperator form (QLinearConv and its kin): the float operator on lifted
//! operands, then the grid of the output.
use tract_onnx::pb::{AttributeProto, NodeProto};

use super::attrs::{self, node_name};
use super::error::{NodeResult, bad, refuse};
use super::lift::Lift;
use super::quant::{Params, dequantize};
use super::tensor::{Elem, Tensor};
use crate::graph::QuantCodes;

/// Which inputs of a QOperator node are what.
pub(crate) struct QOp {
    /// The float operator.
    pub op: &'static str,
    /// Data, scale and zero point of each operand.
    pub operands: Vec<[usize; 3]>,
    /// Scale and zero point of the output; `None` gives a float output.
    pub output: Option<[usize; 2]>,
    /// int32 bias on the product of the two operands' scales.
    pub bias: Option<usize>,
}

/// The roles of the inputs of `node`, if it is in QOperator form.
pub(crate) fn describe(node: &NodeProto) -> NodeResult<Option<QOp>> {
    let given = |i: usize| node.input.get(i).is_some_and(|n| !n.is_empty());
    let two = vec![[0, 1, 2], [3, 4, 5]];
    let q = match node.op_type.as_str() {
        "QLinearConv" => QOp { op: "Conv", operands: two, output: Some([6, 7]), bias: given(8).then_some(8) },
        "QLinearMatMul" => QOp { op: "MatMul", operands: two, output: Some([6, 7]), bias: None },
        "QGemm" => QOp { op: "Gemm", operands: two, output: given(7).then_some([7, 8]), bias: given(6).then_some(6) },
        "QLinearAdd" => QOp { op: "Add", operands: two, output: Some([6, 7]), bias: None },
        "QLinearMul" => QOp { op: "Mul", operands: two, output: Some([6, 7]), bias: None },
        "QLinearSigmoid" => one("Sigmoid"),
        "QLinearLeakyRelu" => one("LeakyRelu"),
        "QLinearSoftmax" => {
            // Up to operator set 12 all axes from `axis` on were one.
            if attrs::int(node, "opset", 13)? < 13 && attrs::int(node, "axis", 1)? != -1 {
                return refuse("a softmax of several axes at once", "export with operator set 13 or later");
            }
            one("Softmax")
        }
        "QLinearAveragePool" => one("AveragePool"),
        "QLinearGlobalAveragePool" => one("GlobalAveragePool"),
        "QLinearConcat" => {
            let count = node.input.len();
            if count < 5 || !(count - 2).is_multiple_of(3) {
                return bad(format!("{count} inputs are not two and a multiple of three"));
            }
            let operands = (2..count).step_by(3).map(|i| [i, i + 1, i + 2]).collect();
            QOp { op: "Concat", operands, output: Some([0, 1]), bias: None }
        }
        _ => return Ok(None),
    };
    let needed = q.operands.iter().flatten().copied().max().unwrap_or(0);
    if node.input.len() <= needed || q.operands.iter().any(|o| !given(o[0])) {
        return bad("an operand is missing");
    }
    if attrs::int(node, "channels_last", 0)? != 0 {
        return refuse("channels_last layout", "export with channels first");
    }
    Ok(Some(q))
}

fn one(op: &'static str) -> QOp {
    QOp { op, operands: vec![[0, 1, 2]], output: Some([3, 4]), bias: None }
}

/// Emits the float operator of `node` and the grid of its output.
pub(crate) fn rewrite(lift: &mut Lift, node: &NodeProto, q: &QOp) -> NodeResult<()> {
    let mut inputs = Vec::new();
    for operand in &q.operands {
        inputs.push(float_operand(lift, node, q.op, *operand)?);
    }
    if let Some(b) = q.bias {
        inputs.push(float_bias(lift, node, q, b)?);
    }
    let y = &node.output[0];
    let real = if q.output.is_some() { lift.model.fresh(&format!("{y}_real")) } else { y.clone() };
    let dropped = |a: &&AttributeProto| !matches!(a.name.as_str(), "channels_last" | "output_dtype" | "opset");
    lift.out.push(NodeProto {
        op_type: q.op.into(),
        name: node_name(node),
        input: inputs,
        output: vec![real.clone()],
        attribute: node.attribute.iter().filter(dropped).cloned().collect(),
        ..Default::default()
    });
    if q.output.is_some() {
        lift.fake_quant(node, real);
    }
    Ok(())
}

fn float_operand(lift: &mut Lift, node: &NodeProto, op: &str, [x, s, z]: [usize; 3]) -> NodeResult<String> {
    let name = &node.input[x];
    let Some(codes) = lift.model.consts.get(name) else { return Ok(lift.resolve(name)) };
    let mut axis = match op {
        "Conv" => 0,
        _ => codes.dims.len() as i64 - 1,
    };
    if op == "Gemm" && x == 3 && attrs::flag(node, "transB", false)? {
        axis = 0;
    }
    // `axis` is Concat's own attribute here, none of the quantization.
    let plain = NodeProto { op_type: node.op_type.clone(), ..Default::default() };
    let params = Params::new(lift.model, node, s, z)?;
    let t = dequantize(codes, &params, &plain, axis)?;
    let fresh = lift.model.fresh(&format!("{name}_dequant"));
    lift.model.consts.insert(fresh.clone(), t);
    Ok(fresh)
}

/// int32 bias: its scale is the product of the operands' scales, per channel
/// where the weights' is.
fn float_bias(lift: &mut Lift, node: &NodeProto, q: &QOp, b: usize) -> NodeResult<String> {
    if q.op == "Gemm" && attrs::float(node, "alpha", 1.0)? != 1.0 {
        return refuse("a bias together with alpha ≠ 1", "fold alpha into the scale of the weights");
    }
    let name = &node.input[b];
    let Some(bias) = lift.model.consts.get(name) else {
        return refuse("a computed bias", "make the bias a constant");
    };
    let (Elem::Int { bits: 32, signed: true }, Some(codes)) = (bias.elem, bias.i32s()) else {
        return bad(format!("its bias has type {:?}, expected int32", bias.elem));
    };
    let scales =
        |i: usize| Params::new(lift.model, node, i, usize::MAX).map(|p| p.scale.f32s().unwrap_or(&[]).to_vec());
    let (x, w) = (scales(q.operands[0][1])?, scales(q.operands[1][1])?);
    let &[x] = x.as_slice() else { return refuse("an activation with several scales", "quantize it per tensor") };
    let scales: Vec<f32> = w.iter().map(|w| x * w).collect();
    if codes.is_empty() || (scales.len() > 1 && bias.dims.last() != Some(&scales.len())) {
        return bad(format!("bias of shape {:?} with {} weight scales", bias.dims, scales.len()));
    }
    let data = codes.iter().enumerate().map(|(i, &c)| c as f32 * scales[i % scales.len()]).collect();
    let codes = QuantCodes {
        bits: 32,
        signed: true,
        axis: bias.dims.len().saturating_sub(1),
        block: 0,
        zeros: vec![0; scales.len()],
        scales,
        codes: codes.to_vec(),
        dynamic: false,
    };
    let t = Tensor { codes: Some(codes), ..Tensor::f32(bias.dims.clone(), data) };
    let fresh = lift.model.fresh(&format!("{name}_dequant"));
    lift.model.consts.insert(fresh.clone(), t);
    Ok(fresh)
}
