"""Trains the image denoiser of the zoo: gray pictures, Gaussian noise of 0 to 55 of 255.

The network predicts what is to be added to the noisy picture (the residual form) from the picture and the level of
its noise. 2x2 pixels become 4 channels; 3x3 convolutions of WIDTH channels; the level, times a learned number a
channel, is added behind the first. Trained on pictures that scikit-image ships under CC0 or in the public domain
(`../DATA-LICENCES.md`) and on drawn shapes. Inputs of the ONNX file: noisy [1, 1, H, W] in 0..1 (H, W even),
level [1, 1, 1, 1], the standard deviation in the same unit.

    python train.py --minutes 18 --out denoiser.onnx
"""

import argparse
import functools
import math
import pathlib
import time

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import skimage.data
import skimage.transform
from onnx import TensorProto, helper, numpy_helper

PICTURES = ["astronaut", "brick", "cell", "chelsea", "coffee", "grass", "gravel", "rocket"]
WIDTH, LAYERS, PATCH, BATCH, HIGHEST = 32, 6, 48, 32, 55 / 255


def init(draw):
    widths = [4] + [WIDTH] * (LAYERS - 1) + [4]
    pairs = list(zip(widths, widths[1:]))
    he = [draw.normal(0, math.sqrt(2 / (9 * a)), (3, 3, a, b)).astype(np.float32) for a, b in pairs]
    he[-1] *= 0.1
    return {"w": he, "b": [np.zeros(b, np.float32) for _, b in pairs], "level": np.zeros(WIDTH, np.float32)}


def predict(p, noisy, level):
    """noisy `[n, h, w]`, level `[n]`."""
    n, h, w = noisy.shape
    x = noisy.reshape(n, h // 2, 2, w // 2, 2).transpose(0, 1, 3, 2, 4).reshape(n, h // 2, w // 2, 4)
    for index, (kernel, bias) in enumerate(zip(p["w"], p["b"])):
        x = jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")) + bias
        if index == 0:
            x = x + level[:, None, None, None] * p["level"]
        if index < LAYERS - 1:
            x = jax.nn.relu(x)
    return x.reshape(n, h // 2, w // 2, 2, 2).transpose(0, 1, 3, 2, 4).reshape(n, h, w)


def loss(p, clean, noise, level):
    unit = level[:, None, None]
    # Each level counts as much as the others.
    return jnp.mean(((predict(p, clean + noise * unit, level) + noise * unit) / (unit + 0.02)) ** 2)


@functools.partial(jax.jit, donate_argnums=(0, 1, 2))
def update(p, m, v, step, rate, clean, noise, level):
    """Adam."""
    value, grads = jax.value_and_grad(loss)(p, clean, noise, level)
    m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, grads)
    v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, grads)
    one, two = 1 - 0.9**step, 1 - 0.999**step
    p = jax.tree.map(lambda p, m, v: p - rate * (m / one) / (jnp.sqrt(v / two) + 1e-8), p, m, v)
    return p, m, v, value


def gray(picture):
    picture = picture.astype(np.float32) / 255
    if picture.ndim == 3:
        picture = picture[..., :3] @ np.array([0.299, 0.587, 0.114], np.float32)
    return picture


def shapes(draw, side=256):
    """Flat areas, edges, gradients and gratings."""
    y, x = np.mgrid[:side, :side].astype(np.float32) / side
    picture = draw.uniform(0, 1) + draw.uniform(-0.5, 0.5) * x + draw.uniform(-0.5, 0.5) * y
    for _ in range(24):
        a, cx, cy, r = draw.uniform(0, math.pi), *draw.uniform(0, 1, 2), draw.uniform(0.02, 0.3)
        u, v = (x - cx) * math.cos(a) + (y - cy) * math.sin(a), (y - cy) * math.cos(a) - (x - cx) * math.sin(a)
        inside = (np.hypot(u, v) < r) if draw.random() < 0.5 else (np.abs(u) < r) & (np.abs(v) < r * draw.uniform(0.1, 1))
        tone = draw.uniform(0, 1)
        if draw.random() < 0.3:
            tone = tone + 0.3 * np.sin(u * draw.uniform(30, 250))
        picture = np.where(inside, tone, picture)
    return np.clip(picture, 0, 1).astype(np.float32)


