"""Train the classifier of picture crops under Gaussian noise and write every checked-in file beside it.

    python train.py                  train on the training regions, write the files
    python train.py --out DIR        the same, into DIR
    python train.py --validate       train on a part of the training regions, report on the rest, write nothing

Noise is round(N(0, 63.75^2)) on the grid of 8-bit pixels (a quarter of their range), not clipped, with
consistency regularization (Jeong and Shin 2020). A fifth of the crops have less noise, down to none: without
them a crop without noise is more foreign to the network than a noisy one. The test regions are used once,
after training.
"""

import argparse
import json
import os
import platform
import sys
from importlib import metadata
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

# As in ../digits/train.py: XLA must see one processor, before jax is first imported.
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false --xla_cpu_max_isa=AVX2"
os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

import smoothing
from data import CALIBRATION_CROPS, CLASSES, PICTURES, SIDE, TEST_CROPS, apart, encode, shown, split

SEED = 20261
GOLDEN_CROPS = 16
SIGMA = 63.75
DRAWS = 1000

STEPS = 1600
LESS_NOISE = 0.2
BATCH = 40
PEAK_RATE = 3e-3
WARMUP_STEPS = 100
WEIGHT_DECAY = 0.02
EMA_DECAY = 0.99
CONSISTENCY = 5.0
BN_EPSILON = 1e-5
STATISTICS_CROPS = 2000

# (input channels, output channels, kernel, stride, whether a 2x2 average pool follows)
LAYERS = [
    (3, 16, 5, 2, False),
    (16, 32, 3, 2, False),
    (32, 40, 3, 1, True),
    (40, 56, 3, 1, False),
]


def initial_parameters(random):
    parameters = {}
    for i, (inputs, outputs, kernel, _, _) in enumerate(LAYERS, 1):
        shape = (outputs, inputs, kernel, kernel)
        parameters[f"conv{i}.weight"] = random.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape)
        parameters[f"bn{i}.scale"] = np.ones(outputs)
        parameters[f"bn{i}.bias"] = np.zeros(outputs)
    width = LAYERS[-1][1]
    parameters["fc.weight"] = random.normal(0, np.sqrt(1 / width), (CLASSES, width))
    parameters["fc.bias"] = np.zeros(CLASSES)
    return {name: jnp.asarray(value, jnp.float32) for name, value in parameters.items()}


def forward(parameters, x, statistics=None):
    """Returns (logits, [(mean, variance)]); batch statistics normalise where `statistics` is None."""
    used = []
    for i, (_, _, kernel, stride, pool) in enumerate(LAYERS, 1):
        pad = kernel // 2
        x = jax.lax.conv_general_dilated(
            x, parameters[f"conv{i}.weight"], (stride, stride), ((pad, pad), (pad, pad)),
            dimension_numbers=("NCHW", "OIHW", "NCHW"),
        )
        used.append((x.mean((0, 2, 3)), x.var((0, 2, 3))) if statistics is None else statistics[i - 1])
        mean, variance = (s[:, None, None] for s in used[-1])
        x = (x - mean) * (parameters[f"bn{i}.scale"][:, None, None] / jnp.sqrt(variance + BN_EPSILON))
        x = jax.nn.relu(x + parameters[f"bn{i}.bias"][:, None, None])
        if pool:
            n, c, h, w = x.shape
            x = x.reshape(n, c, h // 2, 2, w // 2, 2).mean((3, 5))
    return x.mean((2, 3)) @ parameters["fc.weight"].T + parameters["fc.bias"], used


def to_onnx(parameters, statistics, batch):
    """image [batch,3,32,32] -> logits [batch,8]; batch normalization is folded into the convolutions."""
    nodes, weights = [], []

    def weight(name, value):
        weights.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
        return name

    def node(op, name, inputs, output=None, **attributes):
        nodes.append(helper.make_node(op, inputs, [output or name], name=name, **attributes))
        return output or name

    x = "image"
    for i, (_, _, kernel, stride, pool) in enumerate(LAYERS, 1):
        mean, variance = (np.asarray(s, np.float64) for s in statistics[i - 1])
        scale = np.asarray(parameters[f"bn{i}.scale"], np.float64) / np.sqrt(variance + BN_EPSILON)
        folded = np.asarray(parameters[f"conv{i}.weight"], np.float64) * scale[:, None, None, None]
        bias = np.asarray(parameters[f"bn{i}.bias"], np.float64) - mean * scale
        inputs = [x, weight(f"conv{i}.weight", folded), weight(f"conv{i}.bias", bias)]
        x = node("Conv", f"conv{i}", inputs, kernel_shape=[kernel] * 2, strides=[stride] * 2,
                 pads=[kernel // 2] * 4, dilations=[1, 1], group=1)
        x = node("Relu", f"relu{i}", [x])
        if pool:
            x = node("AveragePool", f"pool{i}", [x], kernel_shape=[2, 2], strides=[2, 2])
    x = node("GlobalAveragePool", "pool", [x])
    x = node("Flatten", "flatten", [x], axis=1)
    fc = [weight(f"fc.{part}", parameters[f"fc.{part}"]) for part in ("weight", "bias")]
    node("Gemm", "fc", [x, *fc], output="logits", transB=1)
    graph = helper.make_graph(
        nodes,
        "pictures",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, CLASSES])],
        weights,
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="selvedge-zoo"
    )
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


def divergence(target, log_prediction):
    return (target * (jnp.log(target + 1e-8) - log_prediction)).sum(-1).mean()


