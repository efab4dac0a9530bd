"""Trains the image denoiser of the zoo: gray pictures, Gaussian noise of 0 to 55 of 255.

The network predicts what is to be added to the noisy picture (the residual form) from the picture and the level of
its noise. 2x2 pixels become 4 channels; 3x3 convolutions of WIDTH channels; the level, times a learned number a
channel, is added behind the first. Activations are clipped at learned tops; in the last part of the training weights and
activations are rounded as int8 rounds them. The weights that are kept are a moving average. Trained on pictures that
scikit-image ships under CC0 or in the public domain (`../DATA-LICENCES.md`) and on drawn shapes. Inputs of the ONNX file:
noisy [1, 1, H, W] in 0..1 (H, W even), level [1, 1, 1, 1], the standard deviation in the same unit.

    python train.py --minutes 45 --out denoiser.onnx [--start denoiser.onnx]
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

# With how often each is shown.
PICTURES = {
    **{"astronaut": 4, "camera": 3, "chelsea": 3, "coffee": 3, "rocket": 2},
    **{"brick": 1, "cell": 1, "grass": 1, "gravel": 1},
}
SCALES = [1, 0.75, 0.6, 0.45]
WIDTH, LAYERS, PATCH, BATCH, HIGHEST = 32, 6, 64, 28, 55 / 255
# How far beyond 0..1 the int8 grid of the picture goes.
OUTSIDE = 0.4
# Pixels that a patch loses on each side.
EDGE = 2 * LAYERS


def init(draw):
    widths = [4] + [WIDTH] * (LAYERS - 1) + [4]
    pairs = list(zip(widths, widths[1:]))
    he = [draw.normal(0, math.sqrt(2 / (9 * a)), (3, 3, a, b)).astype(np.float32) for a, b in pairs]
    he[-1] *= 0.1
    return {"w": he, "b": [np.zeros(b, np.float32) for _, b in pairs], "level": np.zeros(WIDTH, np.float32),
            "top": np.full(LAYERS - 1, 4, np.float32)}


def rounded(x, low, high):
    """x on a grid of 256 steps from `low` to `high`, within which it lies. Gradients pass, also to the ends."""
    step = (high - low) / 255
    at = (x - low) / step
    return x + jax.lax.stop_gradient(jnp.round(at) - at) * step


def eight_bits(index, kernel):
    """A kernel on the grids that int8 gives it, one for each output channel. Gradients pass."""
    scale = jnp.abs(kernel).max((0, 1, 2)) / 127
    return kernel + jax.lax.stop_gradient(jnp.round(kernel / scale) * scale - kernel)


@jax.custom_vjp
def conv(x, kernel):
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def conv_back(kept, g):
    """As jax has it, but for the kernel's gradient: one product of matrices takes half the time here."""
    x, kernel = kept
    (a, b), (n, h, w, _) = kernel.shape[2:], x.shape
    across = jnp.concatenate([x[:, :, j : j + w - 2] for j in range(3)], -1)
    padded = jnp.pad(g, ((0, 0), (2, 2), (0, 0), (0, 0)))
    down = jnp.concatenate([padded[:, 2 - i : 2 - i + h] for i in range(3)], -1)
    by_kernel = across.reshape(-1, 3 * a).T @ down.reshape(-1, 3 * b)
    padded = jnp.pad(g, ((0, 0), (2, 2), (2, 2), (0, 0)))
    return conv(padded, kernel[::-1, ::-1].transpose(0, 1, 3, 2)), by_kernel.reshape(3, a, 3, b).transpose(2, 0, 1, 3)


conv.defvjp(lambda x, kernel: (conv(x, kernel), (x, kernel)), conv_back)


def first_ends(p):
    """What lies outside of it behind the first convolution is clipped anyway once the level is added."""
    shift = p["level"] * HIGHEST
    return -jnp.maximum(shift.max(), 0), p["top"][0] - jnp.minimum(shift.min(), 0)


