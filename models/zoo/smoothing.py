"""Noise on the integer grid and estimates of what smoothing with it certifies.

Noise is round(N(0, sigma^2)) in whole steps of the input's grid, added without clipping. The estimates
follow CERTIFY (Cohen, Rosenfeld and Kolter, 2019): the class is chosen by draws of its own, the radius
comes from a Clopper-Pearson bound on others. They are float estimates, for training and for the README:
certificates are made by the runtime, with a compiled model and noise from a keyed counter.
"""

import numpy as np
from scipy.stats import beta, norm

ALPHA = 0.001
SELECTION_DRAWS = 100
# In units of sigma.
RADII = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0)


def rounded_noise(random, shape, sigma):
    """Whole steps; `sigma`, in steps, may be an array that broadcasts to `shape`."""
    return np.round(random.standard_normal(shape) * sigma).astype(np.float32)


def counts(logits_of, codes, sigma, draws, random, classes, chunk):
    """Votes [image, class] of `draws` noisy copies of each image of `codes` (whole steps)."""
    votes = np.zeros((len(codes), classes), np.int64)
    for image, row in enumerate(codes):
        for begin in range(0, draws, chunk):
            n = min(chunk, draws - begin)
            noisy = row[None] + rounded_noise(random, (n, *row.shape), sigma)
            votes[image] += np.bincount(logits_of(noisy).argmax(1), minlength=classes)
    return votes


def radii(logits_of, codes, sigma, draws, seed, classes, chunk=1000):
    """What smoothing gives: (chosen class, radius in units of sigma, -1 for none, votes) of each image."""
    random = np.random.RandomState(seed)
    chosen = counts(logits_of, codes, sigma, SELECTION_DRAWS, random, classes, chunk).argmax(1)
    votes = counts(logits_of, codes, sigma, draws, random, classes, chunk)
    k = votes[np.arange(len(codes)), chosen]
    lower = np.where(k > 0, beta.ppf(ALPHA, np.maximum(k, 1), draws - k + 1), 0.0)
    radius = np.where(lower > 0.5, norm.ppf(lower), -1.0)
    return chosen, radius, votes


def summary(logits_of, codes, labels, sigma, draws, seed, classes, chunk=1000):
    """Counts of images: right without noise, right by most votes, certified right at each radius; and the
    share of single draws that are right."""
    labels = labels.astype(int)
    clean = np.concatenate([logits_of(codes[i : i + chunk]) for i in range(0, len(codes), chunk)]).argmax(1)
    chosen, radius, votes = radii(logits_of, codes, sigma, draws, seed, classes, chunk)
    right = chosen == labels
    return {
        "images": len(codes),
        "sigma_steps": sigma,
        "draws": draws,
        "clean_correct": int((clean == labels).sum()),
        "noisy_accuracy": round(float(votes[np.arange(len(codes)), labels].sum() / votes.sum()), 4),
        "smoothed_correct": int((votes.argmax(1) == labels).sum()),
        "certified_correct": {f"{r:g}": int((right & (radius > r)).sum()) for r in RADII if r <= cap(draws)},
        "mean_certified_radius": round(float(np.where(right, np.maximum(radius, 0), 0).mean()), 4),
    }


def cap(draws):
    """The radius, in units of sigma, when every draw agrees."""
    return norm.ppf(ALPHA ** (1 / draws))
