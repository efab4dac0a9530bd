"""Train the digit classifier under Gaussian noise, for smoothing, and write the models beside it.

    python train_noise.py              train on the whole train split, write the files
    python train_noise.py --out DIR    the same, into DIR
    python train_noise.py --only NAME  one of the two networks
    python train_noise.py --validate   report on one fold of the train split, write nothing

Noise is round(N(0, sigma^2)) on the grid of the stored pixels (16 steps are the full range), not clipped:
sigma = 4 and 8 steps, a quarter and a half of the range. Training is Gaussian augmentation (Cohen et al.
2019) with softer targets: half of the target is the label, the other half what Bayes' rule makes of the
noisy image if the images of the train split, turned, scaled and shifted, were all there is. Copies of the
image itself have no say in it. The held-out test split is used once, after training.
"""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

# First: it pins the processor before jax is loaded.
import train as plain

import jax
import jax.numpy as jnp
import numpy as np

import network
import smoothing
from data import CLASSES, augment, encode_noisy, load, scaled

STEPS = 16
# Noise in steps of each network.
NETS = {"noise_025": 4.0, "noise_050": 8.0}

EPOCHS = 200
PEAK_RATE = 4e-3
# Copies of each training image that Bayes' rule weighs, and the part of the target it gives.
KNOWN_COPIES = 4
SOFT = 0.5
# Noisy copies of the training images that the batch-normalization statistics are taken over.
STATISTICS_COPIES = 8
DRAWS = 10_000
SHORT_DRAWS = 1000


def on_grid(images):
    """Whole steps, as stored pixels are."""
    return np.round(images * STEPS)


class Posterior:
    """Bayes' rule over copies of the training images: what class noise made this image from."""

    def __init__(self, images, labels, random):
        copies = [on_grid(augment(images, random)).reshape(len(images), -1) for _ in range(KNOWN_COPIES)]
        self.known = jnp.asarray(np.concatenate(copies) / STEPS, jnp.float32)
        self.origin = jnp.tile(jnp.arange(len(images)), KNOWN_COPIES)
        self.classes = jax.nn.one_hot(jnp.tile(jnp.asarray(labels), KNOWN_COPIES), CLASSES)
        self.given = jax.jit(self._given)

    def _given(self, noisy, origin, sigma):
        """Probabilities [N, 10]; `sigma`, [N, 1], in units of the range."""
        noisy = noisy.reshape(len(noisy), -1)
        weight = (2 * noisy @ self.known.T - (self.known**2).sum(1)) / (2 * sigma**2)
        weight = jnp.where(self.origin[None] == origin[:, None], -jnp.inf, weight)
        return jax.nn.softmax(weight, -1) @ self.classes

    def target(self, noisy, origin, sigma, labels):
        return (1 - SOFT) * jax.nn.one_hot(labels, CLASSES) + SOFT * self.given(noisy, origin, sigma)


def cross_entropy(logits, target):
    return -(target * jax.nn.log_softmax(logits)).sum(-1).mean()


def loss(parameters, noisy, target):
    return cross_entropy(network.forward(parameters, noisy, layers=network.WIDE)[0], target)


def optimizer(loss, with_average=False):
    """A jitted AdamW step of `loss(parameters, *batch)`, with an average of the weights; where the loss is
    `with_average`, that average is its second argument."""
    each = jax.tree.map

    @jax.jit
    def step(state, rate, *batch):
        parameters, first, second, average, count = state
        gradients = jax.grad(loss)(parameters, *([average] if with_average else []), *batch)
        # Noise makes single batches loud: the gradient's length is bounded.
        length = jnp.sqrt(sum((g * g).sum() for g in jax.tree.leaves(gradients)))
        gradients = each(lambda g: g / jnp.maximum(1, length), gradients)
        count = count + 1
        first = each(lambda m, g: 0.9 * m + 0.1 * g, first, gradients)
        second = each(lambda v, g: 0.99 * v + 0.01 * g * g, second, gradients)

        def update(p, m, v):
            direction = (m / (1 - 0.9**count)) / (jnp.sqrt(v / (1 - 0.99**count)) + 1e-8)
            return p - rate * (direction + (plain.WEIGHT_DECAY * p if p.ndim > 1 else 0.0))

        parameters = each(update, parameters, first, second)
        average = each(lambda a, p: plain.EMA_DECAY * a + (1 - plain.EMA_DECAY) * p, average, parameters)
        return parameters, first, second, average, count

    return step


def start(parameters):
    zeros = jax.tree.map(jnp.zeros_like, parameters)
    return parameters, zeros, zeros, parameters, jnp.float32(0)


def rate_at(step, total, peak):
    return np.float32(peak * min(1, (step + 1) / plain.WARMUP_STEPS) * (1 + np.cos(np.pi * step / total)) / 2)