def loss(parameters, pair, labels):
    """`pair`: two noisy copies of each crop, one batch after the other."""
    logits, _ = forward(parameters, pair)
    log_p = jax.nn.log_softmax(logits)
    target = jax.nn.one_hot(jnp.concatenate([labels, labels]), CLASSES)
    cross_entropy = -(target * log_p).sum(-1).mean()
    half = len(labels)
    mean = (jnp.exp(log_p[:half]) + jnp.exp(log_p[half:])) / 2
    apart = (divergence(mean, log_p[:half]) + divergence(mean, log_p[half:])) / 2
    entropy = -(mean * jnp.log(mean + 1e-8)).sum(-1).mean()
    return cross_entropy + CONSISTENCY * apart + 0.5 * entropy


@jax.jit
def step(state, pair, labels, rate):
    """One AdamW step; `average` follows the weights as an exponential moving average."""
    parameters, first, second, average, count = state
    gradients = jax.grad(loss)(parameters, pair, labels)
    each = jax.tree.map
    length = jnp.sqrt(sum((g * g).sum() for g in jax.tree.leaves(gradients)))
    gradients = each(lambda g: g / jnp.maximum(1, length), gradients)
    count = count + 1
    first = each(lambda m, g: 0.9 * m + 0.1 * g, first, gradients)
    second = each(lambda v, g: 0.99 * v + 0.01 * g * g, second, gradients)

    def update(p, m, v):
        direction = (m / (1 - 0.9**count)) / (jnp.sqrt(v / (1 - 0.99**count)) + 1e-8)
        return p - rate * (direction + (WEIGHT_DECAY * p if p.ndim > 1 else 0.0))

    parameters = each(update, parameters, first, second)
    average = each(lambda a, p: EMA_DECAY * a + (1 - EMA_DECAY) * p, average, parameters)
    return parameters, first, second, average, count


def noisy(crops, random, sigma=SIGMA):
    return ((crops + smoothing.rounded_noise(random, crops.shape, sigma)) / 255).astype(np.float32)


def train(regions, random):
    """Returns (averaged parameters, batch-norm statistics over noisy crops)."""
    parameters = initial_parameters(random)
    zeros = jax.tree.map(jnp.zeros_like, parameters)
    state = (parameters, zeros, zeros, parameters, jnp.float32(0))
    for at in range(STEPS):
        crops, labels = shown(regions, BATCH, random)
        level = np.where(random.uniform(size=BATCH) < LESS_NOISE, random.uniform(size=BATCH), 1)
        sigma = SIGMA * np.concatenate([level, level])[:, None, None, None]
        rate = PEAK_RATE * min(1, (at + 1) / WARMUP_STEPS) * (1 + np.cos(np.pi * at / STEPS)) / 2
        state = step(state, noisy(np.concatenate([crops, crops]), random, sigma), labels, np.float32(rate))
    average = state[3]
    crops, _ = shown(regions, STATISTICS_CROPS, random)
    _, statistics = jax.jit(forward)(average, noisy(crops, random))
    return average, statistics


def session(model):
    """Logits of crops in whole steps, by ONNX Runtime."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    run = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda codes: run.run(["logits"], {"image": (codes / 255).astype(np.float32)})[0]


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--out", type=Path, default=Path(__file__).parent)
    arguments.add_argument("--validate", action="store_true")
    arguments = arguments.parse_args()
    regions, held = split()
    if arguments.validate:
        # The training regions once more in two, with a gap.
        cut = [int(region.shape[2] * 0.7) for region in regions]
        held = [region[:, :, edge + 16 :] for region, edge in zip(regions, cut)]
        regions = [region[:, :, :edge] for region, edge in zip(regions, cut)]
    parameters, statistics = train(regions, np.random.RandomState(SEED))
    batched = session(to_onnx(parameters, statistics, "N"))
    if arguments.validate:
        crops, labels = apart(held, 9, np.random.RandomState(SEED + 2))
        found = smoothing.summary(batched, crops.astype(np.float32), labels, SIGMA, 500, SEED, CLASSES, 100)
        print(json.dumps(found))
        return

    crops, labels = apart(held, TEST_CROPS, np.random.RandomState(SEED + 2))
    codes = crops.astype(np.float32)
    calibration, calibration_labels = apart(regions, CALIBRATION_CROPS, np.random.RandomState(SEED + 3))
    model = to_onnx(parameters, statistics, 1)
    single = session(model)
    golden = np.concatenate([single(codes[i : i + 1]) for i in range(GOLDEN_CROPS)])
    by_jax, _ = forward(parameters, (codes[:GOLDEN_CROPS] / 255).astype(np.float32), statistics)
    difference = float(np.abs(golden - by_jax).max())
    assert difference < 1e-4, difference
    found = smoothing.summary(batched, codes, labels, SIGMA, DRAWS, SEED, CLASSES, 100)
    packages = ["jax", "jaxlib", "numpy", "onnx", "onnxruntime", "pillow", "scikit-image", "scipy"]
    expected = {
        "model": "pictures.onnx",
        "seed": SEED,
        "classes": list(PICTURES),
        "test_crops": len(crops),
        "calibration_crops": len(calibration),
        "golden_crops": GOLDEN_CROPS,
        "largest_logit_difference_onnxruntime_to_jax": float(f"{difference:.1e}"),
        **found,
        "versions": {"python": platform.python_version()} | {name: metadata.version(name) for name in packages},
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    files = {
        "pictures.onnx": model,
        "test.bin": encode(crops, labels),
        "calibration.bin": encode(calibration, calibration_labels),
        "golden_logits.bin": golden.astype("<f4").tobytes(),
        "expected.json": (json.dumps(expected, indent=2) + "\n").encode(),
    }
    for name, content in files.items():
        (arguments.out / name).write_bytes(content)
        print(f"{name}: {len(content)} bytes")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
