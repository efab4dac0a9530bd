"""selvedge, ONNX Runtime's MatMulNBits and ggml on the same matrix products, one thread, one
process, rounds interleaved.

    run.py --cli selvedge --library libselvedge_c.so --ggml DIR [--variant haswell] [--rounds N] [--shape MxKxN[:cold]]…

Every line multiplies the same activations with the same weights, and its result is compared with
the product in f64. Times are those of the thread (CPU time), activations quantized within them;
the median of the rounds, and of their ratios. `:cold` reads weights from memory: copies of them take turns.
"""

import argparse
import ctypes
import os
import statistics
import time

# All engines get pages of one size.
os.environ["NUMPY_MADVISE_HUGEPAGE"] = "0"

import numpy as np
import onnxruntime
import ort
from ggml import Ggml
from own import Selvedge, compile_model

# Bytes of the copies of weights, several times what caches hold.
COLD = 160 << 20
# Seconds of a line in a round, about.
SLICE = 0.03


def memory_read():
    """Reads 16 MiB of a buffer that no cache holds: libc looks for a byte that is not there."""
    data, part, turn = np.full(COLD, 2, np.uint8), 16 << 20, [0]
    memchr = ctypes.CDLL(None).memchr
    memchr.restype, memchr.argtypes = ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]

    def run():
        turn[0] = (turn[0] + 1) % (COLD // part)
        if memchr(data.ctypes.data + turn[0] * part, 1, part):
            raise RuntimeError("not reached")

    return run, part


def lines_of(args, own, ggml, shape, cold):
    """[name, bits a weight, run, result, expected] of each line."""
    m, k, n = shape
    random = np.random.default_rng(7)
    x = random.standard_normal((m, k)).astype(np.float32)
    normal = (random.standard_normal((n, k)) / np.sqrt(k)).astype(np.float32)
    ternary = (random.integers(-1, 2, (n, k)) / np.sqrt(k)).astype(np.float32)
    expected = {id(w): x.astype(np.float64) @ w.T.astype(np.float64) for w in (normal, ternary)}
    copies = lambda bits: max(1, round(COLD * 8 / (bits * n * k))) if cold else 1
    lines = []

    def add(name, bits, w, make):
        run, result = make(copies(bits))
        lines.append((name, bits, run, result, expected[id(w)]))

    def add_own(name, bits, w, *options):
        artifact = compile_model(args.cli, ort.float_model(w, m), options)
        add(f"selvedge {name}", bits, w, lambda copies: own.line(artifact, x, n, copies))

    add_own("W4 row", 4, normal, "--weights", "w4", "--group", "0")
    for group in (128, 64, 32):
        add_own(f"W4 g{group}", 4 + 8 / group, normal, "--weights", "w4", "--group", str(group))
    for block in (128, 64, 32):
        model = ort.nbits_model(normal, m, block)
        add(f"ORT 4 bits, block {block}", 4 + 32 / block, normal, lambda copies: ort.line(model, x, copies))
    for kind, repacked in (("Q4_0", True), ("Q4_0", False), ("Q4_K", True), ("Q4_K", False)):
        name = f"ggml {kind}{' repacked' if repacked else ''}"
        add(name, 4.5, normal, lambda copies: ggml.line(normal, x, kind, repacked, copies))
    add_own("ternary", 2, ternary, "--weights", "ternary", "--group", "0")
    add("ggml TQ2_0", 2.0625, ternary, lambda copies: ggml.line(ternary, x, "TQ2_0", False, copies))
    add_own("W8", 8, normal, "--weights", "w8")
    add("ggml Q8_0", 8.5, normal, lambda copies: ggml.line(normal, x, "Q8_0", False, copies))
    add_own("f32", 32, normal, "--weights", "f32")
    model = ort.float_model(normal, m)
    add("ORT f32", 32, normal, lambda copies: ort.line(model, x, copies))
    add("ggml F32", 32, normal, lambda copies: ggml.line(normal, x, "F32", False, copies))
    return lines


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cli", required=True)
    parser.add_argument("--library", required=True)
    parser.add_argument("--ggml", required=True)
    parser.add_argument("--variant", default="haswell")
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--shape", action="append")
    args = parser.parse_args()
    own, ggml = Selvedge(args.library), Ggml(args.ggml, args.variant)
    print(f"selvedge {own.version}; onnxruntime {onnxruntime.__version__}; ggml {ggml.version}, {ggml.variant}")
    for text in args.shape or ["1x4096x4096:cold", "1x4096x4096", "64x2048x2048", "64x1024x1024", "64x4096x4096"]:
        shape = [int(part) for part in text.partition(":")[0].split("x")]
        measure(text, shape, lines_of(args, own, ggml, shape, text.endswith(":cold")), args.rounds)


def measure(text, shape, lines, rounds):
    m, k, n = shape
    read, part = memory_read()
    runs = [run for _, _, run, _, _ in lines] + [read]
    calls, taken = [], [[] for _ in runs]
    for run in runs:
        run()
        start = time.thread_time()
        run()
        calls.append(max(2, round(SLICE / (time.thread_time() - start))))
    for _ in range(rounds):
        for run, count, taken_by in zip(runs, calls, taken):
            start = time.thread_time()
            for _ in range(count):
                run()
            taken_by.append((time.thread_time() - start) / count)
    print(f"\n{text}; memory read at {part / statistics.median(taken[-1]) / 1e9:.1f} GB/s\n")
    print("| | bits | µs, median | best | GMAC/s | GB/s | over W4 g64 | relative error |")
    print("|---|---|---|---|---|---|---|---|")
    own = next(times for (name, *_), times in zip(lines, taken) if name == "selvedge W4 g64")
    for (name, bits, _, result, expected), times in zip(lines, taken):
        y = result()
        error = np.linalg.norm(y - expected) / np.linalg.norm(expected)
        median = statistics.median(times)
        rate, bytes_rate = m * k * n / median / 1e9, n * k * bits / 8 / median / 1e9
        over = statistics.median(time / one for time, one in zip(times, own))
        times = f"{median * 1e6:.0f} | {min(times) * 1e6:.0f} | {rate:.1f} | {bytes_rate:.1f} | {over:.2f}"
        print(f"| {name} | {bits:g} | {times} | {error:.3f} |", flush=True)


if __name__ == "__main__":
    main()
