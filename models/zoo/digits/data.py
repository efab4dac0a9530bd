"""The digit images: the split, the .bin format and the augmentation."""

import struct

import numpy as np
from sklearn.datasets import load_digits

CLASSES = 10
TEST_IMAGES = 450
CALIBRATION_IMAGES = 256

MAX_SHIFT = 0.7  # pixels
MAX_TURN = 0.2  # radians
MAX_SCALE = 0.1  # fraction of the size


def stratified(labels, candidates, count, random):
    """Picks `count` of `candidates` at random, each class in proportion.

    Largest-remainder rounding; ties go to the lower class. The classes alternate in the result, so
    that every prefix of it is balanced too.
    """
    candidates = random.permutation(candidates)
    share = np.bincount(labels[candidates], minlength=CLASSES) * count / len(candidates)
    quota = np.floor(share).astype(int)
    order = np.argsort(-(share - quota), kind="stable")
    quota[order[: count - quota.sum()]] += 1
    classes = [candidates[labels[candidates] == c][: quota[c]] for c in range(CLASSES)]
    ranked = [(rank, c) for c in range(CLASSES) for rank in range(quota[c])]
    return np.array([classes[c][rank] for rank, c in sorted(ranked)])


def load(seed):
    """Returns (pixels u8 [1797, 64], labels u8, index arrays train, calibration, test)."""
    digits = load_digits()
    pixels, labels = digits.data.astype(np.uint8), digits.target.astype(np.uint8)
    # RandomState, unlike Generator, promises the same stream in every numpy release.
    random = np.random.RandomState(seed)
    everything = np.arange(len(labels))
    test = stratified(labels, everything, TEST_IMAGES, random)
    train = np.setdiff1d(everything, test)
    calibration = stratified(labels, train, CALIBRATION_IMAGES, random)
    return pixels, labels, train, calibration, test


def scaled(pixels):
    return (pixels.astype(np.float32) / 16).reshape(-1, 1, 8, 8)


def encode(pixels, labels):
    """The .bin format: magic, version, height, width, highest value, count u32 LE, pixels, labels."""
    header = b"SDIG" + struct.pack("<BBBBI", 1, 8, 8, 16, len(labels))
    return header + pixels.tobytes() + labels.tobytes()


def encode_noisy(values, labels):
    """As `encode`, version 2: values are signed bytes, since noise takes them out of the range of pixels."""
    header = b"SDIG" + struct.pack("<BBBBI", 2, 8, 8, 16, len(labels))
    return header + np.clip(values, -128, 127).astype(np.int8).tobytes() + labels.tobytes()


def augment(images, random):
    """Turns, scales and shifts each image a little, by bilinear sampling with a zero border."""
    n = len(images)
    turn = random.uniform(-MAX_TURN, MAX_TURN, (n, 1, 1))
    scale = random.uniform(1 - MAX_SCALE, 1 + MAX_SCALE, (n, 1, 1))
    shift = random.uniform(-MAX_SHIFT, MAX_SHIFT, (2, n, 1, 1))
    row, column = np.meshgrid(np.arange(8) - 3.5, np.arange(8) - 3.5, indexing="ij")
    cos, sin = np.cos(turn) * scale, np.sin(turn) * scale
    # Two pixels of zero border on each side; coordinates are clipped into the border.
    padded = np.pad(images[:, 0], ((0, 0), (2, 2), (2, 2)))
    y = np.clip(cos * row - sin * column + shift[0] + 5.5, 0, 10.999)
    x = np.clip(sin * row + cos * column + shift[1] + 5.5, 0, 10.999)
    y0, x0 = y.astype(int), x.astype(int)
    fy, fx = y - y0, x - x0
    at = np.arange(n)[:, None, None]
    top = padded[at, y0, x0] * (1 - fx) + padded[at, y0, x0 + 1] * fx
    bottom = padded[at, y0 + 1, x0] * (1 - fx) + padded[at, y0 + 1, x0 + 1] * fx
    return (top * (1 - fy) + bottom * fy).astype(np.float32)[:, None]
