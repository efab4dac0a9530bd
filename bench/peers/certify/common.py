"""What the scripts of this folder share: test sets, artifacts, and `selvedge certify` in a process of its own."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[3]
ALPHA = 0.001
SELECTION = 100
# The same draws in every run: for measurements, not for certificates that others shall believe.
NONCE = "5e" * 32


@dataclass
class Subject:
    """A model with inputs on a grid of `steps` a unit, and the noise in units."""

    name: str
    onnx: Path
    inputs: np.ndarray
    labels: np.ndarray
    calibration: np.ndarray
    steps: float
    sigma: float


def arguments(parser):
    """Options of every script."""
    data = os.environ.get("SELVEDGE_DATA", str(ROOT.parent / "shared"))
    parser.add_argument("--selvedge", type=Path, default=ROOT / "target/release/selvedge", help="the command to measure")
    parser.add_argument("--data", type=Path, default=Path(data), help="folder that holds models/ (default: SELVEDGE_DATA)")
    parser.add_argument("--zoo", type=Path, default=ROOT / "models/zoo", help="folder of the zoo's models")
    parser.add_argument("--scratch", type=Path, required=True, help="folder for artifacts and inputs")
    return parser


def noisy(codes, sigma, steps):
    """Calibration inputs: codes and noise in whole steps, in units."""
    noise = np.round(np.random.RandomState(7).standard_normal(codes.shape) * sigma * steps)
    return ((codes + noise) / steps).astype(np.float32)


def samples(path, magic, shape):
    """A .bin file of the zoo: a header of 12 bytes with the count at 8, values, labels."""
    data = path.read_bytes()
    assert data[:4] == magic, f"{path}: not a file of this kind"
    count, size = int.from_bytes(data[8:12], "little"), int(np.prod(shape))
    values = np.frombuffer(data, np.uint8, count * size, 12).reshape(count, *shape)
    labels = np.frombuffer(data, np.uint8, count, 12 + count * size)
    return values, labels.astype(np.int64)


def subject(name, args):
    """`ic`, `kws`, `digits_025`, `digits_050` or `pictures`."""
    if name in ("ic", "kws"):
        steps, sigma = (1.0, 16.0) if name == "ic" else (16.0, 8.0)
        codes = np.round(np.load(args.data / f"models/expected/{name}.npz")["input_f32"].astype(np.float64) * steps)
        onnx = args.data / f"models/mlperf_tiny/{name}_fp32.onnx"
        test, rest, labels = codes[:32], codes[32:], np.full(32, -1)
    elif name.startswith("digits_"):
        steps, sigma = 16.0, int(name[-3:]) / 100
        onnx = args.zoo / f"digits/digits_noise_{name[-3:]}.onnx"
        test, labels = samples(args.zoo / "digits/test.bin", b"SDIG", (1, 8, 8))
        rest, _ = samples(args.zoo / "digits/calibration.bin", b"SDIG", (1, 8, 8))
    else:
        steps, sigma = 255.0, 0.25
        onnx = args.zoo / "pictures/pictures.onnx"
        test, labels = samples(args.zoo / "pictures/test.bin", b"SPIC", (3, 32, 32))
        rest, _ = samples(args.zoo / "pictures/calibration.bin", b"SPIC", (3, 32, 32))
    return Subject(name, onnx, (test / steps).astype(np.float32), labels, noisy(rest, sigma, steps), steps, sigma)


def compiled(it, form, args):
    """The artifact in a form: `f32`, `int8` or `w4`."""
    args.scratch.mkdir(parents=True, exist_ok=True)
    out, calibration = args.scratch / f"{it.name}_{form}.slvg", args.scratch / f"{it.name}_{form}_calibration.npy"
    command = [args.selvedge, "compile", it.onnx, "-o", out]
    if form == "f32":
        command += ["--weights", "f32"]
    else:
        np.save(calibration, it.calibration)
        command += ["--calibration", calibration, "--weights", {"int8": "w8", "w4": "w4"}[form]]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return out


def certify_command(it, artifact, indices, args, draws, target=None, batch=1):
    """The command that certifies these inputs; the target is in sigmas."""
    indices = np.asarray(indices)
    inputs = args.scratch / f"{artifact.stem}_{os.getpid()}.npy"
    np.save(inputs, it.inputs[indices])
    command = [args.selvedge, "certify", artifact, "--input", inputs, "--steps-per-unit", f"{it.steps:g}"]
    command += ["--sigma", f"{it.sigma}", "--alpha", f"{ALPHA}", "--selection", f"{SELECTION}", "--draws", f"{draws}"]
    command += ["--nonce", NONCE, "--threads", "1", "--batch", f"{batch}", "--json"]
    if target is None:
        return command + ["--rule", "fixed"]
    return command + ["--rule", "sequential", "--target", f"{target * it.sigma}"]


def certify(it, artifact, indices, args, draws, target=None, batch=1):
    """(entries, seconds of processor time) of one run."""
    command = certify_command(it, artifact, indices, args, draws, target, batch)
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    text = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    # 1: nothing was certified; the report is there all the same.
    if child.returncode not in (0, 1):
        raise SystemExit(f"{' '.join(map(str, command))}: exit status {child.returncode}")
    report = json.loads(text)
    return report.get("entries", [report]), usage.ru_utime + usage.ru_stime


def start_seconds(it, artifact, args, draws, target=None):
    """Processor time of a run that makes no draw: start, artifact, noise table and, with a target, the table of its looks."""
    command = [*certify_command(it, artifact, [0], args, draws, target), "--commit"]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0
    return usage.ru_utime + usage.ru_stime


def radius(entry):
    """Certified radius in units, -1 for none."""
    return entry["radius"] if entry["decision"] == "certified" else -1.0
