"""Outputs of models from PyPI packages, as ONNX Runtime computes them in f32, for `tests/imported.rs`.

    python imported.py MODELS_FOLDER imported.npz

Made with onnxruntime 1.32.0, numpy 2.4 and Pillow 13. The files fed to magika were this repository's own; the pictures
are drawn here.
"""

import pathlib
import sys

import numpy as np
import onnxruntime as ort
from PIL import Image, ImageDraw, ImageFont

ROOT = pathlib.Path(__file__).resolve().parents[2]
FILES = ["README.md", "Cargo.toml", "Cargo.lock", ".ci/run", "tests/goldens/imported.py", "models/zoo/src/lib.rs"]
BLOCK, PADDING = 1024, 256


def run(path, feeds):
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return session.run(None, feeds)


def tokens(data):
    """magika 1.0.3: the first and last 1024 bytes of the stripped content, padded with 256."""
    begin, end = data.lstrip()[:BLOCK], data.rstrip()[-BLOCK:]
    begin = list(begin) + [PADDING] * (BLOCK - len(begin))
    end = [PADDING] * (BLOCK - len(end)) + list(end)
    return np.array(begin + end, np.int32)


def picture(text, angle):
    image = Image.new("RGB", (192, 48), (240, 235, 220))
    ImageDraw.Draw(image).text((8, 10), text, fill=(20, 20, 60), font=ImageFont.load_default(26))
    return np.asarray(image.rotate(angle), np.uint8).transpose(2, 0, 1)


def main(models, out):
    models = pathlib.Path(models)
    magika_in = np.stack([tokens((ROOT / name).read_bytes()) for name in FILES])
    magika_out = np.concatenate(
        [run(models / "magika_standard_v3_3.onnx", {"bytes": row[None]})[0] for row in magika_in]
    )
    texts = [("Hello, world", 0), ("Hello, world", 180), ("3.14159 mm", 0), ("selvedge", 180)]
    angle_in = np.stack([picture(*text) for text in texts])
    scaled = angle_in.astype(np.float32) / np.float32(127.5) - np.float32(1)
    angle_out = np.concatenate(
        [run(models / "ch_ppocr_mobile_v2.0_cls_infer.onnx", {"x": row[None]})[0] for row in scaled]
    )
    np.savez_compressed(out, magika_in=magika_in, magika_out=magika_out, angle_in=angle_in, angle_out=angle_out)
    print(magika_out.argmax(1), magika_out.max(1), angle_out)


if __name__ == "__main__":
    main(*sys.argv[1:])
