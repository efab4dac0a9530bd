"""Train a denoiser for the digits at half of the range and write it beside this script.

    python train_denoiser.py              train on the whole train split, write the files
    python train_denoiser.py --out DIR    the same, into DIR

For comparison: denoise, then classify with digits.onnx, which never saw noise (denoised smoothing, Salman
et al. 2020, in one step). The denoiser adds to the noisy image what four convolutions make of it. It is
trained first for the squared error, then for the squared error and the cross-entropy of what digits.onnx,
held fixed, makes of its output. Its multiply-accumulates and those of digits.onnx are together about those
of digits_conditioned.onnx.
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

import network
import smoothing
from data import CLASSES, augment, load, scaled
from train_noise import STEPS, on_grid, plain

SIGMA = 8.0
EPOCHS = (150, 150)
PEAK_RATES = (4e-3, 2e-3)
CLASSIFICATION = 0.05
WIDTHS = (1, 12, 12, 12, 1)
DRAWS = 1000


def initial_parameters(random):
    parameters = {}
    for i, (inputs, outputs) in enumerate(zip(WIDTHS, WIDTHS[1:]), 1):
        last = outputs == 1
        deviation = np.sqrt((0.01 if last else 2) / (9 * inputs))
        parameters[f"conv{i}.weight"] = random.normal(0, deviation, (outputs, inputs, 3, 3))
        parameters[f"conv{i}.bias"] = np.zeros(outputs)
    return {name: jnp.asarray(value, jnp.float32) for name, value in parameters.items()}


def forward(parameters, image):
    x = image
    for i in range(1, len(WIDTHS)):
        x = jax.lax.conv_general_dilated(
            x, parameters[f"conv{i}.weight"], (1, 1), ((1, 1), (1, 1)), dimension_numbers=("NCHW", "OIHW", "NCHW")
        )
        x = x + parameters[f"conv{i}.bias"][:, None, None]
        if i + 1 < len(WIDTHS):
            x = jax.nn.relu(x)
    return image + x


def to_onnx(parameters, batch=1):
    """image [batch,1,8,8] -> denoised [batch,1,8,8]."""
    nodes, weights = [], []
    x = "image"
    for i in range(1, len(WIDTHS)):
        parts = [f"conv{i}.weight", f"conv{i}.bias"]
        weights += [numpy_helper.from_array(np.float32(parameters[part]), part) for part in parts]
        nodes.append(helper.make_node("Conv", [x, *parts], [f"conv{i}"], name=f"conv{i}", kernel_shape=[3, 3],
                                      strides=[1, 1], pads=[1] * 4, dilations=[1, 1], group=1))
        x = f"conv{i}"
        if i + 1 < len(WIDTHS):
            nodes.append(helper.make_node("Relu", [x], [f"relu{i}"], name=f"relu{i}"))
            x = f"relu{i}"
    nodes.append(helper.make_node("Add", ["image", x], ["denoised"], name="add"))
    graph = helper.make_graph(
        nodes,
        "digits_denoiser_050",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, 1, 8, 8])],
        [helper.make_tensor_value_info("denoised", TensorProto.FLOAT, [batch, 1, 8, 8])],
        weights,
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="selvedge-zoo"
    )
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


def classifier():
    """Parameters and statistics of digits.onnx."""
    model = onnx.load(Path(__file__).parent / "digits.onnx")
    values = {w.name: numpy_helper.to_array(w) for w in model.graph.initializer}
    return values, {i: (values[f"bn{i}.mean"], values[f"bn{i}.var"]) for i in network.LAYERS}


def train(images, labels, random):
    parameters = initial_parameters(random)
    weights, statistics = classifier()
    batches = len(images) // plain.BATCH
    for epochs, peak, share in zip(EPOCHS, PEAK_RATES, (0.0, CLASSIFICATION)):

        def loss(parameters, noisy, clean, labels, share=share):
            denoised = forward(parameters, noisy)
            error = ((denoised - clean) ** 2).mean()
            if not share:
                return error
            logits, _ = network.forward(weights, denoised, statistics)
            target = jax.nn.one_hot(labels, CLASSES)
            return error - share * (target * jax.nn.log_softmax(logits)).sum(-1).mean()

        step = noise.optimizer(loss)
        state = noise.start(parameters)
        for epoch in range(epochs):
            order = random.permutation(len(images))[: batches * plain.BATCH]
            shown = on_grid(augment(images[order], random))
            for b in range(batches):
                part = slice(b * plain.BATCH, (b + 1) * plain.BATCH)
                clean = np.concatenate([shown[part], shown[part]])
                noisy = clean + smoothing.rounded_noise(random, clean.shape, SIGMA)
                rate = noise.rate_at(epoch * batches + b, epochs * batches, peak)
                at = np.concatenate([labels[order[part]]] * 2)
                state = step(state, rate, np.float32(noisy / STEPS), np.float32(clean / STEPS), at)
        parameters = state[3]
        print("trained", "for error" if not share else "for error and class", flush=True)
    return parameters


def session(model, output="denoised"):
    options = plain.onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    run = plain.onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda images: run.run([output], {"image": np.asarray(images, np.float32)})[0]


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--out", type=Path, default=Path(__file__).parent)
    arguments = arguments.parse_args()
    pixels, labels, members, _, test = load(plain.SEED)
    parameters = train(scaled(pixels[members]), labels[members], np.random.RandomState(plain.SEED + 1))
    model = to_onnx(parameters)
    codes = on_grid(scaled(pixels[test]))
    # Of the first images with noise, in whole steps; noise and output are both kept.
    draws = smoothing.rounded_noise(np.random.RandomState(plain.SEED + 20), (plain.GOLDEN_IMAGES, 1, 8, 8), SIGMA)
    noisy = codes[: plain.GOLDEN_IMAGES] + draws
    golden = noise.one_by_one(session(model), noisy / STEPS)
    assert np.abs(golden - forward(parameters, np.float32(noisy / STEPS))).max() < 1e-4

    denoise = session(to_onnx(parameters, "N"))
    classify = session((Path(__file__).parent / "digits.onnx").read_bytes(), "logits")
    settings = codes, labels[test], SIGMA, DRAWS, plain.SEED, CLASSES
    both = smoothing.summary(lambda c: classify(denoise(c / STEPS)), *settings)
    alone = smoothing.summary(lambda c: classify(c / STEPS), *settings)
    random = np.random.RandomState(plain.SEED + 21)
    given = codes + smoothing.rounded_noise(random, codes.shape, SIGMA)
    error = float(np.sqrt(((denoise(given / STEPS) - codes / STEPS) ** 2).mean()))
    expected = {
        "rms_error": round(error, 4),
        "rms_error_of_noise": round(float(np.sqrt((((given - codes) / STEPS) ** 2).mean())), 4),
        "denoiser_then_digits": both,
        "digits_alone": alone,
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    files = {
        "digits_denoiser_050.onnx": model,
        "golden_denoiser_050.bin": noisy.astype(np.int8).tobytes() + golden.astype("<f4").tobytes(),
        "expected_denoiser.json": (json.dumps(expected, indent=2) + "\n").encode(),
    }
    for name, content in files.items():
        (arguments.out / name).write_bytes(content)
        print(f"{name}: {len(content)} bytes")
    print(json.dumps(expected))


if __name__ == "__main__":
    main()
