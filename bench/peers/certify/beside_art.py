"""`selvedge certify` beside the Adversarial Robustness Toolbox (ART) with the same model in ONNX Runtime.

    python3 -m venv peers && peers/bin/pip install -r bench/peers/certify/requirements.txt
    cargo build --release -p selvedge-cli
    peers/bin/python bench/peers/certify/beside_art.py --scratch DIR [--selvedge FILE] [--data FOLDER] [--zoo FOLDER]
        [--models ic,kws,digits_025,digits_050,pictures] [--sections draws,decisions,memory] [--out FILE.json]

One thread on either side, the same sigma, 100 draws to choose the class. ART: RandomizedSmoothingMixin over BlackBoxClassifier,
whose function runs an ONNX Runtime session; float noise. selvedge: noise in whole steps of the input's grid, f32 and int8
artifacts. Times are processor time (other processes on the machine count less so): ART's within this process, selvedge's of its
process less that of one that makes no draws. Rounds are interleaved; figures are medians of the rounds. ART's time for 100 000
draws is extrapolated from that of 10 000, since it keeps all noisy copies in memory.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
import warnings

import numpy as np

from common import ALPHA, SELECTION, arguments, certify, certify_command, compiled, radius, start_seconds, subject

TARGETS = (0.5, 1.0)
FIXED = 100_000
CAP = 10_000


def smoothed(it):
    """ART's smoothed classifier."""
    warnings.filterwarnings("ignore")
    import onnx
    import onnxruntime
    from art.estimators.certification.randomized_smoothing import RandomizedSmoothingMixin
    from art.estimators.classification import BlackBoxClassifier

    class Smoothed(RandomizedSmoothingMixin, BlackBoxClassifier):
        def _predict_classifier(self, x, batch_size, training_mode, **kwargs):
            return BlackBoxClassifier.predict(self, x, batch_size=batch_size)

    # The zoo's files have a batch of 1; ART gets a batch of any size.
    model = onnx.load(it.onnx)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "N"
    del model.graph.value_info[:]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    classes = session.run(None, {name: it.inputs[:1]})[0].shape[1]
    return Smoothed(
        predict_fn=lambda x: session.run(None, {name: x})[0],
        input_shape=it.inputs.shape[1:],
        nb_classes=classes,
        sample_size=SELECTION,
        scale=it.sigma,
        alpha=ALPHA,
    )


def art_seconds(art, x, n, batch):
    begin = time.process_time()
    art.certify(x, n=n, batch_size=batch)
    return time.process_time() - begin


def best_batch(art, x):
    """ART's fastest batch."""
    return min((8, 32, 128), key=lambda batch: min(art_seconds(art, x, 500, batch) for _ in range(3)))


def draws(it, art, args):
    """Processor time of a draw, interleaved."""
    forms = {form: compiled(it, form, args) for form in ("f32", "int8")}
    start = statistics.median(start_seconds(it, forms["int8"], args, 1000) for _ in range(5))
    batch = best_batch(art, it.inputs[:1])
    report = {"art_batch": batch}
    for n, rounds, batches in ((1000, args.rounds, (1, 8)), (10_000, args.long_rounds, (1,))):
        times = {}
        for turn in range(rounds):
            index = turn % len(it.inputs)
            x = it.inputs[index : index + 1]
            times.setdefault("art", []).append(art_seconds(art, x, n, batch) / (n + SELECTION))
            for form, artifact in forms.items():
                for size in batches:
                    entries, seconds = certify(it, artifact, [index], args, n, batch=size)
                    times.setdefault(f"{form} batch {size}", []).append((seconds - start) / (entries[0]["n"] + SELECTION))
        report[n] = {
            who: {
                "us": round(1e6 * statistics.median(each), 1),
                "art_over_it": round(statistics.median(a / b for a, b in zip(times["art"], each)), 3),
            }
            for who, each in times.items()
        }
    # What a draw of ART spends on noise.
    begin = time.process_time()
    for _ in range(3):
        art._noisy_samples(it.inputs[0], n=1000)
    report["art_noise_us"] = round((time.process_time() - begin) / 3000 * 1e6, 1)
    for form, artifact in forms.items():
        bench = json.loads(subprocess.run([args.selvedge, "bench", artifact, "--json"], check=True, stdout=subprocess.PIPE).stdout)
        report[f"{form}_inference_us"] = bench["median_us"]
    return report