def pictures():
    draw = np.random.default_rng(7)
    for name in PICTURES:
        full = gray(getattr(skimage.data, name)())
        yield full
        yield skimage.transform.rescale(full, 0.6, anti_aliasing=True).astype(np.float32)
    for _ in range(8):
        yield shapes(draw)


def export(p, path):
    def conv(index, x, y):
        kernel = np.asarray(p["w"][index]).transpose(3, 2, 0, 1)
        init = [numpy_helper.from_array(np.ascontiguousarray(kernel), f"w{index}")]
        init.append(numpy_helper.from_array(np.asarray(p["b"][index]), f"b{index}"))
        node = helper.make_node("Conv", [x, f"w{index}", f"b{index}"], [y], f"conv{index}", pads=[1, 1, 1, 1])
        return node, init

    nodes = [helper.make_node("SpaceToDepth", ["noisy"], ["h"], "unshuffle", blocksize=2)]
    weights = [numpy_helper.from_array(np.asarray(p["level"]).reshape(1, WIDTH, 1, 1), "per_level")]
    x = "h"
    for index in range(LAYERS):
        node, init = conv(index, x, f"c{index}")
        nodes.append(node)
        weights += init
        x = f"c{index}"
        if index == 0:
            nodes.append(helper.make_node("Mul", ["level", "per_level"], ["shift"], "shift"))
            nodes.append(helper.make_node("Add", [x, "shift"], ["shifted"], "shifted"))
            x = "shifted"
        if index < LAYERS - 1:
            nodes.append(helper.make_node("Relu", [x], [f"r{index}"], f"relu{index}"))
            x = f"r{index}"
    nodes.append(helper.make_node("DepthToSpace", [x], ["added"], "shuffle", blocksize=2, mode="CRD"))
    image = [1, 1, "H", "W"]
    info = functools.partial(helper.make_tensor_value_info, elem_type=TensorProto.FLOAT)
    inputs = [info("noisy", shape=image), info("level", shape=[1, 1, 1, 1])]
    graph = helper.make_graph(nodes, "denoiser", inputs, [info("added", shape=image)], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=18)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("denoiser.onnx"))
    args = parser.parse_args()
    draw = np.random.default_rng(1)
    all_pictures = list(pictures())
    areas = np.array([p.size for p in all_pictures], float) ** 0.5
    p = jax.tree.map(jnp.asarray, init(draw))
    m, v = (jax.tree.map(jnp.zeros_like, p) for _ in range(2))
    start, step, shown = time.time(), 0, 0.0
    while (part := (time.time() - start) / (60 * args.minutes)) < 1:
        rate = 2e-3 * 0.5 * (1 + math.cos(math.pi * part)) + 1e-6
        batch = []
        for index in draw.choice(len(all_pictures), BATCH, p=areas / areas.sum()):
            picture = all_pictures[index]
            r, c = (draw.integers(0, n - PATCH + 1) for n in picture.shape)
            patch = np.rot90(picture[r : r + PATCH, c : c + PATCH], draw.integers(4))
            batch.append(patch[::-1] if draw.random() < 0.5 else patch)
        noise = draw.standard_normal((BATCH, PATCH, PATCH), np.float32)
        level = draw.random(BATCH, np.float32) * np.float32(HIGHEST)
        step += 1
        p, m, v, value = update(p, m, v, float(step), rate, np.stack(batch), noise, level)
        shown = 0.99 * shown + 0.01 * float(value)
        if step % 200 == 0:
            print(f"{step} {part:.2f} {shown / (1 - 0.99**step):.5f}", flush=True)
        if step % 2000 == 0:
            export(p, args.out)
    export(p, args.out)
    print(sum(leaf.size for leaf in jax.tree.leaves(p)), "parameters")


if __name__ == "__main__":
    main()
