"""Quality of the two generators in ONNX Runtime: digits that the zoo's classifier sees, Fréchet distance of pixels."""

import pathlib
import sys

import numpy as np
import onnxruntime

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "digits"))
from data import load

ALPHA_BAR = np.append(np.cumprod(1 - np.linspace(1e-4, 0.02, 1000)), 1.0)  # Entry -1 is the clean signal.


def session(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def sample(model, steps, digit, draw, deterministic):
    x = draw.standard_normal((1, 1, 8, 8), np.float32)
    for step, after in zip(steps, [*steps[1:], -1]):
        feeds = {"noisy": x, "step": np.full((1, 1), step, np.float32), "digit": np.eye(10, dtype=np.float32)[digit : digit + 1]}
        v = model.run(None, feeds)[0]
        s, n = np.sqrt(ALPHA_BAR[step]), np.sqrt(1 - ALPHA_BAR[step])
        clean, noise = s * x - n * v, n * x + s * v
        if not deterministic:
            noise = draw.standard_normal(x.shape)
        x = (np.sqrt(ALPHA_BAR[after]) * clean + np.sqrt(1 - ALPHA_BAR[after]) * noise).astype(np.float32)
    return np.clip(x[0] / 2 + 0.5, 0, 1)


def frechet(a, b):
    a, b = a.reshape(len(a), -1), b.reshape(len(b), -1)
    ca, cb = np.cov(a.T), np.cov(b.T)
    # The trace of the root of a product of covariances, by its eigenvalues.
    root = np.sqrt(np.clip(np.linalg.eigvals(ca @ cb).real, 0, None)).sum()
    return ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(ca) + np.trace(cb) - 2 * root


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    pixels, labels, train, _, test = load(20260)
    real = (pixels / np.float32(16)).reshape(-1, 1, 8, 8)
    classifier = session(HERE.parent / "digits/digits.onnx")
    print(f"training images: distance {frechet(real[train[:count]], real[test]):.3f}")
    for name, steps in [
        ("diffusion", range(960, -1, -40)),
        ("diffusion", [500, 0]),
        ("consistency", [999, 519]),
        ("consistency", [999]),
    ]:
        model, draw = session(HERE / f"digit_{name}.onnx"), np.random.default_rng(9)
        digits = np.arange(count) % 10
        images = np.stack([sample(model, list(steps), d, draw, name == "diffusion") for d in digits])
        seen = classifier.run(None, {"image": images.astype(np.float32)})[0].argmax(1)
        print(f"{name} {len(steps)}: {100 * (seen == digits).mean():.1f} % right, distance {frechet(images, real[test]):.3f}", flush=True)


if __name__ == "__main__":
    main()
