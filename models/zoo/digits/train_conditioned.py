"""Train one digit classifier for all noise levels, told the level, and write it beside this script.

    python train_conditioned.py              train on the whole train split, write the files
    python train_conditioned.py --out DIR    the same, into DIR
    python train_conditioned.py --validate   report on one fold of the train split, write nothing

Inputs: `image` and `sigma`, the noise in units of the pixels' range. The image is scaled by
1/sqrt(sigma^2 + s^2); log(sigma) goes through two dense layers that give each channel of each convolution
a factor and an addend. With `sigma` bound to a constant all of that is constant.

Training, in one stage, after the idea of rRCM (Lei et al. 2025) but not its recipe: sigma is log-uniform in
0.1 to 1 for each noisy image. The loss is cross-entropy with the targets of train_noise.py, and consistency
along the noise level: the same image, with the same noise at a lower level, goes through the moving average
of the weights, and the student's pooled features and its prediction are drawn to what comes out (cosine
distance and divergence, no gradient through the target). There is no contrastive stage before and no second
stage after.
"""

import argparse
import json
import sys
from pathlib import Path

# First: it pins the processor before jax is loaded.
import train_noise as noise

import jax
import jax.numpy as jnp
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import smoothing
from data import CLASSES, augment, load, scaled
from network import RESIDUAL_FROM, RESIDUAL_TO, WIDE as LAYERS
from train_noise import STEPS, on_grid, plain

EPOCHS = 200
LOWEST, HIGHEST = 0.1, 1.0
# The next level is the level times a factor from this to one.
NEXT = 0.5
ALONG_FEATURES = 1.0
ALONG_PREDICTION = 1.0
# Root mean square of the pixels, in their range.
PIXEL_RMS = 0.48
EMBEDDING = 16
BN_EPSILON = 1e-5
REPORTED = (4.0, 8.0, 16.0)
DRAWS = 1000


def initial_parameters(random):
    parameters = {
        "embed1.weight": random.normal(0, 1, (EMBEDDING, 1)),
        "embed1.bias": random.uniform(-1, 2, EMBEDDING),
        "embed2.weight": random.normal(0, np.sqrt(2 / EMBEDDING), (EMBEDDING, EMBEDDING)),
        "embed2.bias": np.zeros(EMBEDDING),
    }
    for i, (kind, inputs, outputs, kernel, _, groups) in LAYERS.items():
        shape = (outputs, inputs // groups, kernel, kernel)
        parameters[f"{kind}{i}.weight"] = random.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape)
        for part, bias in (("factor", np.ones(outputs)), ("addend", np.zeros(outputs))):
            parameters[f"{part}{i}.weight"] = np.zeros((outputs, EMBEDDING))
            parameters[f"{part}{i}.bias"] = bias
    width = LAYERS[RESIDUAL_TO][2]
    parameters["fc.weight"] = random.normal(0, np.sqrt(1 / width), (CLASSES, width))
    parameters["fc.bias"] = np.zeros(CLASSES)
    return {name: jnp.asarray(value, jnp.float32) for name, value in parameters.items()}


def dense(parameters, name, x):
    return x @ parameters[f"{name}.weight"].T + parameters[f"{name}.bias"]


def forward(parameters, x, sigma, statistics=None):
    """`sigma`: [N, 1]. Returns (logits, pooled features, {layer: (mean, variance)})."""
    x = x * (1 / jnp.sqrt(sigma * sigma + PIXEL_RMS**2))[:, :, None, None]
    embedded = jax.nn.relu(dense(parameters, "embed1", jnp.log(sigma)))
    embedded = jax.nn.relu(dense(parameters, "embed2", embedded))
    used, kept = {}, None
    for i, (kind, _, _, kernel, stride, groups) in LAYERS.items():
        pad = kernel // 2
        x = jax.lax.conv_general_dilated(
            x, parameters[f"{kind}{i}.weight"], (stride, stride), ((pad, pad), (pad, pad)),
            dimension_numbers=("NCHW", "OIHW", "NCHW"), feature_group_count=groups,
        )
        used[i] = (x.mean((0, 2, 3)), x.var((0, 2, 3))) if statistics is None else statistics[i]
        mean, variance = (s[:, None, None] for s in used[i])
        x = (x - mean) / jnp.sqrt(variance + BN_EPSILON)
        x = x * dense(parameters, f"factor{i}", embedded)[:, :, None, None]
        x = x + dense(parameters, f"addend{i}", embedded)[:, :, None, None]
        if i == RESIDUAL_TO:
            x = x + kept
        x = jax.nn.relu(x)
        if i == RESIDUAL_FROM:
            kept = x
    features = x.mean((2, 3))
    return dense(parameters, "fc", features), features, used


