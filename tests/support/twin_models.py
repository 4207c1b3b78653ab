"""Small networks in two runtimes: `.tflite` models of `tflite_models`, and the same as ONNX."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import tflite_models
from onnx import TensorProto, helper, numpy_helper

from planner.deployment.runtime_stages import build_in_runtimes
from profiling.graph.unit_graph import build_graph
from profiling.litert.load import parse_litert
from profiling.litert.unit_graph import build_litert_graph
from profiling.preparation.rewrite_steps import prepare_model
from profiling.quantization.qdq_model import INT8
from profiling.several_runtimes.several_runtimes_model import SeveralRuntimesModel, join_runtimes

_LAST_TO_FIRST, _FIRST_TO_LAST, _IMAGE = (0, 3, 1, 2), (0, 2, 3, 1), 4


def onnx_twin(model):
    """Return a loaded `.tflite` model as ONNX: channels first inside, inputs and outputs as they are."""
    return _Twin(model).made()


class _Twin:
    def __init__(self, model):
        self._model = model
        self._nodes, self._constants = [], []
        self._ends = {tensor: name for name, tensor in (*model.inputs.items(), *model.outputs.items())}

    def made(self):
        for tensor in self._model.inputs.values():
            if self._rank(tensor) == _IMAGE:
                self._node("Transpose", [self._ends[tensor]], self._name(tensor), perm=_LAST_TO_FIRST)
        for kind, operator in zip(self._model.op_types, self._model.operators, strict=True):
            inputs = [int(t) for t in operator.inputs if t >= 0]
            getattr(self, f"_{kind.lower()}")(inputs, [int(t) for t in operator.outputs])
        for tensor in self._model.outputs.values():
            if self._rank(tensor) == _IMAGE:
                self._node("Transpose", [self._name(tensor)], self._ends[tensor], perm=_FIRST_TO_LAST)
        values = [
            [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, self._model.shape(t))
                for name, t in ends.items()
            ]
            for ends in (self._model.inputs, self._model.outputs)
        ]
        graph = helper.make_graph(self._nodes, "twin", *values, self._constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)

    def _rank(self, tensor):
        return len(self._model.shape(tensor))

    def _name(self, tensor):
        if tensor in self._ends and self._rank(tensor) != _IMAGE:
            return self._ends[tensor]
        return f"onnx/{tensor}"

    def _names(self, tensors):
        return [self._name(tensor) for tensor in tensors]

    def _node(self, kind, inputs, output, **attributes):
        outputs = [output] if isinstance(output, str) else output
        name = f"{kind}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, inputs, outputs, name=name, **attributes))

    def _constant(self, tensor, axes=None):
        values = self._model.constant(tensor)
        name = f"constant/{len(self._constants)}"
        made = np.ascontiguousarray(values if axes is None else np.transpose(values, axes))
        self._constants.append(numpy_helper.from_array(made, name))
        return name

    def _conv(self, inputs, outputs, weight_axes, groups, relu):
        source, weights, bias = inputs
        edge = self._model.shape(weights)[1] // 2
        reads = [self._name(source), self._constant(weights, weight_axes), self._constant(bias)]
        made = f"{self._name(outputs[0])}/conv" if relu else self._name(outputs[0])
        self._node("Conv", reads, made, pads=[edge] * 4, group=groups)
        if relu:
            self._node("Relu", [made], self._name(outputs[0]))

    def _conv_2d(self, inputs, outputs):
        options = self._model.operators[self._model.writers[outputs[0]]].builtinOptions
        self._conv(inputs, outputs, _LAST_TO_FIRST, 1, options.fusedActivationFunction)

    def _depthwise_conv_2d(self, inputs, outputs):
        self._conv(inputs, outputs, (3, 0, 1, 2), self._model.shape(inputs[0])[3], 0)

    def _add(self, inputs, outputs):
        self._node("Add", self._names(inputs), self._name(outputs[0]))

    def _channels(self, tensor):
        return 1 if self._rank(tensor) == _IMAGE else self._rank(tensor) - 1

    def _concatenation(self, inputs, outputs):
        axis = self._channels(inputs[0])
        self._node("Concat", self._names(inputs), self._name(outputs[0]), axis=axis)

    def _split(self, inputs, outputs):
        self._node("Split", [self._name(inputs[1])], self._names(outputs), axis=self._channels(inputs[1]))

    def _mean(self, inputs, outputs):
        self._node("ReduceMean", [self._name(inputs[0])], self._name(outputs[0]), axes=[2, 3], keepdims=0)

    def _max_pool_2d(self, inputs, outputs):
        self._node(
            "MaxPool", self._names(inputs), self._name(outputs[0]), kernel_shape=[2, 2], strides=[2, 2]
        )

    def _fully_connected(self, inputs, outputs):
        reads = [self._name(inputs[0]), self._constant(inputs[1]), *map(self._constant, inputs[2:])]
        self._node("Gemm", reads, self._name(outputs[0]), transB=1)

    def _softmax(self, inputs, outputs):
        self._node("Softmax", self._names(inputs), self._name(outputs[0]), axis=self._channels(inputs[0]))

    def _relu(self, inputs, outputs):
        self._node("Relu", self._names(inputs), self._name(outputs[0]))

    def _logistic(self, inputs, outputs):
        self._node("Sigmoid", self._names(inputs), self._name(outputs[0]))


@dataclass(frozen=True)
class Joined:
    """A network in two runtimes with its ranges and samples."""

    model: SeveralRuntimesModel
    samples: list
    ranges: Path
    source: onnx.ModelProto

    @property
    def graph(self):
        return self.model.graph

    def built(self, configuration, placement, runtimes):
        return build_in_runtimes(self.graph, configuration, placement, runtimes, INT8, self.ranges)


def joined(content, folder, twin=onnx_twin):
    """Return a `.tflite` file and its twin as one model."""
    litert = build_litert_graph(parse_litert(content, "net"))
    samples = [tflite_models.feeds(litert.model, seed) for seed in range(6)]
    source = twin(litert.model)
    model = join_runtimes(litert, [build_graph(prepare_model(source, samples))], samples)
    ranges = folder / "ranges.json"
    model.calibrate(samples, ranges)
    return Joined(model, samples, ranges, source)
