"""Quantizers that a model came with, out of the quantization tool's way.

All functions here change a graph or model in place.
"""

from collections import Counter

import numpy as np
import onnx
from onnx import helper

from profiling.onnx_io.subgraphs import all_inputs
from profiling.onnx_io.unique_names import FreshNames, rename_tensors
from profiling.quantization.qdq_model import SWITCHES

_ZERO_POINT = 2  # input


def name_zero_points(model: onnx.ModelProto) -> None:
    """Let quantizers tell their type by a zero point instead of the attribute `output_dtype`.

    ONNX's shape inference reads the zero point only.
    """
    fresh = FreshNames(model.graph)
    zero_points: dict[tuple[str, int], str] = {}  # of a scale and a type: their name
    for node in model.graph.node:
        elem_type = next((a.i for a in node.attribute if a.name == "output_dtype"), 0)
        if node.op_type == "QuantizeLinear" and elem_type and len(node.input) <= _ZERO_POINT:
            _add_zero_point(model.graph, node, elem_type, zero_points, fresh)


def _add_zero_point(
    graph: onnx.GraphProto,
    node: onnx.NodeProto,
    elem_type: int,
    zero_points: dict[tuple[str, int], str],
    fresh: FreshNames,
) -> None:
    scale = next((init for init in graph.initializer if init.name == node.input[1]), None)
    if scale is None:
        return  # of unknown shape; the runtime reads the attribute
    name = zero_points.setdefault((node.input[1], elem_type), fresh.of(f"{node.input[1]}/zero_point"))
    if all(init.name != name for init in graph.initializer):
        graph.initializer.append(
            helper.make_tensor(name, elem_type, scale.dims, [0] * int(np.prod(scale.dims)))
        )
    node.input.append(name)
    kept = [a for a in node.attribute if a.name != "output_dtype"]
    del node.attribute[:]
    node.attribute.extend(kept)


def rename_given_quantization(graph: onnx.GraphProto) -> None:
    """Move names of quantizers that are there already out of the quantization tool's way.

    It names its own after the tensors that it quantizes, and would take equal names for its own.
    """
    fixed = {value.name for value in (*graph.input, *graph.output)}
    constants = {init.name for init in graph.initializer}
    fresh = FreshNames(graph)
    names: dict[str, str] = {}
    for node in graph.node:
        if node.op_type in SWITCHES:
            node.name = fresh.of(f"{node.name}/given")
            private = [*node.output, *(name for name in node.input if name in constants)]
            for name in filter(None, private):
                if name not in fixed and name not in names:
                    names[name] = fresh.of(f"{name}/given")
    rename_tensors(graph, names)


def copy_dequantizers(graph: onnx.GraphProto) -> None:
    """Give each reader of a DequantizeLinear a copy of its own, so that it can go with its reader."""
    readers = Counter(name for node in graph.node for name in set(all_inputs(node)))
    outputs = {value.name for value in graph.output}
    writer = {node.output[0]: node for node in graph.node if node.op_type == "DequantizeLinear"}
    fresh = FreshNames(graph)
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        copies: dict[str, str] = {}
        for position, name in enumerate(node.input):
            source = writer.get(name)
            if source is not None and (readers[name] > 1 or name in outputs):
                if name not in copies:
                    copy = onnx.NodeProto()
                    copy.CopyFrom(source)
                    copy.name = fresh.of(f"{source.name}/{node.name}")
                    copies[name] = copy.output[0] = fresh.of(f"{name}/{node.name}")
                    nodes.append(copy)
                node.input[position] = copies[name]
        nodes.append(node)
    used = {name for node in nodes for name in all_inputs(node)} | outputs
    del graph.node[:]
    graph.node.extend(n for n in nodes if n.op_type != "DequantizeLinear" or n.output[0] in used)
