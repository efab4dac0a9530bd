"""PSNR of the denoiser beside BM3D (PyPI bm3d) on four Set12 pictures with noise.

`set12_subset.npz` holds NN_clean, NN_gauss25, NN_poisson0.01, NN_gamma100 for four pictures (of the Noise2Score
repository); noise of 15 and 50 is added here. The artifacts are compiled from ONNX by the command line tool, for
tiles of 96 pixels, calibrated on pictures of scikit-image; `selvedge denoise` runs them.

    python measure.py --selvedge PATH --pictures set12_subset.npz [--onnx FILE] [--ternary FILE] [--peer]
"""

import argparse
import pathlib
import re
import subprocess
import tempfile

import numpy as np
import train

SIDE = 96
FORMATS = {
    "f32": ["--weights", "f32"],
    "w8": ["--weights", "w8"],
    "w4": ["--weights", "w4", "--group", "32", "--bias-correction"],
    # A file of its own, quantized there.
    "ternary": [],
}
GIVEN = {"gauss15": "15", "gauss25": "25", "gauss50": "50", "poisson0.01": "0.01", "gamma100": "100"}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--selvedge", required=True)
    parser.add_argument("--pictures", type=pathlib.Path, required=True)
    parser.add_argument("--onnx", type=pathlib.Path, default=pathlib.Path(__file__).with_name("denoiser.onnx"))
    parser.add_argument("--ternary", type=pathlib.Path, default=pathlib.Path(__file__).with_name("denoiser_ternary.onnx"))
    parser.add_argument("--peer", action="store_true", help="also BM3D")
    args = parser.parse_args()
    arrays = {name: array.astype(np.float32) for name, array in np.load(args.pictures).items()}
    draw = np.random.default_rng(12)
    numbers = sorted(name[:2] for name in arrays if name.endswith("_clean"))
    for level in (15, 50):
        for number in numbers:
            clean = arrays[f"{number}_clean"]
            arrays[f"{number}_gauss{level}"] = (clean + draw.standard_normal(clean.shape) * level / 255).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        noisy, levels = train.calibration(np.random.default_rng(3), side=SIDE)
        np.savez(folder / "calibration.npz", noisy=noisy[:, None], level=levels.reshape(-1, 1, 1, 1))
        for name, flags in FORMATS.items():
            shape = f"noisy=1x1x{SIDE}x{SIDE}"
            onnx = args.ternary if name == "ternary" else args.onnx
            command = [args.selvedge, "compile", onnx, "-o", folder / f"{name}.slvg", "--shape", shape, *flags]
            if name in ("w8", "w4"):
                command += ["--calibration", folder / "calibration.npz"]
            print(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
        for name, array in arrays.items():
            np.save(folder / f"{name}.npy", array)
        for noise, level in GIVEN.items():
            family = re.sub(r"[\d.]+", "", noise).replace("gauss", "gaussian")
            rows = {}
            for number in numbers:
                clean, observed = arrays[f"{number}_clean"], arrays[f"{number}_{noise}"]

                def run(model, *more):
                    files = ["--reference", folder / f"{number}_clean.npy", "-o", folder / "out.npy"]
                    command = [args.selvedge, "denoise", folder / f"{number}_{noise}.npy", *files, "--family", family]
                    if model:
                        command += ["--model", folder / f"{model}.slvg", "--halo", "12"]
                    said = subprocess.run([*command, *more], check=True, capture_output=True, text=True).stdout
                    before, after = map(float, re.search(r"PSNR ([\d.]+) dB before, ([\d.]+) dB", said).groups())
                    return before, after, said.splitlines()[0]

                def note(name, value):
                    rows.setdefault(name, []).append(value)

                for model in FORMATS:
                    before, after, _ = run(model, "--level", level)
                    note(model, after)
                note("noisy", before)
                _, after, said = run("w8")
                note("w8 blind", after)
                note("estimated", float(re.search(r"(?:of |noise, |shape )([\d.]+)", said).group(1)))
                if args.peer and family == "gaussian":
                    import bm3d

                    found = np.clip(bm3d.bm3d(observed, int(level) / 255), 0, 1)
                    note("BM3D", 10 * np.log10(1 / np.mean((found - clean) ** 2)))
            print(noise, {name: [round(value, 4) for value in [*each, float(np.mean(each))]] for name, each in rows.items()})


if __name__ == "__main__":
    main()
