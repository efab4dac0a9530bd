"""Train the digit classifier with few-bit weights and activations and write the models beside it.

    python train_qat.py              train on the whole train split, write the files
    python train_qat.py --out DIR    the same, into DIR
    python train_qat.py --validate   report accuracy on folds of the train split, write nothing

Methods: learned step sizes (LSQ, Esser et al. 2020) with 4-bit weights and activations and with 3-bit
ones, and ternary weights (TWN, Li and Liu 2016: threshold 0.7 of the mean magnitude, one scale an output
channel) with 8-bit activations. The first layer and the last have 8-bit weights. Each starts from the
float network of train.py with its batch normalization folded, and is fine-tuned on the same data; the
held-out test split is used once, after training.

The files quantize in three forms that exporters use: digits_lsq4.onnx in the 4-bit types of operator
set 21; digits_lsq3.onnx in 8-bit types with a Clip between QuantizeLinear and DequantizeLinear (QCDQ);
digits_ternary.onnx in 8-bit types. Biases are int32 on the grid of their sums.
"""

import argparse
import json
from pathlib import Path

import train as plain  # sets up jax: must come first

import jax
import jax.numpy as jnp
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from data import CLASSES, augment, load, scaled
from network import BN_EPSILON, LAYERS, RESIDUAL_FROM, RESIDUAL_TO

EPOCHS = 120
PEAK_RATE = 1e-3
INPUT_SCALE = np.float32(1 / 240)  # pixels of 1/16 are multiples of it

# name: (weight levels, greatest activation code)
NETS = {"lsq4": (7, 15), "lsq3": (3, 7), "ternary": (1, 255)}


def folded(parameters, statistics):
    """Weights and biases of the network without batch normalization."""
    out = {"fc.weight": parameters["fc.weight"], "fc.bias": parameters["fc.bias"]}
    for i, (kind, *_) in LAYERS.items():
        mean, variance = statistics[i]
        gain = parameters[f"bn{i}.scale"] / jnp.sqrt(variance + BN_EPSILON)
        out[f"{i}.weight"] = parameters[f"{kind}{i}.weight"] * gain[:, None, None, None]
        out[f"{i}.bias"] = parameters[f"bn{i}.bias"] - mean * gain
    return out


def rounded(x):
    """Rounds to even; the gradient passes."""
    return x + jax.lax.stop_gradient(jnp.round(x) - x)


def learned(x, step, lowest, highest):
    """LSQ: x on a grid of the step, the step with its own gradient."""
    factor = 1 / np.sqrt(x.size * highest)
    step = step * factor + jax.lax.stop_gradient(step * (1 - factor))
    return rounded(jnp.clip(x / step, lowest, highest)) * step


def ternary_scale(weight):
    """TWN by output channel: (alpha, threshold), shaped to broadcast."""
    axes = tuple(range(1, weight.ndim))
    size = jnp.abs(weight)
    threshold = 0.7 * size.mean(axes, keepdims=True)
    kept = size > threshold
    alpha = (size * kept).sum(axes, keepdims=True) / jnp.maximum(kept.sum(axes, keepdims=True), 1)
    return alpha, threshold


def is_edge(name):
    return name in ("1.weight", "fc.weight")


def weight_codes(p, name, levels):
    """(integer codes, scale): what the exported file holds, per tensor or per output channel."""
    weight = p[name]
    if is_edge(name):
        axes = tuple(range(1, weight.ndim))
        scale = jnp.abs(weight).max(axes, keepdims=True) / 127
        return jnp.round(weight / scale), scale
    if levels == 1:
        alpha, threshold = ternary_scale(weight)
        return jnp.sign(weight) * (jnp.abs(weight) > threshold), alpha
    step = p[f"{name}.step"]
    return jnp.round(jnp.clip(weight / step, -levels, levels)), step


def weight_of(p, name, levels):
    weight = p[name]
    if is_edge(name) or levels == 1:
        codes, scale = weight_codes(jax.lax.stop_gradient(p), name, levels)
        return weight + jax.lax.stop_gradient(codes * scale - weight)
    return learned(weight, p[f"{name}.step"], -levels, levels)


