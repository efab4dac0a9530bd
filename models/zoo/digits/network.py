"""The network, twice from one layer table: as a JAX function to train and as an ONNX graph."""

import jax
import jax.numpy as jnp
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from data import CLASSES

BN_EPSILON = 1e-5

# index: (kind, input channels, output channels, kernel, stride, groups)
LAYERS = {
    1: ("conv", 1, 16, 3, 1, 1),
    2: ("dw", 16, 16, 3, 2, 16),
    3: ("pw", 16, 32, 1, 1, 1),
    4: ("conv", 32, 32, 3, 1, 1),
    5: ("conv", 32, 32, 3, 1, 1),
}
RESIDUAL_FROM, RESIDUAL_TO = 3, 5
# The same with more channels, for noise.
WIDE = {
    1: ("conv", 1, 20, 3, 1, 1),
    2: ("dw", 20, 20, 3, 2, 20),
    3: ("pw", 20, 40, 1, 1, 1),
    4: ("conv", 40, 40, 3, 1, 1),
    5: ("conv", 40, 40, 3, 1, 1),
}


def initial_parameters(random, layers=LAYERS):
    parameters = {}
    for i, (kind, inputs, outputs, kernel, _, groups) in layers.items():
        shape = (outputs, inputs // groups, kernel, kernel)
        deviation = np.sqrt(2 / np.prod(shape[1:]))
        parameters[f"{kind}{i}.weight"] = random.normal(0, deviation, shape)
        parameters[f"bn{i}.scale"] = np.ones(outputs)
        parameters[f"bn{i}.bias"] = np.zeros(outputs)
    width = layers[RESIDUAL_TO][2]
    parameters["fc.weight"] = random.normal(0, np.sqrt(1 / width), (CLASSES, width))
    parameters["fc.bias"] = np.zeros(CLASSES)
    return {name: jnp.asarray(value, jnp.float32) for name, value in parameters.items()}


def forward(parameters, x, statistics=None, layers=LAYERS):
    """Returns (logits, {layer: (mean, variance)}).

    Batch statistics normalise where `statistics` is None, the given ones elsewhere.
    """
    used, kept = {}, None
    for i, (kind, _, _, kernel, stride, groups) in layers.items():
        pad = kernel // 2
        x = jax.lax.conv_general_dilated(
            x,
            parameters[f"{kind}{i}.weight"],
            (stride, stride),
            ((pad, pad), (pad, pad)),
            dimension_numbers=("NCHW", "OIHW", "NCHW"),
            feature_group_count=groups,
        )
        if statistics is None:
            used[i] = (x.mean((0, 2, 3)), x.var((0, 2, 3)))
        else:
            used[i] = statistics[i]
        mean, variance = (s[:, None, None] for s in used[i])
        scale = parameters[f"bn{i}.scale"][:, None, None]
        x = (x - mean) * (scale / jnp.sqrt(variance + BN_EPSILON))
        x = x + parameters[f"bn{i}.bias"][:, None, None]
        if i == RESIDUAL_TO:
            x = x + kept
        x = jax.nn.relu(x)
        if i == RESIDUAL_FROM:
            kept = x
    return x.mean((2, 3)) @ parameters["fc.weight"].T + parameters["fc.bias"], used


def to_onnx(parameters, statistics, layers=LAYERS, batch="N"):
    """The graph with BatchNormalization left unfolded: image [N,1,8,8] -> logits [N,10].

    `batch` is the first dimension: a number, or a name where it is open.
    """
    nodes, weights = [], []

    def weight(name, value):
        weights.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
        return name

    def node(op, name, inputs, output=None, **attributes):
        output = output or name
        nodes.append(helper.make_node(op, inputs, [output], name=name, **attributes))
        return output

    x = "image"
    for i, (kind, _, _, kernel, stride, groups) in layers.items():
        conv, bn = f"{kind}{i}", f"bn{i}"
        pad = kernel // 2
        x = node(
            "Conv",
            conv,
            [x, weight(f"{conv}.weight", parameters[f"{conv}.weight"])],
            kernel_shape=[kernel] * 2,
            strides=[stride] * 2,
            pads=[pad] * 4,
            dilations=[1, 1],
            group=groups,
        )
        mean, variance = statistics[i]
        x = node(
            "BatchNormalization",
            bn,
            [
                x,
                weight(f"{bn}.scale", parameters[f"{bn}.scale"]),
                weight(f"{bn}.bias", parameters[f"{bn}.bias"]),
                weight(f"{bn}.mean", mean),
                weight(f"{bn}.var", variance),
            ],
            epsilon=BN_EPSILON,
        )
        if i == RESIDUAL_TO:
            x = node("Add", f"add{i}", [x, f"relu{RESIDUAL_FROM}"])
        x = node("Relu", f"relu{i}", [x])
    x = node("GlobalAveragePool", "pool", [x])
    x = node("Flatten", "flatten", [x], axis=1)
    fc = [weight(f"fc.{part}", parameters[f"fc.{part}"]) for part in ("weight", "bias")]
    node("Gemm", "fc", [x, *fc], output="logits", transB=1)

    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, 1, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, CLASSES])],
        weights,
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
        producer_name="selvedge-zoo",
    )
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)
