"""Train the 8x8 digit classifier and write every checked-in file beside it.

    python train.py                  train on the whole train split, write the files
    python train.py --out DIR        the same, into DIR
    python train.py --validate       report accuracy on folds of the train split, write nothing

The held-out test split is used once, after training, to measure the exported model.
"""

import argparse
import json
import os
import platform
from importlib import metadata
from pathlib import Path

# XLA splits sums over the processors it sees, so the trained bits depend on their number: let it
# see one. Both settings must be in place when jax is first imported.
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false --xla_cpu_max_isa=AVX2"
os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import jax.numpy as jnp
import numpy as np
import onnxruntime

from data import CLASSES, augment, encode, load, scaled
from network import forward, initial_parameters, to_onnx

SEED = 20260
GOLDEN_IMAGES = 32
FOLDS = 5

EPOCHS = 160
BATCH = 64
PEAK_RATE = 4e-3
WARMUP_STEPS = 100
WEIGHT_DECAY = 0.02
LABEL_SMOOTHING = 0.05
EMA_DECAY = 0.995


def loss(parameters, x, labels):
    logits, _ = forward(parameters, x)
    target = jax.nn.one_hot(labels, CLASSES) * (1 - LABEL_SMOOTHING) + LABEL_SMOOTHING / CLASSES
    return -(target * jax.nn.log_softmax(logits)).sum(-1).mean()


@jax.jit
def step(state, x, labels, rate):
    """One AdamW step; `average` follows the weights as an exponential moving average."""
    parameters, first, second, average, count = state
    gradients = jax.grad(loss)(parameters, x, labels)
    count = count + 1
    each = jax.tree.map
    first = each(lambda m, g: 0.9 * m + 0.1 * g, first, gradients)
    second = each(lambda v, g: 0.99 * v + 0.01 * g * g, second, gradients)

    def update(p, m, v):
        direction = (m / (1 - 0.9**count)) / (jnp.sqrt(v / (1 - 0.99**count)) + 1e-8)
        decay = WEIGHT_DECAY * p if p.ndim > 1 else 0.0
        return p - rate * (direction + decay)

    parameters = each(update, parameters, first, second)
    average = each(lambda a, p: EMA_DECAY * a + (1 - EMA_DECAY) * p, average, parameters)
    return parameters, first, second, average, count


def train(images, labels, random):
    """Returns (averaged parameters, batch-norm statistics over the whole of `images`)."""
    parameters = initial_parameters(random)
    zeros = jax.tree.map(jnp.zeros_like, parameters)
    state = (parameters, zeros, zeros, parameters, jnp.float32(0))
    batches = len(images) // BATCH
    total = EPOCHS * batches
    for epoch in range(EPOCHS):
        order = random.permutation(len(images))[: batches * BATCH]
        shown = augment(images[order], random)
        for b in range(batches):
            at = epoch * batches + b
            warmup = min(1, (at + 1) / WARMUP_STEPS)
            rate = PEAK_RATE * warmup * (1 + np.cos(np.pi * at / total)) / 2
            part = slice(b * BATCH, (b + 1) * BATCH)
            state = step(state, shown[part], labels[order[part]], np.float32(rate))
    average = state[3]
    _, statistics = jax.jit(forward)(average, images)
    return average, statistics


def run_onnx(model, images):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return session.run(["logits"], {"image": images})[0]


def validate(pixels, labels, members):
    """Cross-validates the recipe inside the train split, where the test split has no say."""
    order = np.random.RandomState(SEED + 1).permutation(members)
    correct = 0
    for fold in range(FOLDS):
        held = order[fold::FOLDS]
        rest = np.setdiff1d(order, held)
        random = np.random.RandomState(SEED + 2 + fold)
        parameters, statistics = train(scaled(pixels[rest]), labels[rest], random)
        logits = run_onnx(to_onnx(parameters, statistics), scaled(pixels[held]))
        right = int((logits.argmax(1) == labels[held]).sum())
        correct += right
        print(f"fold {fold}: {right}/{len(held)}", flush=True)
    print(f"cross-validation: {correct}/{len(order)} = {correct / len(order):.4%}")


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--out", type=Path, default=Path(__file__).parent)
    arguments.add_argument("--validate", action="store_true")
    arguments = arguments.parse_args()

    pixels, labels, members, calibration, test = load(SEED)
    if arguments.validate:
        validate(pixels, labels, members)
        return

    random = np.random.RandomState(SEED + 1)
    parameters, statistics = train(scaled(pixels[members]), labels[members], random)
    model = to_onnx(parameters, statistics)
    images = scaled(pixels[test])
    logits = run_onnx(model, images)
    plain, _ = forward(parameters, images, statistics)
    correct = int((logits.argmax(1) == labels[test]).sum())
    packages = ["jax", "jaxlib", "numpy", "onnx", "onnxruntime", "scikit-learn"]
    expected = {
        "model": "digits.onnx",
        "seed": SEED,
        "train_images": len(members),
        "calibration_images": len(calibration),
        "test_images": len(test),
        "f32_correct": correct,
        "f32_accuracy": round(correct / len(test), 6),
        "golden_images": GOLDEN_IMAGES,
        "largest_logit_difference_onnxruntime_to_jax": float(f"{np.abs(logits - plain).max():.1e}"),
        "versions": {"python": platform.python_version()}
        | {name: metadata.version(name) for name in packages},
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    files = {
        "digits.onnx": model,
        "test.bin": encode(pixels[test], labels[test]),
        "calibration.bin": encode(pixels[calibration], labels[calibration]),
        "golden_logits.bin": logits[:GOLDEN_IMAGES].astype("<f4").tobytes(),
        "expected.json": (json.dumps(expected, indent=2) + "\n").encode(),
    }
    for name, content in files.items():
        (arguments.out / name).write_bytes(content)
        print(f"{name}: {len(content)} bytes")
    print(f"test accuracy: {correct}/{len(test)} = {correct / len(test):.4%}")


if __name__ == "__main__":
    main()