def decisions(it, art, args):
    """Decisions and their times on the same inputs."""
    count = args.images[it.name]
    batch = best_batch(art, it.inputs[:1])
    art_classes, art_radii, art_times = [], [], []
    for index in range(count):
        begin = time.process_time()
        classes, radii = art.certify(it.inputs[index : index + 1], n=CAP, batch_size=batch)
        art_times.append((time.process_time() - begin) / (CAP + SELECTION))
        art_classes.append(int(classes[0]))
        art_radii.append(float(radii[0]) if classes[0] >= 0 else -1.0)
    fixed_seconds = statistics.median(art_times) * (FIXED + SELECTION)
    report = {"images": count, "art_seconds_at_100000_extrapolated": round(fixed_seconds, 2), "art_radii": art_radii}
    for form in ("f32", "int8"):
        artifact = compiled(it, form, args)
        own_radii = [radius(entry) for entry in certify(it, artifact, range(count), args, CAP)[0]]
        report[f"{form} radii"] = own_radii
        for target in TARGETS:
            # Once a run: the start, and the table of looks that the decisions of a target share.
            start = statistics.median(start_seconds(it, artifact, args, CAP, target) for _ in range(3))
            entries, seconds = certify(it, artifact, range(count), args, CAP, target)
            each = max(seconds - start, 0.0) / count
            clear = agree = same_class = 0
            edge, margin = target * it.sigma, 0.1 * it.sigma
            for entry, own, other, art_class in zip(entries, own_radii, art_radii, art_classes):
                if abs(own - edge) < margin or abs(other - edge) < margin:
                    continue
                certified = entry["decision"] == "certified"
                clear += 1
                agree += certified == (other >= edge)
                same_class += not certified or other < edge or entry["class"] == art_class
            report[f"{form} target {target}"] = {
                "certified": sum(entry["decision"] == "certified" for entry in entries),
                "art_certified": sum(r >= edge for r in art_radii),
                "clear": clear,
                "agree": agree,
                "same_class": same_class,
                "draws": [entry["n"] for entry in entries],
                "draws_mean": round(statistics.mean(entry["n"] for entry in entries), 1),
                "draws_median": statistics.median(entry["n"] for entry in entries),
                "seconds_once": round(start, 3),
                "seconds_each": round(each, 5),
                "art_over_it": round(fixed_seconds / each, 1),
                "art_over_first": round(fixed_seconds / (each + start), 1),
            }
    return report


def measured_memory(command):
    """Peak of a process in KiB: of a small parent, since a child starts with its parent's peak."""
    child = (
        "import os,resource,sys;os.spawnvp(os.P_WAIT,sys.argv[1],sys.argv[1:]);"
        "sys.stderr.write(' %d' % resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    command = [sys.executable, "-S", "-E", "-c", child, *map(str, command)]
    run = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    return int(run.stderr.split()[-1])


def memory(it, args):
    """Peak resident memory, MiB, of processes that certify one input."""
    report = {}
    for form in ("f32", "int8"):
        artifact = compiled(it, form, args)
        for batch in (1, 8):
            report[f"{form} batch {batch}"] = round(measured_memory(certify_command(it, artifact, [0], args, 1000, batch=batch)) / 1024, 1)
    own = [sys.executable, __file__, "--scratch", args.scratch, "--data", args.data, "--zoo", args.zoo, "--models", it.name]
    for n in (0, 1000, 10_000):
        report[f"art n={n}"] = round(measured_memory([*own, "--art-once", n]) / 1024, 1)
    return report


def main():
    parser = arguments(argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter))
    parser.add_argument("--models", default="ic,kws,digits_025,digits_050,pictures")
    parser.add_argument("--sections", default="draws,decisions,memory")
    parser.add_argument("--rounds", type=int, default=7, help="of 1 000 draws")
    parser.add_argument("--long-rounds", type=int, default=3, help="of 10 000 draws")
    parser.add_argument("--images", type=json.loads, default={"ic": 4, "kws": 6, "digits_025": 20, "digits_050": 20, "pictures": 8})
    parser.add_argument("--out", help="write the figures to this file as JSON")
    parser.add_argument("--art-once", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.art_once is not None:
        it = subject(args.models, args)
        art = smoothed(it)
        if args.art_once:
            art.certify(it.inputs[:1], n=args.art_once, batch_size=32)
        return
    figures = {}
    for name in args.models.split(","):
        np.random.seed(1)
        it = subject(name, args)
        art = smoothed(it)
        for section in args.sections.split(","):
            begin = time.monotonic()
            made = {"draws": lambda: draws(it, art, args), "decisions": lambda: decisions(it, art, args), "memory": lambda: memory(it, args)}
            figures[f"{name} {section}"] = made[section]()
            print(f"{name} {section} ({time.monotonic() - begin:.0f} s, load {os.getloadavg()[0]:.1f})")
            print(json.dumps(figures[f"{name} {section}"], indent=1), flush=True)
            if args.out:
                with open(args.out, "w") as file:
                    json.dump(figures, file, indent=1)


if __name__ == "__main__":
    main()