def act(p, name, x, highest, lowest=0):
    return learned(x, p[f"{name}.act"], lowest, highest)


def bias_of(p, name, x_scale, levels):
    """On the grid of the layer's sums."""
    _, scale = weight_codes(jax.lax.stop_gradient(p), f"{name}.weight", levels)
    grid = (scale * x_scale).reshape(-1)
    bias = p[f"{name}.bias"]
    return bias + jax.lax.stop_gradient(jnp.round(bias / grid) * grid - bias)


def forward(p, x, levels, highest):
    x = jnp.clip(jnp.round(x / INPUT_SCALE), 0, 255) * INPUT_SCALE
    scale, kept = INPUT_SCALE, None
    for i, (_, _, _, kernel, stride, groups) in LAYERS.items():
        pad = kernel // 2
        w = weight_of(p, f"{i}.weight", levels)
        x = jax.lax.conv_general_dilated(
            x, w, (stride, stride), ((pad, pad), (pad, pad)),
            dimension_numbers=("NCHW", "OIHW", "NCHW"), feature_group_count=groups,
        )
        x = x + bias_of(p, str(i), scale, levels)[:, None, None]
        if i == RESIDUAL_TO:
            x = act(p, "sum", x, 127, -128) + kept
        x = act(p, str(i), x, highest)
        scale = jax.lax.stop_gradient(p[f"{i}.act"])
        if i == RESIDUAL_FROM:
            kept = x
    x = act(p, "pool", x.mean((2, 3)), 255)
    scale = jax.lax.stop_gradient(p["pool.act"])
    return x @ weight_of(p, "fc.weight", levels).T + bias_of(p, "fc", scale, levels)


def with_steps(p, images, levels, highest):
    """Starting values of the step sizes, activations from the float network's values."""
    p = dict(p)
    x, kept = jnp.asarray(images), None
    start = lambda v, high: 2 * jnp.abs(v).mean() / np.sqrt(high)
    for i, (_, _, _, kernel, stride, groups) in LAYERS.items():
        pad = kernel // 2
        if not is_edge(f"{i}.weight") and levels > 1:
            p[f"{i}.weight.step"] = start(p[f"{i}.weight"], levels)
        x = jax.lax.conv_general_dilated(
            x, p[f"{i}.weight"], (stride, stride), ((pad, pad), (pad, pad)),
            dimension_numbers=("NCHW", "OIHW", "NCHW"), feature_group_count=groups,
        ) + p[f"{i}.bias"][:, None, None]
        if i == RESIDUAL_TO:
            p["sum.act"] = jnp.abs(x).max() / 127
            x = x + kept
        x = jax.nn.relu(x)
        p[f"{i}.act"] = x.max() / 255 if highest == 255 else start(x, highest)
        if i == RESIDUAL_FROM:
            kept = x
    p["pool.act"] = x.mean((2, 3)).max() / 255
    return p


def tune(p, images, labels, random, levels, highest):
    def loss(p, x, target):
        logits = forward(p, x, levels, highest)
        soft = jax.nn.one_hot(target, CLASSES) * (1 - plain.LABEL_SMOOTHING) + plain.LABEL_SMOOTHING / CLASSES
        return -(soft * jax.nn.log_softmax(logits)).sum(-1).mean()

    each = jax.tree.map

    @jax.jit
    def step(state, x, target, rate):
        p, first, second, count = state
        gradients = jax.grad(loss)(p, x, target)
        count = count + 1
        first = each(lambda m, g: 0.9 * m + 0.1 * g, first, gradients)
        second = each(lambda v, g: 0.99 * v + 0.01 * g * g, second, gradients)
        update = lambda p, m, v: p - rate * (m / (1 - 0.9**count)) / (jnp.sqrt(v / (1 - 0.99**count)) + 1e-8)
        tuned = each(update, p, first, second)
        # Steps stay positive.
        tuned = {k: jnp.maximum(v, 1e-5) if k.endswith((".step", ".act")) else v for k, v in tuned.items()}
        return tuned, first, second, count

    p = with_steps(p, images, levels, highest)
    zeros = each(jnp.zeros_like, p)
    state = (p, zeros, zeros, jnp.float32(0))
    batches = len(images) // plain.BATCH
    total = EPOCHS * batches
    for epoch in range(EPOCHS):
        order = random.permutation(len(images))[: batches * plain.BATCH]
        shown = augment(images[order], random)
        for b in range(batches):
            at = epoch * batches + b
            rate = PEAK_RATE * min(1, (at + 1) / plain.WARMUP_STEPS) * (1 + np.cos(np.pi * at / total)) / 2
            part = slice(b * plain.BATCH, (b + 1) * plain.BATCH)
            state = step(state, shown[part], labels[order[part]], np.float32(rate))
    return {k: np.asarray(v, np.float32) for k, v in state[0].items()}


