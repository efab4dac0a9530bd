"""Probabilities of speech that ONNX Runtime gives, frame by frame through one state.

Written with onnxruntime 1.32.0, numpy 2.4.6 and Python 3.11. The model is silero_vad_16k_op15.onnx (silero-vad 5, MIT),
the recording mix.wav of GTCRN (MIT), 16 kHz: the first 160 frames of 512 samples, each behind the 64 before it.

    python make.py DATA/models/other/silero_vad_16k_op15.onnx DATA/models/audio/mix.wav > golden.txt
"""

import sys
import wave

import numpy as np
import onnxruntime as ort

session = ort.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
with wave.open(sys.argv[2]) as recording:
    assert recording.getframerate() == 16000 and recording.getsampwidth() == 2
    samples = np.frombuffer(recording.readframes(recording.getnframes()), dtype="<i2")
samples = samples.reshape(-1, recording.getnchannels())[:, 0].astype(np.float32) / 32768
state = np.zeros((2, 1, 128), np.float32)
samples = np.concatenate([np.zeros(64, np.float32), samples])
for start in range(0, 160 * 512, 512):
    frame = samples[start : start + 576].reshape(1, 576)
    output, state = session.run(None, {"input": frame, "state": state, "sr": np.array(16000, np.int64)})
    print(f"{output.item():.7f}")
print("state", " ".join(f"{v:.6f}" for v in state.ravel()[:: 16]))