def to_onnx(parameters, statistics, batch=1):
    """image [batch,1,8,8], sigma [1,1] -> logits [batch,10]; normalization is folded into the convolutions."""
    nodes, weights = [], []

    def weight(name, value):
        weights.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(op, name, inputs, output=None, **attributes):
        nodes.append(helper.make_node(op, inputs, [output or name], name=name, **attributes))
        return output or name

    def gemm(name, x, output=None):
        parts = [weight(f"{name}.{part}", np.float32(parameters[f"{name}.{part}"])) for part in ("weight", "bias")]
        return node("Gemm", name, [x, *parts], output, transB=1)

    square = node("Mul", "sigma.square", ["sigma", "sigma"])
    total = node("Add", "sigma.total", [square, weight("pixel.square", np.float32([[PIXEL_RMS**2]]))])
    inverse = node("Div", "sigma.inverse", [weight("one", np.float32([[1]])), node("Sqrt", "sigma.root", [total])])
    flat = weight("shape.scalar", np.int64([1, 1, 1, 1]))
    x = node("Mul", "scaled", ["image", node("Reshape", "sigma.scale", [inverse, flat])])
    embedded = node("Relu", "embed1.relu", [gemm("embed1", node("Log", "sigma.log", ["sigma"]))])
    embedded = node("Relu", "embed2.relu", [gemm("embed2", embedded)])
    shapes = {width: weight(f"shape.{width}", np.int64([1, width, 1, 1])) for width in {l[2] for l in LAYERS.values()}}
    for i, (kind, _, outputs, kernel, stride, groups) in LAYERS.items():
        mean, variance = (np.asarray(s, np.float64) for s in statistics[i])
        deviation = np.sqrt(variance + BN_EPSILON)
        folded = np.asarray(parameters[f"{kind}{i}.weight"], np.float64) / deviation[:, None, None, None]
        kernels = weight(f"{kind}{i}.weight", np.float32(folded))
        bias = weight(f"{kind}{i}.bias", np.float32(-mean / deviation))
        x = node("Conv", f"{kind}{i}", [x, kernels, bias], kernel_shape=[kernel] * 2, strides=[stride] * 2,
                 pads=[kernel // 2] * 4, dilations=[1, 1], group=groups)
        for op, part in (("Mul", "factor"), ("Add", "addend")):
            given = node("Reshape", f"{part}{i}.channels", [gemm(f"{part}{i}", embedded), shapes[outputs]])
            x = node(op, f"{kind}{i}.{part}", [x, given])
        if i == RESIDUAL_TO:
            x = node("Add", f"add{i}", [x, f"relu{RESIDUAL_FROM}"])
        x = node("Relu", f"relu{i}", [x])
    x = node("Flatten", "flatten", [node("GlobalAveragePool", "pool", [x])], axis=1)
    gemm("fc", x, "logits")
    graph = helper.make_graph(
        nodes,
        "digits_conditioned",
        [
            helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, 1, 8, 8]),
            helper.make_tensor_value_info("sigma", TensorProto.FLOAT, [1, 1]),
        ],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, CLASSES])],
        weights,
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="selvedge-zoo"
    )
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


def loss(parameters, average, noisy, level, target, lower, next_level):
    """`lower`: the images of `noisy` with the same noise at `next_level`."""
    logits, features, _ = forward(parameters, noisy, level)
    given, wanted, _ = jax.lax.stop_gradient(forward(average, lower, next_level))
    length = lambda x: jnp.sqrt((x * x).sum(-1) + 1e-8)
    cosine = (features * wanted).sum(-1) / (length(features) * length(wanted))
    apart = jax.nn.softmax(given) * (jax.nn.log_softmax(given) - jax.nn.log_softmax(logits))
    along = ALONG_FEATURES * (1 - cosine).mean() + ALONG_PREDICTION * apart.sum(-1).mean()
    return noise.cross_entropy(logits, target) + along


