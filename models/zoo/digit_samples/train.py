"""Trains the two generators of the zoo: digits of 8x8 pixels from noise, for a class that is asked for.

`digit_diffusion.onnx` predicts the velocity at a step of a schedule of 1000 (linear betas, 1e-4 to 0.02).
`digit_consistency.onnx` is the same network, trained on: from any point of the first one's paths (deterministic,
25 steps) it is to give the end of the path, in one run. 2x2 pixels become 4 channels; 3x3 convolutions of WIDTH
channels in two residual blocks; step and class are added behind three of them, as one number a channel.
Images of the training split of `../digits`, pixel / 8 - 1.

    python train.py --minutes 12 --out .
"""

import argparse
import functools
import math
import pathlib
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "digits"))
from data import load

STEPS, GRID, WIDTH, HIDDEN, BATCH = 1000, 25, 40, 32, 128
SPLIT_SEED = 20260  # That of ../digits/train.py.
INNER = 25  # Steps in one call of a compiled function.
ALPHA_BAR = np.cumprod(1 - np.linspace(1e-4, 0.02, STEPS))
S, N = (np.sqrt(a).astype(np.float32) for a in (ALPHA_BAR, 1 - ALPHA_BAR))


def init(draw):
    def he(*shape):
        return draw.normal(0, math.sqrt(2 / math.prod(shape[:-1])), shape).astype(np.float32)

    widths = [(4, WIDTH)] + [(WIDTH, WIDTH)] * 4 + [(WIDTH, 4)]
    kernels = [he(3, 3, a, b) for a, b in widths]
    for index in (2, 4, 5):
        kernels[index] *= 0.1
    knots = draw.uniform(0, 1, HIDDEN).astype(np.float32)
    slope = (draw.choice([-4, 4], HIDDEN)).astype(np.float32)
    return {
        "w": kernels,
        "b": [np.zeros(b, np.float32) for _, b in widths],
        "step": slope[None],
        "step_b": -slope * knots,
        "mix": he(HIDDEN, HIDDEN),
        "mix_b": np.zeros(HIDDEN, np.float32),
        "class": draw.normal(0, 1, (10, HIDDEN)).astype(np.float32),
        "shift": [0.3 * he(HIDDEN, WIDTH) for _ in range(3)],
    }


def conv(x, kernel, bias):
    """A 3x3 convolution as one product of matrices."""
    n, h, w, c = x.shape
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    patches = jnp.concatenate([x[:, i : i + h, j : j + w] for i in range(3) for j in range(3)], -1)
    return (patches.reshape(n * h * w, 9 * c) @ kernel.reshape(9 * c, -1) + bias).reshape(n, h, w, -1)


def predict(p, x, step, digit):
    """x `[n, 64]`, step `[n]`, digit `[n]`."""
    n = len(x)
    e = jax.nn.relu(step[:, None] / STEPS @ p["step"] + p["step_b"])
    e = jax.nn.relu(e @ p["mix"] + p["mix_b"] + jax.nn.one_hot(digit, 10) @ p["class"])
    shifts = [(e @ m)[:, None, None] for m in p["shift"]]
    x = x.reshape(n, 4, 2, 4, 2).transpose(0, 1, 3, 2, 4).reshape(n, 4, 4, 4)
    layers = list(zip(p["w"], p["b"]))
    x = jax.nn.relu(conv(x, *layers[0]) + shifts[0])
    for block in range(2):
        h = jax.nn.relu(conv(x, *layers[1 + 2 * block]) + shifts[1 + block])
        x = jax.nn.relu(x + conv(h, *layers[2 + 2 * block]))
    x = conv(x, *layers[5])
    return x.reshape(n, 4, 4, 2, 2).transpose(0, 1, 3, 2, 4).reshape(n, 64)


def clean(p, x, step, digit):
    s, n = jnp.asarray(S)[step][:, None], jnp.asarray(N)[step][:, None]
    return s * x - n * predict(p, x, step.astype(jnp.float32), digit)


def diffusion_loss(p, data, key):
    images, labels = data
    keys = jax.random.split(key, 3)
    index = jax.random.randint(keys[0], (BATCH,), 0, len(images))
    # One step of each equal part of the schedule: less variance than free draws.
    step = ((jnp.arange(BATCH) + jax.random.uniform(keys[1], (BATCH,))) * (STEPS / BATCH)).astype(jnp.int32)
    s, n = jnp.asarray(S)[step][:, None], jnp.asarray(N)[step][:, None]
    x0, noise = images[index], jax.random.normal(keys[2], (BATCH, 64))
    velocity = s * noise - n * x0
    return jnp.mean((predict(p, s * x0 + n * noise, step.astype(jnp.float32), labels[index]) - velocity) ** 2)


