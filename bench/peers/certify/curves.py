"""Certified accuracy of the noise-trained digit classifier (sigma a quarter of the range) as f32, int8 and w4.

    python bench/peers/certify/curves.py --scratch DIR [--selvedge FILE]

Every test image, 10 000 draws by the fixed rule, alpha 0.001; the three forms run at once, and a form whose report lies in
--scratch is not run again. Writes bench/certified_accuracy.csv (right and certified images at each radius) and
bench/certified_accuracy.svg. `--plot-only` draws the figure again from the .csv file.
"""

import argparse
import csv
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from common import ROOT, arguments, certify, compiled, radius, subject

FORMS = ("f32", "int8", "w4")
STYLE = {"f32": ("#1b6ca8", ""), "int8": ("#c8501e", "7 3"), "w4": ("#2e7d32", "2 3")}
STEP = 0.01
DRAWS = 10_000


def measure(args):
    """Rows of (radius, images by form)."""
    it = subject("digits_025", args)

    def entries_of(form):
        kept = args.scratch / f"curve_{form}.json"
        if not kept.exists():
            entries, _ = certify(it, compiled(it, form, args), range(len(it.labels)), args, DRAWS)
            kept.write_text(json.dumps({"entries": entries}))
        return json.loads(kept.read_text())["entries"]

    with ThreadPoolExecutor() as pool:
        made = dict(zip(FORMS, pool.map(entries_of, FORMS)))
    reach = {}
    for form, entries in made.items():
        reach[form] = [radius(e) if e.get("class") == label else -1.0 for e, label in zip(entries, it.labels)]
        print(form, "mean radius of right ones", round(float(np.maximum(reach[form], 0).mean()), 4))
    most = max(max(r) for r in reach.values())
    radii = np.arange(0, most + 2 * STEP, STEP)
    return [(round(r, 4), *(int((np.array(reach[f]) >= r).sum()) for f in FORMS)) for r in radii], len(it.labels)


def svg(rows, images):
    """Three step curves; radius across, share of the images upwards."""
    width, height, left, top, right, bottom = 560, 360, 62, 16, 14, 48
    across = max(0.1 * np.ceil(rows[-1][0] * 10), 0.1)
    x = lambda r: left + (width - left - right) * r / across
    y = lambda share: top + (height - top - bottom) * (1 - share)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
        "<title>Certified accuracy of the digit classifier as f32, int8 and w4</title>",
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    for tick in range(0, 101, 20):
        v = y(tick / 100)
        out.append(f'<path d="M{left} {v:.1f}H{width - right}" stroke="#ddd"/>')
        out.append(f'<text x="{left - 8}" y="{v + 4:.1f}" text-anchor="end">{tick}</text>')
    for tick in range(int(round(across * 10)) + 1):
        h = x(tick / 10)
        out.append(f'<path d="M{h:.1f} {y(0):.1f}v5" stroke="#333"/>')
        out.append(f'<text x="{h:.1f}" y="{y(0) + 19:.1f}" text-anchor="middle">{tick / 10:.1f}</text>')
    out.append(f'<path d="M{left} {top}V{y(0):.1f}H{width - right}" fill="none" stroke="#333"/>')
    middle = (left + width - right) / 2
    out.append(f'<text x="{middle}" y="{height - 10}" text-anchor="middle">l2 radius (1: the range of a pixel; noise: 0.25)</text>')
    half = (top + y(0)) / 2
    out.append(f'<text transform="translate(18 {half:.0f}) rotate(-90)" text-anchor="middle">right and certified, % of {images} images</text>')
    for place, form in enumerate(FORMS):
        colour, dash = STYLE[form]
        points = f"M{x(0):.1f} {y(rows[0][1 + place] / images):.1f}"
        for row in rows[1:]:
            points += f"H{x(row[0]):.1f}V{y(row[1 + place] / images):.1f}"
        line = f'fill="none" stroke="{colour}" stroke-width="2" stroke-dasharray="{dash}"'
        out.append(f'<path d="{points}" {line}/>')
        v = y(0.32 - 0.09 * place)
        out.append(f'<path d="M{left + 24} {v:.1f}h36" {line}/><text x="{left + 68}" y="{v + 4:.1f}">{form}</text>')
    return "\n".join([*out, "</svg>", ""])


def main():
    parser = arguments(argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter))
    parser.add_argument("--plot-only", action="store_true")
    args = parser.parse_args()
    table = ROOT / "bench/certified_accuracy.csv"
    if not args.plot_only:
        rows, images = measure(args)
        with table.open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["radius", *FORMS, "images"])
            writer.writerows([(*row, images) for row in rows])
    with table.open() as file:
        lines = list(csv.reader(file))[1:]
    rows = [(float(line[0]), *map(int, line[1:4])) for line in lines]
    (ROOT / "bench/certified_accuracy.svg").write_text(svg(rows, int(lines[0][4])))


if __name__ == "__main__":
    main()