def levels(random, count):
    return np.exp(random.uniform(np.log(LOWEST), np.log(HIGHEST), (count, 1))).astype(np.float32)


def train(images, labels, random):
    """Returns (averaged parameters, batch-norm statistics over noisy copies at all levels)."""
    step = noise.optimizer(loss, with_average=True)
    state = noise.start(initial_parameters(random))
    posterior = noise.Posterior(images, labels, random)
    batches = len(images) // plain.BATCH
    total = EPOCHS * batches
    for epoch in range(EPOCHS):
        order = random.permutation(len(images))[: batches * plain.BATCH]
        shown = on_grid(augment(images[order], random))
        for b in range(batches):
            part = slice(b * plain.BATCH, (b + 1) * plain.BATCH)
            clean = np.concatenate([shown[part], shown[part]])
            origin = np.concatenate([order[part], order[part]])
            level = levels(random, len(clean))
            next_level = np.maximum(level * random.uniform(NEXT, 1, level.shape), LOWEST).astype(np.float32)
            draws = random.standard_normal(clean.shape)
            noisy, lower = (
                np.float32((clean + np.round(draws * (STEPS * sigma)[:, :, None, None])) / STEPS)
                for sigma in (level, next_level)
            )
            target = posterior.target(noisy, origin, level, labels[origin])
            rate = noise.rate_at(epoch * batches + b, total, noise.PEAK_RATE)
            state = step(state, rate, noisy, level, target, lower, next_level)
    average = state[3]
    copies = np.concatenate([on_grid(images)] * noise.STATISTICS_COPIES)
    sigma = levels(random, len(copies))
    copies = (copies + smoothing.rounded_noise(random, copies.shape, STEPS * sigma[:, :, None, None])) / STEPS
    _, _, statistics = jax.jit(forward)(average, copies.astype(np.float32), sigma)
    return average, statistics


def session(model, sigma):
    """Logits of images in whole steps by ONNX Runtime; `sigma` in steps."""
    options = plain.onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    run = plain.onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    level = np.float32([[sigma / STEPS]])
    return lambda codes: run.run(["logits"], {"image": (codes / STEPS).astype(np.float32), "sigma": level})[0]


def report(model, codes, labels):
    return {
        f"{sigma / STEPS:g}": smoothing.summary(session(model, sigma), codes, labels, sigma, DRAWS, plain.SEED, CLASSES)
        for sigma in REPORTED
    }


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--out", type=Path, default=Path(__file__).parent)
    arguments.add_argument("--validate", action="store_true")
    arguments = arguments.parse_args()
    pixels, labels, members, _, test = load(plain.SEED)

    if arguments.validate:
        order = np.random.RandomState(plain.SEED + 1).permutation(members)
        held = order[:: plain.FOLDS]
        rest = np.setdiff1d(order, held)
        trained = train(scaled(pixels[rest]), labels[rest], np.random.RandomState(plain.SEED + 2))
        print(json.dumps(report(to_onnx(*trained, "N"), on_grid(scaled(pixels[held])), labels[held])))
        return

    parameters, statistics = train(scaled(pixels[members]), labels[members], np.random.RandomState(plain.SEED + 1))
    model = to_onnx(parameters, statistics)
    codes = on_grid(scaled(pixels[test]))
    # The first images at each of the reported levels, one level after the other.
    golden = []
    for sigma in REPORTED:
        first = codes[: plain.GOLDEN_IMAGES]
        logits = noise.one_by_one(session(model, sigma), first)
        level = jnp.full((len(first), 1), sigma / STEPS, jnp.float32)
        by_jax, _, _ = forward(parameters, (first / STEPS).astype(np.float32), level, statistics)
        assert np.abs(logits - by_jax).max() < 1e-4
        golden.append(logits)
    arguments.out.mkdir(parents=True, exist_ok=True)
    expected = report(to_onnx(parameters, statistics, "N"), codes, labels[test])
    files = {
        "digits_conditioned.onnx": model,
        "golden_conditioned.bin": np.concatenate(golden).astype("<f4").tobytes(),
        "expected_conditioned.json": (json.dumps(expected, indent=2) + "\n").encode(),
    }
    for name, content in files.items():
        (arguments.out / name).write_bytes(content)
        print(f"{name}: {len(content)} bytes")
    print(json.dumps(expected))


if __name__ == "__main__":
    main()
