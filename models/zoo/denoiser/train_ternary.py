"""Fine-tunes the image denoiser with ternary weights and 8-bit activations.

TWN (Li and Liu 2016: threshold 0.7 of the mean magnitude, one scale an output channel) with straight-through gradients
in the middle layers, 8-bit weights in the first and the last, as in ../digits/train_qat.py. It starts from denoiser.onnx.
The file is a QuantizeLinear/DequantizeLinear model in 8-bit types; activations end at the learned tops.

    python train_ternary.py --minutes 15 --out denoiser_ternary.onnx
"""

import argparse
import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import train
from onnx import TensorProto, helper, numpy_helper


def is_edge(index):
    return index in (0, train.LAYERS - 1)


def codes(index, kernel):
    """(whole numbers, a scale for each output channel) of a kernel `[3, 3, in, out]`."""
    size = jnp.abs(kernel)
    if is_edge(index):
        scale = size.max((0, 1, 2)) / 127
        return jnp.round(kernel / scale), scale
    kept = size > 0.7 * size.mean((0, 1, 2))
    scale = (size * kept).sum((0, 1, 2)) / jnp.maximum(kept.sum((0, 1, 2)), 1)
    return jnp.sign(kernel) * kept, scale


def straight_through(index, kernel):
    whole, scale = codes(index, jax.lax.stop_gradient(kernel))
    return kernel + jax.lax.stop_gradient(whole * scale - kernel)


def loss(p, clean, noise, level, rounding):
    return train.loss(p, clean, noise, level, rounding, straight_through)


def grids(p, noisy, levels):
    """(scale, zero point), unsigned, of the picture, the first convolution, its sum with the level, the other layers."""
    n, h, w = noisy.shape
    x = noisy.reshape(n, h // 2, 2, w // 2, 2).transpose(0, 1, 3, 2, 4).reshape(n, h // 2, w // 2, 4)
    for index, (kernel, bias) in enumerate(zip(p["w"], p["b"])):
        x = train.conv(jnp.asarray(x), straight_through(index, kernel)) + bias
        if index == 0:
            x = jnp.clip(x, *train.first_ends(p)) + levels[:, None, None, None] * p["level"]
        if index < train.LAYERS - 1:
            x = jnp.clip(x, 0, p["top"][index])
    picture = (-train.OUTSIDE, 1 + train.OUTSIDE)
    ends = [picture, train.first_ends(p), *((0, top) for top in p["top"]), (x.min(), x.max())]
    scales = [np.float32((float(high) - float(low)) / 255) for low, high in ends]
    return [(scale, int(np.round(-float(low) / scale))) for (low, _), scale in zip(ends, scales)]


def read(path):
    """The weights of a file of either kind."""
    held = {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}
    if "w0.codes" not in held:
        return train.read(path)

    def real(name):
        scale = held[f"{name}.scale"]
        return held[f"{name}.codes"] * scale.reshape(-1, *[1] * (held[f"{name}.codes"].ndim - 1))

    layers = range(train.LAYERS)
    kernels = [real(f"w{index}").transpose(2, 3, 1, 0).astype(np.float32) for index in layers]
    biases = [real(f"b{index}").astype(np.float32) for index in layers]
    tops = np.array([held[f"act{index}.scale"] * 255 for index in layers[:-1]], np.float32)
    return {"w": kernels, "b": biases, "level": real("per_level").reshape(-1).astype(np.float32), "top": tops}


def export(p, grids, path):
    nodes, weights = [], []

    def constant(name, array):
        weights.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def node(op, name, inputs, output=None, **attributes):
        nodes.append(helper.make_node(op, inputs, [output or name], name=name, **attributes))
        return output or name

    def quantized(x, name, grid, output=None):
        scale, zero = constant(f"{name}.scale", grid[0]), constant(f"{name}.zero", np.uint8(grid[1]))
        q = node("QuantizeLinear", f"{name}.quantize", [x, scale, zero])
        return node("DequantizeLinear", f"{name}.dequantize", [q, scale, zero], output)

    def shift():
        """The level times a number a channel, each in 8 bits."""
        each = np.asarray(p["level"]).reshape(1, train.WIDTH, 1, 1)
        step = np.float32(np.abs(each).max() / 127)
        q = constant("per_level.codes", np.round(each / step).astype(np.int8))
        each = node("DequantizeLinear", "per_level", [q, constant("per_level.scale", step)])
        level = quantized("level", "told", (np.float32(train.HIGHEST / 255), 0))
        low, high = (float(f(np.asarray(p["level"]))) * train.HIGHEST for f in (np.min, np.max))
        step = np.float32((max(high, 0) - min(low, 0)) / 255)
        return quantized(node("Mul", "shift", [level, each]), "shift", (step, int(np.round(-min(low, 0) / step))))

    x = quantized("noisy", "picture", grids[0])
    x = node("SpaceToDepth", "unshuffle", [x], blocksize=2)
    before = grids[0][0]
    for index, (kernel, bias) in enumerate(zip(p["w"], p["b"])):
        whole, scale = (np.asarray(each) for each in codes(index, kernel))
        scale = scale.astype(np.float32)
        q = constant(f"w{index}.codes", np.ascontiguousarray(whole.transpose(3, 2, 0, 1)).astype(np.int8))
        w = node("DequantizeLinear", f"w{index}", [q, constant(f"w{index}.scale", scale)], axis=0)
        step = (before * scale).astype(np.float32)
        q = constant(f"b{index}.codes", np.round(np.asarray(bias) / step).astype(np.int32))
        b = node("DequantizeLinear", f"b{index}", [q, constant(f"b{index}.scale", step)], axis=0)
        x = node("Conv", f"conv{index}", [x, w, b], pads=[1, 1, 1, 1])
        if index == 0:
            x = node("Add", "shifted", [quantized(x, "first", grids[1]), shift()])
        if index < train.LAYERS - 1:
            x = node("Relu", f"relu{index}", [x])
            x = quantized(x, f"act{index}", grids[index + 2])
        before = grids[index + 2][0]
    x = quantized(x, "result", grids[-1])
    node("DepthToSpace", "shuffle", [x], "added", blocksize=2, mode="CRD")
    image = [1, 1, "H", "W"]
    info = functools.partial(helper.make_tensor_value_info, elem_type=TensorProto.FLOAT)
    inputs = [info("noisy", shape=image), info("level", shape=[1, 1, 1, 1])]
    graph = helper.make_graph(nodes, "denoiser_ternary", inputs, [info("added", shape=image)], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--rate", type=float, default=1e-3)
    folder = pathlib.Path(__file__).parent
    parser.add_argument("--start", type=pathlib.Path, default=folder / "denoiser.onnx", help="also a ternary file, to go on")
    parser.add_argument("--out", type=pathlib.Path, default=folder / "denoiser_ternary.onnx")
    args = parser.parse_args()
    # Rather more steps than larger ones.
    train.BATCH = 14
    noisy, levels = train.calibration(np.random.default_rng(3))

    def keep(p):
        export(p, grids(p, noisy, levels), args.out)

    keep(train.train(read(args.start), args.minutes, args.rate, 0, np.random.default_rng(2), loss, keep))


if __name__ == "__main__":
    main()
