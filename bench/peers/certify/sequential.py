"""Draws and certified accuracy of the sequential test beside a fixed 100 000, on the zoo's noise-trained models in int8.

    python bench/peers/certify/sequential.py --scratch DIR [--selvedge FILE] [--models digits_025,digits_050,pictures]

The sequential test runs on every test image, at targets of a half and a whole sigma, alpha 0.001, at most 10 000 draws (--cap)
(100 more choose the class, in either rule). Of the fixed rule the number of draws is known; what it certifies is measured on
every image that the sequential test did not certify rightly at one of the targets, and on --check others. The images left are
counted as certified by it, so that its accuracy is, if anything, too high. `--fixed-images N` compares on the first N images only
(0: not at all); `--undecided-only` measures the fixed rule where the sequential test is undecided, and takes its other answers
for the fixed rule's.
"""

import argparse
import json

import numpy as np

from common import SELECTION, arguments, certify, compiled, radius, subject

FIXED = 100_000
TARGETS = (0.5, 1.0)


def main():
    parser = arguments(argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter))
    parser.add_argument("--models", default="digits_025,digits_050,pictures")
    parser.add_argument("--form", default="int8", choices=["f32", "int8", "w4"])
    parser.add_argument("--cap", type=int, default=10_000, help="most draws of the sequential test")
    parser.add_argument("--check", type=int, default=8, help="images to measure of those that need not be")
    parser.add_argument("--images", type=int, help="the first ones of the test set only")
    parser.add_argument("--fixed-images", type=int, help="compare the rules on the first of these only")
    parser.add_argument("--undecided-only", action="store_true")
    args = parser.parse_args()
    for name in args.models.split(","):
        it = subject(name, args)
        artifact = compiled(it, args.form, args)
        images = len(it.labels) if args.images is None else min(args.images, len(it.labels))
        labels = it.labels[:images]
        right, drawn, undecided, outcomes = {}, {}, {}, {}
        for target in TARGETS:
            entries, _ = certify(it, artifact, range(images), args, args.cap, target)
            good = [e["decision"] == "certified" and e["class"] == label for e, label in zip(entries, labels)]
            right[target], drawn[target] = np.array(good), np.array([e["n"] for e in entries])
            kinds = [e["reason"] or e["decision"] for e in entries]
            undecided[target] = np.array([kind not in ("certified", "futility") for kind in kinds])
            outcomes[target] = {kind: kinds.count(kind) for kind in sorted(set(kinds))}
            print(json.dumps({
                "model": name, "form": args.form, "sigma": it.sigma, "target": target, "cap": args.cap, "images": images,
                "right_of_first_50": int(right[target][:50].sum()), "right": int(right[target].sum()), "mean": round(float(drawn[target].mean()), 1),
                "median": float(np.median(drawn[target])), "outcomes": outcomes[target],
            }), flush=True)
        some = images if args.fixed_images is None else min(args.fixed_images, images)
        if some == 0:
            continue
        settled = np.logical_and(*(right[t][:some] for t in TARGETS))
        if args.undecided_only:
            settled = ~np.logical_or(*(undecided[t][:some] for t in TARGETS))
        checked = np.flatnonzero(settled)[:: max(1, int(settled.sum()) // max(args.check, 1))][: args.check]
        measured = np.concatenate([np.flatnonzero(~settled), checked])
        entries, _ = certify(it, artifact, measured, args, FIXED)
        for target in TARGETS:
            fixed = right[target][:some].copy() if args.undecided_only else np.ones(some, bool)
            fixed[measured] = [radius(e) >= target * it.sigma and e["class"] == l for e, l in zip(entries, labels[measured])]
            own = right[target][:some]
            print(json.dumps({
                "model": name, "target": target, "fewer_draws": round((FIXED + SELECTION) / (drawn[target].mean() + SELECTION), 1),
                "compared": some, "sequential_right": int(own.sum()), "fixed_right_at_most": int(fixed.sum()),
                "fixed_measured": len(measured), "checked_and_other": int((fixed[checked] != own[checked]).sum()),
                "points_lost": round(100 * float(fixed.mean() - own.mean()), 2),
            }), flush=True)


if __name__ == "__main__":
    main()
