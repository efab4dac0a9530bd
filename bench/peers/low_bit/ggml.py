"""One matrix product with ggml, from the prebuilt libraries of the npm package
@node-llama-cpp/linux-x64, one thread; weights in the CPU's repacked buffers where ggml has them."""

import ctypes as c
from pathlib import Path

import numpy as np

# enum ggml_type
TYPES = {"F32": 0, "Q4_0": 2, "Q8_0": 8, "Q2_K": 10, "Q4_K": 12, "TQ2_0": 35}


class InitParams(c.Structure):
    _fields_ = [("mem_size", c.c_size_t), ("mem_buffer", c.c_void_p), ("no_alloc", c.c_bool)]


def typed(library, name, result, *arguments):
    function = getattr(library, name)
    function.restype, function.argtypes = result, list(arguments)
    return function


class Ggml:
    """The libraries; `variant` is a build of the CPU backend, such as haswell (AVX2)."""

    def __init__(self, folder, variant):
        folder = Path(folder)
        base = c.CDLL(str(folder / "libggml-base.so"), mode=c.RTLD_GLOBAL)
        cpu = c.CDLL(str(folder / f"libggml-cpu-{variant}.so"))
        p, s, i = c.c_void_p, c.c_size_t, c.c_int64
        self.variant = variant
        self.silent = c.CFUNCTYPE(None, c.c_int, c.c_char_p, p)(lambda level, text, data: None)
        typed(base, "ggml_log_set", None, p, p)(self.silent, None)
        self.score = typed(cpu, "ggml_backend_score", c.c_int)()
        if self.score == 0:
            raise RuntimeError(f"this CPU cannot run ggml's {variant} build")
        self.version = " ".join(typed(base, name, c.c_char_p)().decode() for name in ("ggml_version", "ggml_commit"))
        self.init = typed(base, "ggml_init", p, InitParams)
        self.tensor = typed(base, "ggml_new_tensor_2d", p, p, c.c_int, i, i)
        self.mul_mat = typed(base, "ggml_mul_mat", p, p, p, p)
        self.new_graph = typed(base, "ggml_new_graph", p, p)
        self.expand = typed(base, "ggml_build_forward_expand", None, p, p)
        self.quantize = typed(base, "ggml_quantize_chunk", s, c.c_int, p, p, i, i, i, p)
        self.row_size = typed(base, "ggml_row_size", s, c.c_int, i)
        self.alloc = typed(base, "ggml_backend_alloc_ctx_tensors_from_buft", p, p, p)
        self.set = typed(base, "ggml_backend_tensor_set", None, p, p, s, s)
        self.get = typed(base, "ggml_backend_tensor_get", None, p, p, s, s)
        self.compute = typed(base, "ggml_backend_graph_compute", c.c_int, p, p)
        self.backend = typed(cpu, "ggml_backend_cpu_init", p)()
        typed(cpu, "ggml_backend_cpu_set_n_threads", None, p, c.c_int)(self.backend, 1)
        registry = typed(cpu, "ggml_backend_cpu_reg", p)()
        device = typed(base, "ggml_backend_reg_dev_get", p, p, s)(registry, 0)
        self.plain = typed(base, "ggml_backend_dev_buffer_type", p, p)(device)
        extra = typed(base, "ggml_backend_reg_get_proc_address", p, p, c.c_char_p)(
            registry, b"ggml_backend_dev_get_extra_bufts"
        )
        bufts = c.CFUNCTYPE(c.POINTER(p), p)(extra)(device)
        name = typed(base, "ggml_backend_buft_name", c.c_char_p, p)
        self.extra = {}
        at = 0
        while bufts[at]:
            self.extra[name(bufts[at]).decode()] = bufts[at]
            at += 1

    def line(self, w, x, kind, repacked, copies):
        """A call of the result is one product x·wᵀ with the next of `copies` copies of the weights;
        also the function that gives the last result."""
        (n, k), m = w.shape, x.shape[0]
        kind = TYPES[kind]
        buft = self.extra["CPU_REPACK"] if repacked else self.plain
        data = np.empty(self.row_size(kind, k) * n, np.uint8)
        if kind:
            self.quantize(kind, w.ctypes.data, data.ctypes.data, 0, n, k, None)
        else:
            data = w
        weights = self.init(InitParams(1 << 20, None, True))
        ws = [self.tensor(weights, kind, k, n) for _ in range(copies)]
        if not self.alloc(weights, buft):
            raise RuntimeError("no memory")
        for to in ws:
            self.set(to, data.ctypes.data, 0, data.nbytes)
        rest = self.init(InitParams(64 << 20, None, True))
        xs = self.tensor(rest, 0, k, m)
        outs = [self.mul_mat(rest, to, xs) for to in ws]
        graphs = []
        for out in outs:
            graphs.append(self.new_graph(rest))
            self.expand(graphs[-1], out)
        if not self.alloc(rest, self.plain):
            raise RuntimeError("no memory")
        self.set(xs, x.ctypes.data, 0, x.nbytes)
        turn = [0]

        def run():
            turn[0] = (turn[0] + 1) % copies
            if self.compute(self.backend, graphs[turn[0]]):
                raise RuntimeError("ggml failed")

        def result():
            y = np.empty((m, n), np.float32)
            self.get(outs[turn[0]], y.ctypes.data, 0, y.nbytes)
            return y

        return run, result
