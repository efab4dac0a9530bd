"""One matrix product with ONNX Runtime: MatMulNBits at accuracy level 4 (activations become int8
at run time), or a MatMul in f32; one thread."""

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper


def save(nodes, constants, m, k, n):
    """The bytes of a model x [m, k] -> y [m, n]."""
    value = lambda name, shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    constants = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "product", [value("x", [m, k])], [value("y", [m, n])], constants)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


def float_model(w, m):
    n, k = w.shape
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    return save([node], {"w": np.ascontiguousarray(w.T)}, m, k, n)


def nbits_model(w, m, block):
    """4 bits, symmetric in blocks: the value of largest magnitude becomes code −8."""
    n, k = w.shape
    blocks = w.reshape(n, k // block, block)
    extreme = np.take_along_axis(blocks, np.abs(blocks).argmax(2)[..., None], 2)
    scales = (extreme / -8).astype(np.float32)
    codes = np.clip(np.rint(blocks / scales) + 8, 0, 15).astype(np.uint8)
    packed = codes[..., 0::2] | codes[..., 1::2] << 4
    node = helper.make_node(
        "MatMulNBits", ["x", "w", "scales"], ["y"], domain="com.microsoft",
        K=k, N=n, bits=4, block_size=block, accuracy_level=4,
    )
    return save([node], {"w": packed, "scales": scales.reshape(n, -1)}, m, k, n)


def line(model, x, copies):
    """A call of the result is one product with the next of `copies` sessions, each of which has
    weights of its own; also the function that gives the last result."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    bound = []
    for _ in range(copies):
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        binding = session.io_binding()
        y = np.empty(session.get_outputs()[0].shape, np.float32)
        binding.bind_input("x", "cpu", 0, np.float32, x.shape, x.ctypes.data)
        binding.bind_output("y", "cpu", 0, np.float32, y.shape, y.ctypes.data)
        bound.append((session, binding, y))
    turn = [0]

    def run():
        turn[0] = (turn[0] + 1) % copies
        session, binding, _ = bound[turn[0]]
        session.run_with_iobinding(binding)

    return run, lambda: bound[turn[0]][2]
