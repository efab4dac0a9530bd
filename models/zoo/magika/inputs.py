"""Makes inputs of magika (PyPI magika 1.0.3, `standard_v3_3`) from real files of folders.

At most PER_KIND files of each name extension are drawn, so that no kind prevails; a fifth of them is for
calibration and the rest for measuring. Written to OUT: calib.npz, test.npz (bytes int32 [n, 2048]), files.txt.

    python inputs.py --out DIR FOLDER...
    selvedge compile model.onnx --shape bytes=1x2048 --calibration DIR/calib.npz -o magika.slvg
    selvedge compare model.onnx magika.slvg --shape bytes=1x2048 --inputs DIR/test.npz
"""

import argparse
import collections
import pathlib
import random

import numpy as np

PER_KIND = 4
SIDE = 1024
PADDING = 256


def tokens(content: bytes) -> np.ndarray:
    """The first and the last bytes of the content without white space at its ends."""
    head, tail = content[:4096].lstrip()[:SIDE], content[-4096:].rstrip()[-SIDE:]
    row = np.full(2 * SIDE, PADDING, np.int32)
    row[: len(head)] = np.frombuffer(head, np.uint8)
    row[2 * SIDE - len(tail) :] = np.frombuffer(tail, np.uint8)
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("folders", nargs="+", type=pathlib.Path)
    args = parser.parse_args()
    kinds = collections.defaultdict(list)
    for folder in args.folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.is_symlink() and 64 <= path.stat().st_size < 1 << 24:
                kinds[path.suffix.lower()].append(path)
    draw = random.Random(1)
    files = [path for kind in sorted(kinds) for path in draw.sample(kinds[kind], min(PER_KIND, len(kinds[kind])))]
    draw.shuffle(files)
    rows = np.stack([tokens(path.read_bytes()) for path in files])
    calibration = len(files) // 5
    args.out.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(args.out / "calib.npz", bytes=rows[:calibration])
    np.savez_compressed(args.out / "test.npz", bytes=rows[calibration:])
    (args.out / "files.txt").write_text("".join(f"{path}\n" for path in files))
    print(f"{len(files)} files of {len(kinds)} kinds: {calibration} to calibrate, {len(files) - calibration} to measure")


if __name__ == "__main__":
    main()