def train(images, labels, sigma, random):
    """Returns (averaged parameters, batch-norm statistics over noisy copies of `images`)."""
    step = optimizer(loss)
    state = start(network.initial_parameters(random, network.WIDE))
    posterior = Posterior(images, labels, random)
    batches = len(images) // plain.BATCH
    total = EPOCHS * batches
    for epoch in range(EPOCHS):
        order = random.permutation(len(images))[: batches * plain.BATCH]
        shown = on_grid(augment(images[order], random))
        for b in range(batches):
            part = slice(b * plain.BATCH, (b + 1) * plain.BATCH)
            noisy = np.concatenate([shown[part], shown[part]])
            noisy = np.float32((noisy + smoothing.rounded_noise(random, noisy.shape, sigma)) / STEPS)
            origin = np.concatenate([order[part], order[part]])
            level = np.full((len(noisy), 1), sigma / STEPS, np.float32)
            target = posterior.target(noisy, origin, level, labels[origin])
            state = step(state, rate_at(epoch * batches + b, total, PEAK_RATE), noisy, target)
    average = state[3]
    copies = np.concatenate([on_grid(images)] * STATISTICS_COPIES)
    copies = (copies + smoothing.rounded_noise(random, copies.shape, sigma)) / STEPS
    _, statistics = jax.jit(lambda x: network.forward(average, x, layers=network.WIDE))(copies.astype(np.float32))
    return average, statistics


def session(model):
    """Logits of images in whole steps, by ONNX Runtime."""
    options = plain.onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    run = plain.onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda codes: run.run(["logits"], {"image": (codes / STEPS).astype(np.float32)})[0]


def one_by_one(logits_of, codes):
    return np.concatenate([logits_of(codes[i : i + 1]) for i in range(len(codes))])


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--out", type=Path, default=Path(__file__).parent)
    arguments.add_argument("--only", choices=NETS)
    arguments.add_argument("--validate", action="store_true")
    arguments = arguments.parse_args()
    pixels, labels, members, calibration, test = load(plain.SEED)

    if arguments.validate:
        order = np.random.RandomState(plain.SEED + 1).permutation(members)
        held = order[:: plain.FOLDS]
        rest = np.setdiff1d(order, held)
        for name, sigma in NETS.items():
            random = np.random.RandomState(plain.SEED + 2)
            model = network.to_onnx(*train(scaled(pixels[rest]), labels[rest], sigma, random), network.WIDE)
            codes = on_grid(scaled(pixels[held]))
            found = smoothing.summary(session(model), codes, labels[held], sigma, 1000, 1, CLASSES)
            print(name, json.dumps(found), flush=True)
        return

    codes = on_grid(scaled(pixels[test]))
    golden_codes = codes[: plain.GOLDEN_IMAGES]
    arguments.out.mkdir(parents=True, exist_ok=True)
    record = arguments.out / "expected_noise.json"
    expected = json.loads(record.read_text()) if record.exists() else {}
    for at, (name, sigma) in enumerate(NETS.items()):
        if arguments.only not in (None, name):
            continue
        random = np.random.RandomState(plain.SEED + 1)
        parameters, statistics = train(scaled(pixels[members]), labels[members], sigma, random)
        model = network.to_onnx(parameters, statistics, network.WIDE, 1)
        golden = one_by_one(session(model), golden_codes)
        by_jax, _ = network.forward(parameters, (golden_codes / STEPS).astype(np.float32), statistics, network.WIDE)
        assert np.abs(golden - by_jax).max() < 1e-4
        # Calibration images under the noise: a grid for the input must hold it.
        noise = smoothing.rounded_noise(np.random.RandomState(plain.SEED + 10 + at), (len(calibration), 64), sigma)
        files = {
            f"digits_{name}.onnx": model,
            f"golden_{name}.bin": golden.astype("<f4").tobytes(),
            f"calibration_{name}.bin": encode_noisy(pixels[calibration] + noise, labels[calibration]),
        }
        for file, content in files.items():
            (arguments.out / file).write_bytes(content)
            print(f"{file}: {len(content)} bytes", flush=True)
        batched = session(network.to_onnx(parameters, statistics, network.WIDE))
        expected[name] = smoothing.summary(batched, codes, labels[test], sigma, DRAWS, plain.SEED, CLASSES)
        print(name, json.dumps(expected[name]), flush=True)
        # Of as many draws as the other scripts make.
        short = smoothing.summary(batched, codes, labels[test], sigma, SHORT_DRAWS, plain.SEED, CLASSES)
        expected[f"{name}_short"] = short
        record.write_text(json.dumps(dict(sorted(expected.items())), indent=2) + "\n")


if __name__ == "__main__":
    main()