def consistency_loss(p, data, key):
    paths, ends, labels = data
    index = jax.random.randint(key, (BATCH,), 0, paths.shape[1])
    # A quarter of the points are pure noise, where most is to be learned.
    at = jnp.arange(BATCH) % (GRID * 4 // 3)
    at = jnp.where(at < GRID, at, 0)
    step = STEPS - 1 - at * (STEPS // GRID)
    error = clean(p, paths[at, index], step, labels[index]) - ends[index]
    return jnp.mean(jnp.sqrt(jnp.sum(error**2, -1) + 0.01))


@functools.partial(jax.jit, static_argnums=0, donate_argnums=1)
def update(loss, state, data, key, rate):
    """Adam, and a moving average of the weights."""

    def one(state, key):
        p, m, v, mean, count = state
        value, g = jax.value_and_grad(loss)(p, data, key)
        count = count + 1
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
        v = jax.tree.map(lambda v, g: 0.99 * v + 0.01 * g * g, v, g)
        a, b = 1 - 0.9**count, 1 - 0.99**count
        p = jax.tree.map(lambda p, m, v: p - rate * (m / a) / (jnp.sqrt(v / b) + 1e-8), p, m, v)
        keep = jnp.minimum(0.998, count / (count + 10))
        mean = jax.tree.map(lambda e, p: keep * e + (1 - keep) * p, mean, p)
        return (p, m, v, mean, count), value

    state, values = jax.lax.scan(one, state, jax.random.split(key, INNER))
    return state, values.mean()


def train(loss, p, data, minutes, rate, seed):
    zeros = [jax.tree.map(jnp.zeros_like, p) for _ in range(2)]
    state = (jax.tree.map(jnp.array, p), *zeros, jax.tree.map(jnp.array, p), jnp.float32(0))
    key, start, calls = jax.random.key(seed), time.time(), 0
    while (part := (time.time() - start) / (60 * minutes)) < 1:
        now = rate * 0.5 * (1 + math.cos(math.pi * part)) + 1e-6
        state, value = update(loss, state, data, jax.random.fold_in(key, calls), now)
        calls += 1
        if calls % 10 == 0:
            print(f"{loss.__name__} {calls * INNER} {part:.2f} {value:.4f}", flush=True)
    print(loss.__name__, calls * INNER, "steps", flush=True)
    return state[3]


@jax.jit
def path(p, x, digit):
    """A deterministic path over the grid, from pure noise: its points and its end."""

    def one(x, at):
        step = STEPS - 1 - at * (STEPS // GRID)
        before = step - STEPS // GRID
        v = predict(p, x, jnp.full(len(x), step, jnp.float32), digit)
        s, n = jnp.asarray(S)[step], jnp.asarray(N)[step]
        x0, noise = s * x - n * v, n * x + s * v
        s, n = (jnp.where(before < 0, end, jnp.asarray(a)[before]) for a, end in ((S, 1.0), (N, 0.0)))
        return s * x0 + n * noise, x

    end, points = jax.lax.scan(one, x, jnp.arange(GRID))
    return points, end


def export(p, path):
    nodes, weights = [], []

    def constant(name, value):
        weights.append(numpy_helper.from_array(np.ascontiguousarray(value, np.float32), name))
        return name

    def node(kind, inputs, out, **attributes):
        nodes.append(helper.make_node(kind, inputs, [out], out, **attributes))
        return out

    def conv_node(index, x):
        kernel = constant(f"w{index}", np.asarray(p["w"][index]).transpose(3, 2, 0, 1))
        return node("Conv", [x, kernel, constant(f"b{index}", p["b"][index])], f"conv{index}", pads=[1, 1, 1, 1])

    step = [constant("step_w", np.asarray(p["step"]) / STEPS), constant("step_b", p["step_b"])]
    e = node("Relu", [node("Gemm", ["step", *step], "step_part")], "step_relu")
    e = node("Gemm", [e, constant("mix_w", p["mix"]), constant("mix_b", p["mix_b"])], "mixed")
    e = node("Add", [e, node("Gemm", ["digit", constant("class_w", p["class"])], "class_part")], "both")
    e = node("Relu", [e], "both_relu")
    weights.append(numpy_helper.from_array(np.array([1, WIDTH, 1, 1]), "per_channel"))

    def shifted(index, x):
        flat = node("Gemm", [e, constant(f"shift_w{index}", p["shift"][index])], f"shift_flat{index}")
        return node("Add", [x, node("Reshape", [flat, "per_channel"], f"shift{index}")], f"shifted{index}")

    x = conv_node(0, node("SpaceToDepth", ["noisy"], "unshuffle", blocksize=2))
    x = node("Relu", [shifted(0, x)], "relu0")
    for block in range(2):
        h = node("Relu", [shifted(1 + block, conv_node(1 + 2 * block, x))], f"inner{block}")
        x = node("Relu", [node("Add", [x, conv_node(2 + 2 * block, h)], f"sum{block}")], f"outer{block}")
    node("DepthToSpace", [conv_node(5, x)], "velocity", blocksize=2, mode="CRD")
    info = functools.partial(helper.make_tensor_value_info, elem_type=TensorProto.FLOAT)
    inputs = [info("noisy", shape=[1, 1, 8, 8]), info("step", shape=[1, 1]), info("digit", shape=[1, 10])]
    graph = helper.make_graph(nodes, path.stem, inputs, [info("velocity", shape=[1, 1, 8, 8])], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=12)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parent)
    args = parser.parse_args()
    pixels, labels, indices, _, _ = load(SPLIT_SEED)
    images, labels = jnp.asarray(pixels[indices] / np.float32(8) - 1), jnp.asarray(labels[indices].astype(np.int32))
    p = jax.tree.map(jnp.asarray, init(np.random.default_rng(1)))
    print(sum(leaf.size for leaf in jax.tree.leaves(p)), "parameters,", len(images), "images", flush=True)
    p = train(diffusion_loss, p, (images, labels), 0.5 * args.minutes, 3e-3, 1)
    export(p, args.out / "digit_diffusion.onnx")
    draw, ends, points = np.random.default_rng(2), [], []
    digits = jnp.asarray(np.arange(10240) % 10)
    for part in range(0, len(digits), 512):
        x = draw.standard_normal((512, 64), np.float32)
        found, end = path(p, x, digits[part : part + 512])
        points.append(found)
        ends.append(end)
    print("paths", flush=True)
    data = (jnp.concatenate(points, 1), jnp.concatenate(ends), digits)
    p = train(consistency_loss, p, data, 0.5 * args.minutes, 2e-3, 3)
    export(p, args.out / "digit_consistency.onnx")


if __name__ == "__main__":
    main()
