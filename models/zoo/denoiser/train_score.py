"""Trains the score network of the zoo: gray pictures, Gaussian noise, learned from noisy pictures alone.

The loss is that of the autoencoder which Noise2Score (Kim and Ye 2021) takes: more noise, deviation a, is added to a
noisy picture, and the network is to say which. Its optimum is the score of the pictures with both noises; as both are
Gaussian, that is the score at the level b = sqrt(level^2 + a^2), which the network is told. So `a` need not become small,
and no clean picture is in the loss. Network, pictures and file are those of `train.py`: what comes out is b^2 times the score.

    python train_score.py --minutes 22 --out denoiser_score.onnx
"""

import argparse
import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import train as base

# `a` over the level of the noisy picture.
LEAST, MOST = 0.5, 1.0
# Patches at once.
BATCH = 8
# Quieter pictures teach little: their noise lies below their texture.
QUIET = 5 / 255


def loss(p, clean, noise, level, rounding):
    # The only place that knows clean pictures: where noisy ones are made of them.
    level = jnp.maximum(level, QUIET)
    noisy = clean + noise * level[:, None, None]
    # Other numbers in every batch: the seed is the bits of one of its own.
    key = jax.random.PRNGKey(jax.lax.bitcast_convert_type(noise[0, 0, 0], jnp.int32))
    parts = jax.random.split(key)
    more = jax.random.normal(parts[0], noisy.shape)
    a = level * jax.random.uniform(parts[1], level.shape, minval=LEAST, maxval=MOST)
    both = jnp.sqrt(level**2 + a**2)
    unit = (a / both**2)[:, None, None]
    added = base.predict(p, noisy + more * a[:, None, None], both, rounding)
    inner = more[:, base.EDGE : -base.EDGE, base.EDGE : -base.EDGE]
    return jnp.mean((unit * added + inner) ** 2)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=22)
    parser.add_argument("--free", type=float, default=0.8, help="part of the time without rounding")
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("denoiser_score.onnx"))
    args = parser.parse_args()
    base.BATCH = BATCH
    draw = np.random.default_rng(3)
    write = functools.partial(base.export, path=args.out)
    write(base.train(base.init(draw), args.minutes, args.rate, args.free, draw, loss, write))


if __name__ == "__main__":
    main()
