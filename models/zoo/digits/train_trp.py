"""Train the digit classifier with trained rank pruning and write `digits_trp.onnx` beside it.

    python train_trp.py              train on the whole train split, write the file
    python train_trp.py --out DIR    the same, into DIR
    python train_trp.py --validate   report accuracy on folds of the train split, write nothing

Method: trained rank pruning (Xu et al. 2019). The weights of the 3x3 layers of 32 channels are, as a
matrix of (input channel, row) times (output channel, column), replaced by their truncation to
`ENERGY` every `PERIOD` steps; the subgradient of the nuclear norm drives small singular values to
zero in between. The exported weights are a truncation once more, so that a compiler which cuts them in
two (`--factorize energy:... --factorize-form spatial`) finds their rank. Data, network, recipe and
seed are those of train.py; the held-out test split is used once, after training.
"""

import argparse
from pathlib import Path

import train as plain  # sets up jax: must come first

import jax
import jax.numpy as jnp
import numpy as np

from data import augment, load, scaled
from network import forward, initial_parameters, to_onnx

LOW_RANK = ("conv4.weight", "conv5.weight")
ENERGY = 0.9
PERIOD = 5
NUCLEAR = 1e-3
# The last epochs keep the subspaces of the first of them.
SETTLED_EPOCHS = 30


def matrix(weight):
    """[N, C, kh, kw] as (C*kh) x (N*kw): the rank of the spatial form."""
    n, c, h, w = weight.shape
    return weight.transpose(1, 2, 0, 3).reshape(c * h, n * w)


def tensor(values, shape):
    n, c, h, w = shape
    return values.reshape(c, h, n, w).transpose(2, 0, 1, 3)


def truncate(weight, energy):
    """Keeps the fewest singular values whose squares sum to `energy` of all."""
    u, s, v = jnp.linalg.svd(matrix(weight), full_matrices=False)
    before = jnp.concatenate([jnp.zeros(1), jnp.cumsum(s * s)[:-1]]) / jnp.maximum((s * s).sum(), 1e-30)
    return tensor((u * jnp.where(before < energy, s, 0)) @ v, weight.shape)


def nuclear_subgradient(weight):
    u, s, v = jnp.linalg.svd(matrix(weight), full_matrices=False)
    return tensor((u * (s > 1e-4 * s[0])) @ v, weight.shape)


@jax.jit
def prune(parameters):
    return parameters | {name: truncate(parameters[name], ENERGY) for name in LOW_RANK}


@jax.jit
def shrink(parameters, rate):
    """A step down the nuclear norm, apart from the gradient's own moments."""
    lower = {name: parameters[name] - rate * NUCLEAR * nuclear_subgradient(parameters[name]) for name in LOW_RANK}
    return parameters | lower


def ranks(parameters):
    of = lambda name: np.linalg.svd(np.asarray(matrix(parameters[name]), np.float64), compute_uv=False)
    return {name: int((of(name) > 1e-4 * of(name)[0]).sum()) for name in LOW_RANK}


def train(images, labels, random):
    """As train.train, with truncations; returns (parameters, batch-norm statistics)."""
    parameters = initial_parameters(random)
    zeros = jax.tree.map(jnp.zeros_like, parameters)
    state = (parameters, zeros, zeros, parameters, jnp.float32(0))
    batches = len(images) // plain.BATCH
    total = plain.EPOCHS * batches
    spaces = None
    for epoch in range(plain.EPOCHS):
        order = random.permutation(len(images))[: batches * plain.BATCH]
        shown = augment(images[order], random)
        for b in range(batches):
            at = epoch * batches + b
            warmup = min(1, (at + 1) / plain.WARMUP_STEPS)
            rate = plain.PEAK_RATE * warmup * (1 + np.cos(np.pi * at / total)) / 2
            part = slice(b * plain.BATCH, (b + 1) * plain.BATCH)
            state = plain.step(state, shown[part], labels[order[part]], np.float32(rate))
            parameters = state[0]
            if spaces is not None:
                parameters = parameters | {
                    name: tensor(spaces[name] @ (spaces[name].T @ matrix(parameters[name])), parameters[name].shape)
                    for name in LOW_RANK
                }
            elif at % PERIOD == 0:
                parameters = prune(shrink(parameters, np.float32(rate * PERIOD)))
            state = (parameters, *state[1:])
        if epoch == plain.EPOCHS - SETTLED_EPOCHS:
            # From here on the average is one of matrices with these columns.
            parameters = prune(state[0])
            spaces = {}
            for name in LOW_RANK:
                u, s, _ = jnp.linalg.svd(matrix(parameters[name]), full_matrices=False)
                spaces[name] = u[:, : int((s > 1e-4 * s[0]).sum())]
            state = (parameters, *state[1:3], parameters, state[4])
    average = state[3]
    _, statistics = jax.jit(forward)(average, images)
    return average, statistics


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--out", type=Path, default=Path(__file__).parent)
    arguments.add_argument("--validate", action="store_true")
    arguments = arguments.parse_args()
    pixels, labels, members, _, test = load(plain.SEED)
    if arguments.validate:
        plain.train = train
        plain.validate(pixels, labels, members)
        return
    random = np.random.RandomState(plain.SEED + 1)
    parameters, statistics = train(scaled(pixels[members]), labels[members], random)
    model = to_onnx(parameters, statistics)
    correct = int((plain.run_onnx(model, scaled(pixels[test])).argmax(1) == labels[test]).sum())
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "digits_trp.onnx").write_bytes(model)
    print(f"digits_trp.onnx: {len(model)} bytes, ranks {ranks(parameters)}")
    print(f"test accuracy: {correct}/{len(test)} = {correct / len(test):.4%}")


if __name__ == "__main__":
    main()
