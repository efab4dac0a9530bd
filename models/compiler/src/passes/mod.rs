//! Rewrites of the graph that keep what it computes, one per file.
//!
//! [`optimize`] runs those that do not need ranges; constants must have been
//! folded before. [`eliminate_dead_channels`] follows quantization.
mod absorb_fake_quant;
pub(crate) mod constants;
mod dead_channels;
mod dead_code;
mod drop_channels;
mod early_casts;
pub(crate) mod edit;
mod eval;
mod factorize;
mod fold_batch_norm;
mod fold_by_running;
mod fold_constants;
mod fold_pads;
mod fold_plain;
mod fold_scales;
mod fuse_activations;
mod fuse_group_norm;
mod fuse_layer_norm;
mod fuse_patterns;
mod integer;
mod join_transposes;
mod layout;
mod matmul_to_dense;
mod merge_duplicates;
pub(crate) mod permute;
mod sink_reshapes;
mod sink_transposes;
mod split_layers;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod testing_eval;
#[cfg(test)]
mod testing_integer;

pub use absorb_fake_quant::{FakeQuantStats, absorb_fake_quant, propagate_grids};
pub use dead_channels::{DeadChannelStats, eliminate_dead_channels};
pub use dead_code::{DeadCodeStats, dead_code};
pub use early_casts::early_casts;
pub use factorize::{
    ConvForm, FactorForm, FactorRank, FactorizeError, FactorizeOptions, FactorizedConv, factorize_convs,
};
pub use fold_batch_norm::fold_batch_norm;
pub use fold_constants::fold_constants;
pub(crate) use fold_constants::fold_node;
pub use fold_pads::fold_pads;
pub use fold_scales::fold_scales;
pub use fuse_activations::fuse_activations;
pub use fuse_group_norm::fuse_group_norm;
pub use fuse_layer_norm::fuse_layer_norm;
pub use fuse_patterns::fuse_patterns;
pub use layout::{LayoutStats, device_layout};
pub use matmul_to_dense::matmul_to_dense;
pub use merge_duplicates::merge_duplicates;
pub use sink_reshapes::sink_reshapes;
pub use split_layers::split_layers;

use crate::graph::Graph;

/// Brings an imported graph, its constants folded, into the device's form:
/// channels last, fused, with as few explicit FakeQuants and Transposes as the
/// passes can manage.
pub fn optimize(graph: &mut Graph) {
    // Constant folding belongs in front of this call: it is the importer's,
    // and none of the passes below leaves constant expressions behind.
    early_casts(graph);
    fuse_to_fixed_point(graph);
    device_layout(graph);
    fuse_to_fixed_point(graph);
    propagate_grids(graph);
    dead_code(graph);
}

/// The passes that do not care about the layout, until none finds work.
fn fuse_to_fixed_point(graph: &mut Graph) {
    loop {
        let nodes = graph.nodes.len();
        dead_code(graph);
        let mut work = matmul_to_dense(graph) + merge_duplicates(graph) + sink_reshapes(graph);
        dead_code(graph);
        work += fuse_group_norm(graph);
        work += fuse_patterns(graph) + fuse_layer_norm(graph);
        work += fold_pads(graph) + fold_batch_norm(graph) + fuse_activations(graph);
        let quantizers = absorb_fake_quant(graph);
        work += quantizers.absorbed + quantizers.vanished;
        // Last: the factor may be a part of an activation that is spelled out (the ½ of Gelu, the ⅙ of HardSwish).
        if work == 0 {
            work += fold_scales(graph);
        }
        dead_code(graph);
        if work == 0 && graph.nodes.len() == nodes {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{Build, check, check_names, count, square, transposes};
    use super::*;
    use crate::graph::{Binary, Constant, Layout, Op, QuantCodes, Unary, ValueId};

    /// Constant `id` as if DequantizeLinear had made it.
    fn coded(b: &mut Build, id: ValueId, bits: u8) {
        let value = b.graph.value_mut(id);
        let codes: Vec<i32> = value.f32s().expect("f32").iter().map(|x| (x * 100.0) as i32).collect();
        value.data = Some(Constant::F32(codes.iter().map(|&q| q as f32 / 100.0).collect()));
        let (scales, zeros) = (vec![0.01], vec![0]);
        value.codes = Some(QuantCodes { bits, signed: true, axis: 0, block: 0, scales, zeros, codes, dynamic: false });
    }

    /// A convolution with coded weights, its Relu, and a Transpose pair such as
    /// tf2onnx leaves, between it and its quantizer.
    fn loose_conv(b: &mut Build, x: ValueId, channels: usize, zero_point: i32) -> ValueId {
        let y = b.conv(x, channels, 3, 1);
        let w = b.graph.nodes.last().expect("conv").inputs[1].expect("weights");
        coded(b, w, 8);
        let y = b.transpose(y, &[0, 2, 3, 1]);
        let y = b.unary(Unary::Relu, y);
        let y = b.fake_quant(y, 0.03, zero_point);
        let y = b.fake_quant(y, 0.03, zero_point);
        b.transpose(y, &[0, 3, 1, 2])
    }

    #[test]
    fn a_loosely_quantized_network_becomes_integer_layers() {
        let mut b = Build::new();
        let x = b.input(&[1, 8, 8, 3]);
        let q = b.fake_quant(x, 0.02, -3);
        let h = b.transpose(q, &[0, 3, 1, 2]);
        let h = loose_conv(&mut b, h, 4, -128);
        let side = loose_conv(&mut b, h, 4, -100);
        let sum = b.binary(Binary::Add, h, side);
        let sum = b.fake_quant(sum, 0.06, -128);
        let pool = Op::MaxPool { window: square(2, 2, 0), layout: Layout::Nchw };
        let pooled = b.node(pool, &[sum], &[1, 4, 4, 4]);
        let flat = b.node(Op::Reshape, &[pooled], &[1, 64]);
        let flat = b.fake_quant(flat, 0.06, -128);
        let matrix = b.random(&[64, 5]);
        coded(&mut b, matrix, 8);
        let y = b.node(Op::MatMul, &[flat, matrix], &[1, 5]);
        let bias = b.random(&[5]);
        coded(&mut b, bias, 32);
        let y = b.binary(Binary::Add, y, bias);
        let y = b.fake_quant(y, 0.5, 7);
        let before = b.finish(&[y]);
        let graph = check(before.clone(), optimize);
        check_names(&before, &graph);
        assert_eq!((transposes(&graph), count(&graph, |op| *op == Op::FakeQuant)), (0, 1));
        // Quantize, two convolutions, sum, pool, flatten, dense.
        assert_eq!(graph.nodes.len(), 7);
        for node in &graph.nodes {
            assert!(graph.value(node.outputs[0]).quant.is_some(), "{}", node.name);
        }
        let dense = graph.nodes.last().expect("dense");
        assert!(matches!(dense.op, Op::Dense { .. }));
        for slot in [1, 2] {
            assert!(graph.value(dense.inputs[slot].expect("a constant")).codes.is_some());
        }
    }
}
