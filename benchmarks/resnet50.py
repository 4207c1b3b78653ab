"""A network of ResNet50's shape with random weights, as ONNX: for speed and structure, not for answers."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

_STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))  # width, blocks, stride of the first


class _Builder:
    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def add(self, op_type: str, inputs: list[str], **attributes: object) -> str:
        name = f"{op_type.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op_type, inputs, [name], name=name, **attributes))
        return name

    def weight(self, *shape: int) -> str:
        name = f"w{len(self.weights)}"
        scale = np.sqrt(2.0 / np.prod(shape[1:])) if len(shape) > 1 else 0.01
        values = (self.rng.standard_normal(shape) * scale).astype(np.float32)
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def conv(self, source: str, channels: tuple[int, int], side: int, stride: int = 1) -> str:
        inputs = [source, self.weight(channels[1], channels[0], side, side), self.weight(channels[1])]
        pads = [side // 2] * 4
        return self.add("Conv", inputs, kernel_shape=[side, side], strides=[stride, stride], pads=pads)

    def block(self, source: str, before: int, width: int, stride: int) -> str:
        inner = self.add("Relu", [self.conv(source, (before, width), 1)])
        inner = self.add("Relu", [self.conv(inner, (width, width), 3, stride)])
        # Small last weights keep the sum over blocks from growing, as trained networks do.
        inner = self.conv(inner, (width, 4 * width), 1)
        same = stride == 1 and before == 4 * width
        shortcut = source if same else self.conv(source, (before, 4 * width), 1, stride)
        return self.add("Relu", [self.add("Add", [inner, shortcut])])


def resnet50() -> onnx.ModelProto:
    """Return the model: input `image` 1 x 3 x 224 x 224, output `logits` 1 x 1000."""
    build = _Builder()
    flow = build.add("Relu", [build.conv("image", (3, 64), 7, 2)])
    flow = build.add("MaxPool", [flow], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    before = 64
    for width, blocks, stride in _STAGES:
        for index in range(blocks):
            flow = build.block(flow, before, width, stride if index == 0 else 1)
            before = 4 * width
    flow = build.add("Flatten", [build.add("GlobalAveragePool", [flow])])
    inputs = [flow, build.weight(1000, before), build.weight(1000)]
    build.nodes.append(helper.make_node("Gemm", inputs, ["logits"], name="logits", transB=1))
    graph = helper.make_graph(
        build.nodes,
        "resnet50",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 224, 224])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 1000])],
        build.weights,
    )
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
