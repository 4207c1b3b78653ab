"""Models made of products with matrices: a small transformer, and random graphs."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

TOKENS, WIDTH, CLASSES = 6, 24, 5  # a width that is no multiple of a block of 32


class _Builder:
    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[TensorProto] = []

    def constant(self, *shape: int, scale: float | None = None) -> str:
        values = self.rng.normal(size=shape) * (1 / np.sqrt(shape[0]) if scale is None else scale)
        return self.given(np.asarray(values, np.float32))

    def given(self, values: np.ndarray) -> str:
        name = f"w{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(values, name))
        return name

    def node(self, op_type: str, *inputs: str, **attributes: object) -> str:
        name = f"{op_type}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op_type, list(inputs), [f"{name}_out"], name, **attributes))
        return f"{name}_out"

    def dense(self, x: str, rows: int, columns: int) -> str:
        product = self.node("MatMul", x, self.constant(rows, columns))
        return self.node("Add", product, self.constant(columns, scale=0.1))

    def normalized(self, x: str) -> str:
        return self.node(
            "LayerNormalization", x, self.given(np.ones(WIDTH, np.float32)), self.constant(WIDTH, scale=0.1)
        )

    def attention(self, x: str) -> str:
        query, key, value = (self.dense(x, WIDTH, WIDTH) for _ in range(3))
        scores = self.node("MatMul", query, self.node("Transpose", key, perm=[0, 2, 1]))
        shares = self.node("Softmax", self.node("Mul", scores, self.given(np.float32([0.2]))), axis=-1)
        return self.dense(self.node("MatMul", shares, value), WIDTH, WIDTH)

    def feed_forward(self, x: str) -> str:
        hidden = self.node("Relu", self.dense(x, WIDTH, 2 * WIDTH))
        return self.dense(hidden, 2 * WIDTH, WIDTH)

    def model(self, x: str) -> onnx.ModelProto:
        """Return the model that ends in a Gemm with a transposed weight over the mean of all tokens."""
        mean = self.node("ReduceMean", x, axes=[1], keepdims=0)
        self.node("Gemm", mean, self.constant(CLASSES, WIDTH), self.constant(CLASSES), transB=1)
        self.nodes[-1].output[0] = "y"
        ends = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in (("x", [1, TOKENS, WIDTH]), ("y", [1, CLASSES]))
        ]
        graph = helper.make_graph(self.nodes, "dense", ends[:1], ends[1:], self.constants)
        return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])


def transformer(blocks: int = 2, seed: int = 0) -> onnx.ModelProto:
    """Return a transformer of [1, TOKENS, WIDTH] floats that gives CLASSES numbers."""
    build, x = _Builder(seed), "x"
    for _ in range(blocks):
        x = build.normalized(build.node("Add", x, build.attention(x)))
        x = build.normalized(build.node("Add", x, build.feed_forward(x)))
    return build.model(x)


def random_dense(seed: int, size: int = 12) -> onnx.ModelProto:
    """Return a random graph of products, convolutions, sums and what stands between them, with skips."""
    build = _Builder(seed)
    tensors = ["x"]
    for _ in range(size):
        x = tensors[-1 - int(build.rng.integers(min(3, len(tensors))))]
        match build.rng.integers(6):
            case 0:
                tensors.append(build.dense(x, WIDTH, WIDTH))
            case 1:
                tensors.append(build.feed_forward(x))
            case 2:
                tensors.append(build.node("Relu", build.node("MatMul", x, build.constant(WIDTH, WIDTH))))
            case 3:
                tensors.append(build.node("Add", x, tensors[-1]))
            case 4:
                kernel = build.constant(TOKENS, TOKENS, 3, scale=0.3)
                tensors.append(build.node("Conv", x, kernel, pads=[1, 1], kernel_shape=[3]))
            case _:
                tensors.append(build.normalized(build.node("Sigmoid", x)))
    return build.model(build.node("Add", tensors[-1], tensors[-2]))