def to_onnx(p, name):
    """The integer network as QuantizeLinear and DequantizeLinear around float operators."""
    levels, highest = NETS[name]
    four = name == "lsq4"
    nodes, weights = [], []

    def constant(label, array):
        weights.append(numpy_helper.from_array(np.asarray(array), label))
        return label

    def packed(label, codes, kind):
        """A tensor of a 4-bit type."""
        codes = np.asarray(codes).astype(np.int64)
        weights.append(helper.make_tensor(label, kind, codes.shape, codes.flatten().tolist()))
        return label

    def node(op, label, inputs, output=None, **attributes):
        nodes.append(helper.make_node(op, inputs, [output or label], name=label, **attributes))
        return output or label

    def quantized(x, label, scale, unsigned=True, most=255):
        dtype = np.uint8 if unsigned else np.int8
        scale = constant(f"{label}.scale", np.float32(scale))
        if most == 15:
            zero = packed(f"{label}.zero", np.zeros(()), TensorProto.UINT4)
        else:
            zero = constant(f"{label}.zero", dtype(0))
        q = node("QuantizeLinear", f"{label}.quantize", [x, scale, zero])
        if most == 7:
            q = node("Clip", f"{label}.clip", [q, constant(f"{label}.low", dtype(0)), constant(f"{label}.high", dtype(7))])
        return node("DequantizeLinear", f"{label}.dequantize", [q, scale, zero])

    def layer(op, label, x, x_scale, key, output=None, **attributes):
        codes, scale = (np.asarray(v) for v in weight_codes(p, f"{key}.weight", levels))
        per_channel = scale.size > 1
        scale = (scale.reshape(-1) if per_channel else scale.reshape(())).astype(np.float32)
        if four and not is_edge(f"{key}.weight"):
            q = packed(f"{label}.codes", codes, TensorProto.INT4)
        else:
            q = constant(f"{label}.codes", codes.astype(np.int8))
        w = node("DequantizeLinear", f"{label}.weight", [q, constant(f"{label}.scale", scale)], axis=0)
        grid = (np.float32(x_scale) * scale).astype(np.float32)
        bias = np.round(p[f"{key}.bias"] / grid).astype(np.int32)
        b = node("DequantizeLinear", f"{label}.bias",
                 [constant(f"{label}.bias_codes", bias), constant(f"{label}.bias_scale", grid)], axis=0)
        return node(op, label, [x, w, b], output, **attributes)

    x, scale, kept = quantized("image", "input", INPUT_SCALE), INPUT_SCALE, None
    for i, (kind, _, _, kernel, stride, groups) in LAYERS.items():
        x = layer("Conv", f"{kind}{i}", x, scale, str(i), kernel_shape=[kernel] * 2, strides=[stride] * 2,
                  pads=[kernel // 2] * 4, dilations=[1, 1], group=groups)
        if i == RESIDUAL_TO:
            x = node("Add", "add", [quantized(x, "sum", p["sum.act"], unsigned=False), kept])
        # The quantizer's lowest code is the ReLU.
        scale = p[f"{i}.act"]
        x = quantized(x, f"act{i}", scale, most=highest)
        if i == RESIDUAL_FROM:
            kept = x
    x = node("Flatten", "flatten", [node("GlobalAveragePool", "pool", [x])], axis=1)
    x = quantized(x, "features", p["pool.act"])
    layer("Gemm", "fc", x, p["pool.act"], "fc", "logits", transB=1)
    graph = helper.make_graph(
        nodes, f"digits_{name}",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 1, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", CLASSES])],
        weights,
    )
    opset = 21 if four else 17
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10 if four else 8,
                              producer_name="selvedge-zoo")
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


def run(model, images):
    """ONNX Runtime without its graph optimizations: float operators between rounded values."""
    options = plain.onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = plain.onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = plain.onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return session.run(["logits"], {"image": images})[0]


def turned(images, degrees):
    """Turned about the centre, by bilinear sampling with a zero border."""
    angle = np.deg2rad(degrees)
    row, column = np.meshgrid(np.arange(8) - 3.5, np.arange(8) - 3.5, indexing="ij")
    y = np.clip(np.cos(angle) * row - np.sin(angle) * column + 5.5, 0, 10.999)
    x = np.clip(np.sin(angle) * row + np.cos(angle) * column + 5.5, 0, 10.999)
    padded = np.pad(images[:, 0].astype(np.float64), ((0, 0), (2, 2), (2, 2)))
    y0, x0 = y.astype(int), x.astype(int)
    fy, fx = y - y0, x - x0
    top = padded[:, y0, x0] * (1 - fx) + padded[:, y0, x0 + 1] * fx
    bottom = padded[:, y0 + 1, x0] * (1 - fx) + padded[:, y0 + 1, x0 + 1] * fx
    return pixels((top * (1 - fy) + bottom * fy)[:, None])


def brighter(images, shift):
    return pixels(images.astype(np.float64) + shift)


def pixels(images):
    """Values that are whole steps of the network's input."""
    return (np.clip(np.round(images * 240), 0, 240) / 240).astype(np.float32)


SHIFTS = {
    "plain": lambda x: x,
    "turned_15": lambda x: turned(x, 15),
    "turned_minus_15": lambda x: turned(x, -15),
    "brighter": lambda x: brighter(x, 0.15),
    "darker": lambda x: brighter(x, -0.15),
}


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--out", type=Path, default=Path(__file__).parent)
    arguments.add_argument("--validate", action="store_true")
    arguments = arguments.parse_args()
    data, labels, members, _, test = load(plain.SEED)

    def trained(rows, name, seed):
        images = scaled(data[rows])
        parameters, statistics = plain.train(images, labels[rows], np.random.RandomState(seed))
        p = folded(parameters, statistics)
        return to_onnx(tune(p, images, labels[rows], np.random.RandomState(seed + 100), *NETS[name]), name)

    if arguments.validate:
        order = np.random.RandomState(plain.SEED + 1).permutation(members)
        for name in NETS:
            right = 0
            for fold in range(plain.FOLDS):
                held = order[fold :: plain.FOLDS]
                model = trained(np.setdiff1d(order, held), name, plain.SEED + 2 + fold)
                right += int((run(model, scaled(data[held])).argmax(1) == labels[held]).sum())
            print(f"{name}: cross-validation {right}/{len(order)} = {right / len(order):.4%}", flush=True)
        return

    images = scaled(data[test])
    arguments.out.mkdir(parents=True, exist_ok=True)
    images_of = {shift: change(images) for shift, change in SHIFTS.items()}
    found = {}
    for name in NETS:
        model = trained(members, name, plain.SEED + 1)
        correct = {shift: int((run(model, x).argmax(1) == labels[test]).sum()) for shift, x in images_of.items()}
        found[name] = correct
        (arguments.out / f"digits_{name}.onnx").write_bytes(model)
        golden = run(model, images[: plain.GOLDEN_IMAGES]).astype("<f4").tobytes()
        (arguments.out / f"golden_{name}.bin").write_bytes(golden)
        print(f"digits_{name}.onnx: {len(model)} bytes; of {len(test)} correct: {correct}", flush=True)
    (arguments.out / "expected_qat.json").write_text(json.dumps(found, indent=2) + "\n")
    # The shifted images in steps of 1/240, as bytes.
    shifted = [np.round(images_of[shift] * 240).astype(np.uint8).tobytes() for shift in SHIFTS if shift != "plain"]
    (arguments.out / "shifted.bin").write_bytes(b"".join(shifted))


if __name__ == "__main__":
    main()
