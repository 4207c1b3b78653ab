"""A traced function with its variables made constants: all that the conversion needs of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
from tf2onnx import tf_loader

from planner.conversion.request import SourceInput
from planner.conversion.tf_worker.traced_function import Traced

_COMPUTING_OPS = frozenset({"Conv2D", "Conv3D", "DepthwiseConv2dNative", "MatMul", "BatchMatMulV2"})
_CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
_KEPT_APART = ("_XlaMustCompile", "_noinline")
_FOLDED_OPS = frozenset({"Mul", "BiasAdd", "AddV2", "Add", "FusedBatchNormV3", "Identity"})


@dataclass(frozen=True, slots=True)
class Frozen:
    """A graph without variables, so that the model that it came from may go.

    Parameters
    ----------
    graph, tables
        TensorFlow's GraphDef, and the contents of its look-up tables.
    inputs, outputs
        Tensor of the graph -> public name, in order.
    layers, origins
        As `name_by_layer` wants them.
    """

    graph: Any
    tables: Any
    ends: tuple[SourceInput, ...]
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    layers: frozenset[str]
    origins: Mapping[str, str]


def freeze(traced: Traced) -> Frozen:
    """Return a traced function with its variables made constants."""
    function = traced.function
    inputs = dict(zip([x.name for x in traced.placeholders], traced.inputs, strict=True))
    outputs = dict(zip([x.name for x in function.outputs], traced.outputs, strict=True))
    origins = _origins(function.graph if traced.layers else _inlined(function))
    graph, tables = tf_loader.from_trackable(
        traced.owner, function, list(inputs), list(outputs), large_model=False
    )
    graph = _unfolded(graph, list(inputs), list(outputs))
    return Frozen(graph, tables, traced.ends, inputs, outputs, traced.layers, origins)


def _unfolded(graph: Any, inputs: list[str], outputs: list[str]) -> Any:
    """Return a frozen graph with called functions in place that XLA must compile, as ONNX knows no such call.

    TensorFlow leaves a call where the function asks for that; Keras' convolutions in groups do.
    """
    if not any(node.op in _CALLS for node in graph.node):
        return graph
    for function in graph.library.function:
        for name in _KEPT_APART:
            function.attr.pop(name, None)
    bodies = [function.node_def for function in graph.library.function]
    for node in (node for nodes in (graph.node, *bodies) for node in nodes if node.op in _CALLS):
        node.op = "PartitionedCall"  # a frozen graph has no state
        for name in _KEPT_APART:
            node.attr.pop(name, None)
    with tf.Graph().as_default():
        return tf_loader.tf_optimize(inputs, outputs, graph)


def _inlined(function: Any) -> Any:
    """Return the graph of a function with those that it calls inside."""
    return convert_variables_to_constants_v2(
        function, lower_control_flow=False, aggressive_inlining=True
    ).graph


def _origins(graph: Any) -> dict[str, str]:
    """Return operation -> the convolution or product in front of it.

    TensorFlow folds a factor behind a convolution into its weights and leaves it the factor's name.
    """
    origins: dict[str, str] = {}
    for op in graph.get_operations():
        if op.type in _COMPUTING_OPS:
            origins[op.name] = op.name
            continue
        origins_of_inputs = {origins[x.op.name] for x in op.inputs if x.op.name in origins}
        if len(origins_of_inputs) == 1 and op.type in _FOLDED_OPS:
            origins[op.name] = origins_of_inputs.pop()
    return origins
