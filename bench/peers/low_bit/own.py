"""One matrix product with selvedge, through its C interface: a compiled model of one MatMul, its
activations quantized at run time."""

import ctypes as c
import subprocess
import tempfile
from pathlib import Path

import numpy as np

SESSION_BYTES = 48 * c.sizeof(c.c_void_p)


def compile_model(program, model, options):
    """The artifact of an ONNX model."""
    with tempfile.TemporaryDirectory() as folder:
        onnx, artifact = Path(folder, "m.onnx"), Path(folder, "m.slvg")
        onnx.write_bytes(model)
        command = [program, "compile", onnx, "-o", artifact, "--activations", "dynamic", "--low-bit-edges", *options]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return artifact.read_bytes()


def aligned(size):
    memory = np.zeros(size + 64, np.uint8)
    return memory[-memory.ctypes.data % 64:][:size]


class Selvedge:
    """The C library as a shared object."""

    def __init__(self, library):
        self.lib = c.CDLL(str(library))
        self.lib.selvedge_version.restype = c.c_char_p
        self.version = self.lib.selvedge_version().decode()

    def check(self, status):
        if status:
            name = self.lib.selvedge_status_name
            name.restype = c.c_char_p
            raise RuntimeError(name(status).decode())

    def line(self, artifact, x, n, copies):
        """A call of the result writes x, and runs the next of `copies` sessions, each with a copy of
        the artifact; also the function that gives the last result."""
        sessions = []
        for _ in range(copies):
            model = aligned(len(artifact))
            model[:] = np.frombuffer(artifact, np.uint8)
            fast, slow = c.c_uint32(), c.c_uint32()
            self.check(self.lib.selvedge_artifact_regions(
                c.c_void_p(model.ctypes.data), c.c_size_t(model.size), c.byref(fast), c.byref(slow)))
            arena, session = aligned(fast.value + slow.value), aligned(SESSION_BYTES)
            at = c.c_void_p(session.ctypes.data)
            self.check(self.lib.selvedge_session_init(
                at, c.c_size_t(SESSION_BYTES), c.c_void_p(model.ctypes.data), c.c_size_t(model.size),
                c.c_void_p(arena.ctypes.data), c.c_size_t(arena.size)))
            sessions.append((at, model, arena, session))
        data, size, first = c.c_void_p(x.ctypes.data), c.c_size_t(x.nbytes), c.c_uint32(0)
        write, go, turn = self.lib.selvedge_write_bytes, self.lib.selvedge_run, [0]

        def run():
            turn[0] = (turn[0] + 1) % copies
            at = sessions[turn[0]][0]
            self.check(write(at, first, data, size) or go(at))

        def result():
            y = np.empty((x.shape[0], n), np.float32)
            self.check(self.lib.selvedge_read_bytes(
                sessions[turn[0]][0], first, c.c_void_p(y.ctypes.data), c.c_size_t(y.nbytes)))
            return y

        return run, result