def predict(p, noisy, level, rounding, weight=eight_bits):
    """noisy `[n, h, w]`, level `[n]`; the result lacks EDGE pixels on each side. `weight` rounds kernels."""
    def grid(x, ends):
        return rounded(x, *ends) if rounding else x

    n, h, w = noisy.shape
    x = noisy.reshape(n, h // 2, 2, w // 2, 2).transpose(0, 1, 3, 2, 4).reshape(n, h // 2, w // 2, 4)
    if rounding:
        x = grid(jnp.clip(x, -OUTSIDE, 1 + OUTSIDE), (-OUTSIDE, 1 + OUTSIDE))
    for index, (kernel, bias) in enumerate(zip(p["w"], p["b"])):
        x = conv(x, weight(index, kernel) if rounding else kernel) + bias
        if index == 0:
            ends = first_ends(p)
            x = grid(jnp.clip(x, *ends), ends) + level[:, None, None, None] * p["level"]
        if index < LAYERS - 1:
            x = grid(jnp.clip(x, 0, p["top"][index]), (0, p["top"][index]))
    x = grid(x, (x.min(), x.max()))
    n, h, w, _ = x.shape
    return x.reshape(n, h, w, 2, 2).transpose(0, 1, 3, 2, 4).reshape(n, 2 * h, 2 * w)


def loss(p, clean, noise, level, rounding, weight=eight_bits):
    unit = level[:, None, None]
    inner = noise[:, EDGE:-EDGE, EDGE:-EDGE] * unit
    # Each level counts as much as the others.
    return jnp.mean(((predict(p, clean + noise * unit, level, rounding, weight) + inner) / (unit + 0.02)) ** 2)


@functools.partial(jax.jit, donate_argnums=(0, 1, 2, 3), static_argnums=(9, 10))
def update(p, m, v, mean, step, rate, clean, noise, level, rounding, loss=loss):
    """Adam, and the moving average of the weights."""
    value, grads = jax.value_and_grad(loss)(p, clean, noise, level, rounding)
    m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, grads)
    v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, grads)
    one, two = 1 - 0.9**step, 1 - 0.999**step
    p = jax.tree.map(lambda p, m, v: p - rate * (m / one) / (jnp.sqrt(v / two) + 1e-8), p, m, v)
    mean = jax.tree.map(lambda mean, p: mean + (p - mean) * jnp.maximum(1e-3, 10 / (step + 10)), mean, p)
    return p, m, v, mean, value


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
    """Pictures with how often each is shown."""
    draw = np.random.default_rng(7)
    for name, often in PICTURES.items():
        full = gray(getattr(skimage.data, name)())
        for scale in SCALES:
            small = full if scale == 1 else skimage.transform.rescale(full, scale, anti_aliasing=True)
            yield small.astype(np.float32), often * scale
    for _ in range(16):
        yield shapes(draw), 0.25


def calibration(draw, count=32, side=96):
    """Noisy squares of the training pictures with their levels, for the choice of ranges. Where noise takes a pixel far
    out, a finer grid is worth more than its whole value: what is added to the picture does not need it."""
    wide = [picture for picture, _ in pictures() if min(picture.shape) >= side]
    noisy, levels = [], []
    for index in range(count):
        picture = wide[index * 5 % len(wide)]
        r, c = (draw.integers(0, n - side + 1) for n in picture.shape)
        level = [5, 15, 25, 50][index % 4] / 255
        noisy.append(picture[r : r + side, c : c + side] + draw.standard_normal((side, side)) * level)
        levels.append(level)
    return np.clip(np.array(noisy, np.float32), -OUTSIDE, 1 + OUTSIDE), np.array(levels, np.float32)


def batches(draw):
    """Endless: clean patches, noise of deviation 1, levels."""
    all_pictures, often = zip(*pictures())
    often = np.array(often) / sum(often)
    while True:
        batch = []
        for index in draw.choice(len(all_pictures), BATCH, p=often):
            picture = all_pictures[index]
            r, c = (draw.integers(0, n - PATCH + 1) for n in picture.shape)
            patch = np.rot90(picture[r : r + PATCH, c : c + PATCH], draw.integers(4))
            patch = patch[::-1] if draw.random() < 0.5 else patch
            if draw.random() < 0.5:
                # Another contrast and brightness.
                low = draw.uniform(0, 0.4)
                patch = low + (draw.uniform(low + 0.4, 1) - low) * (patch if draw.random() < 0.5 else 1 - patch)
            batch.append(patch.astype(np.float32))
        noise = draw.standard_normal((BATCH, PATCH, PATCH), np.float32)
        yield np.stack(batch), noise, draw.random(BATCH, np.float32) * np.float32(HIGHEST)


def read(path):
    """The weights of an exported file."""
    held = {t.name: numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}
    kernels = [held[f"w{index}"].transpose(2, 3, 1, 0) for index in range(LAYERS)]
    biases = [held[f"b{index}"] for index in range(LAYERS)]
    tops = np.array([held[f"clip{index}.high"] for index in range(LAYERS - 1)])
    return {"w": kernels, "b": biases, "level": held["per_level"].reshape(-1), "top": tops}


def train(p, minutes, rate, free, draw, loss=loss, keep=lambda mean: None):
    """The moving average of the weights after `minutes`; for the part `free` of them nothing is rounded."""
    p = jax.tree.map(jnp.array, p)
    m, v = (jax.tree.map(jnp.zeros_like, p) for _ in range(2))
    mean = jax.tree.map(jnp.copy, p)
    start, shown = time.time(), 0.0
    for step, (clean, noise, level) in enumerate(batches(draw), 1):
        part = (time.time() - start) / (60 * minutes)
        if part >= 1:
            break
        now = rate * min(1, step / 200) * 0.5 * (1 + math.cos(math.pi * part)) + 1e-6
        p, m, v, mean, value = update(p, m, v, mean, float(step), now, clean, noise, level, part > free, loss)
        shown = 0.99 * shown + 0.01 * float(value)
        if step % 200 == 0:
            print(f"{step} {part:.2f} {shown / (1 - 0.99**step):.5f}", flush=True)
        if step % 1000 == 0:
            keep(mean)
    return mean


def export(p, path):
    def layer(index, x, y):
        kernel = np.asarray(p["w"][index]).transpose(3, 2, 0, 1)
        init = [numpy_helper.from_array(np.ascontiguousarray(kernel), f"w{index}")]
        init.append(numpy_helper.from_array(np.asarray(p["b"][index]), f"b{index}"))
        node = helper.make_node("Conv", [x, f"w{index}", f"b{index}"], [y], f"conv{index}", pads=[1, 1, 1, 1])
        return node, init

    nodes = [helper.make_node("SpaceToDepth", ["noisy"], ["h"], "unshuffle", blocksize=2)]
    weights = [numpy_helper.from_array(np.asarray(p["level"]).reshape(1, WIDTH, 1, 1), "per_level")]

    def clip(x, y, name, low, high):
        ends = [numpy_helper.from_array(np.float32(end), f"{name}.{which}") for which, end in (("low", low), ("high", high))]
        weights.extend(ends)
        nodes.append(helper.make_node("Clip", [x, ends[0].name, ends[1].name], [y], name))
        return y

    x = "h"
    for index in range(LAYERS):
        node, init = layer(index, x, f"c{index}")
        nodes.append(node)
        weights += init
        x = f"c{index}"
        if index == 0:
            nodes.append(helper.make_node("Mul", ["level", "per_level"], ["shift"], "shift"))
            x = clip(x, "within", "within", *first_ends(p))
            nodes.append(helper.make_node("Add", [x, "shift"], ["shifted"], "shifted"))
            x = "shifted"
        if index < LAYERS - 1:
            x = clip(x, f"r{index}", f"clip{index}", 0, p["top"][index])
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
    parser.add_argument("--minutes", type=float, default=45)
    parser.add_argument("--start", type=pathlib.Path, help="an exported file to go on from")
    parser.add_argument("--free", type=float, default=0.6, help="part of the time without rounding")
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("denoiser.onnx"))
    args = parser.parse_args()
    draw = np.random.default_rng(1)
    p = read(args.start) if args.start else init(draw)
    mean = train(p, args.minutes, args.rate, args.free, draw, keep=lambda mean: export(mean, args.out))
    export(mean, args.out)
    print(sum(leaf.size for leaf in jax.tree.leaves(mean)), "parameters")


if __name__ == "__main__":
    main()
