"""Sixteen bits instead of eight for the activations of some nodes that the quantization tool quantized.

The range stays, its steps become 257 times as fine: every 8-bit number is a 16-bit one as well. Weights keep
their eight bits, biases go back to float, since int32 in such fine steps could overflow.
"""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from profiling.onnx_io.external_weights import read_array
from profiling.onnx_io.load_model import default_opset
from profiling.onnx_io.subgraphs import all_inputs

STEPS = 257  # 65,535 steps where there were 255
WIDE_TYPES = frozenset({TensorProto.UINT16, TensorProto.INT16})
_WIDE: dict[int, type[np.integer[Any]]] = {TensorProto.UINT8: np.uint16, TensorProto.INT8: np.int16}
_CONTRIB = "com.microsoft"  # whose Q and DQ know 16 bits in every opset; the standard's do from this one on
_STANDARD_SINCE = 21


def to_int16(
    model: onnx.ModelProto,
    source: onnx.ModelProto,
    narrow: Collection[str],
    wide: Collection[str],
    suffix: str,
) -> None:
    """Give the tensors that only `wide` nodes quantize 16 bits, in place.

    Parameters
    ----------
    model
        `source` with the nodes of both kinds quantized to 8 bits.
    suffix
        The quantized form of tensor T is named T + this.
    """
    if not wide:
        return
    kept = {name for node in source.graph.node if node.name in narrow for name in (*node.input, *node.output)}
    touched = {
        name for node in source.graph.node if node.name in wide for name in (*node.input, *node.output)
    }
    chosen = {name + suffix: name for name in touched - kept}
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    shapes = {v.name: v for v in (*source.graph.input, *source.graph.value_info, *source.graph.output)}
    elem_types = dict[str, int]()  # of tensors whose new scale and zero point are there
    domain = import_ms_domain(model) if chosen else ""
    for node in model.graph.node:
        ends = [name for name in (*node.input[:1], *node.output[:1]) if name in chosen]
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear") or not ends:
            continue
        tensor = chosen[ends[0]]
        if ends[0] not in elem_types:
            elem_types[ends[0]] = _add_steps(model, tensor, [constants[name] for name in node.input[1:]])
        node.input[1:] = _steps_of(tensor)
        node.domain = domain
        elem_type = TensorProto.FLOAT if node.op_type == "DequantizeLinear" else elem_types[ends[0]]
        _record_type(model, node.output[0], elem_type, shapes[tensor])
    _float_biases(model, source, wide)
    _record_remaining_types(model, shapes)


def import_ms_domain(model: onnx.ModelProto) -> str:
    """Return the domain whose Q and DQ know 16 bits, and let the model import it, in place."""
    if default_opset(model) >= _STANDARD_SINCE:
        return ""
    if all(entry.domain != _CONTRIB for entry in model.opset_import):
        model.opset_import.append(helper.make_opsetid(_CONTRIB, 1))
    return _CONTRIB


def _steps_of(tensor: str) -> list[str]:
    return [f"{tensor}_scale_16", f"{tensor}_zero_point_16"]


def _add_steps(model: onnx.ModelProto, tensor: str, pair: list[TensorProto]) -> int:
    """Add scale and zero point of a tensor, given those for 8 bits; return the type of its integers.

    Its 8-bit numbers q become 257 q, hence the same real value (257 q - 257 zero) scale / 257. The ends 0 and
    255 of uint8 become 0 and 65,535.
    """
    scale, zero = read_array(pair[0]), read_array(pair[1])
    finer = (
        np.asarray(scale / np.float32(STEPS), scale.dtype),
        np.asarray(zero.astype(np.int64) * STEPS, _WIDE[pair[1].data_type]),
    )
    added = [
        numpy_helper.from_array(value, name) for value, name in zip(finer, _steps_of(tensor), strict=True)
    ]
    model.graph.initializer.extend(added)
    return int(added[1].data_type)


def _record_type(model: onnx.ModelProto, name: str, elem_type: int, shaped_like: onnx.ValueInfoProto) -> None:
    """Record a tensor's type, which shape inference does not know behind an operator of another domain."""
    if name not in {value.name for value in model.graph.output}:
        value = model.graph.value_info.add()
        value.CopyFrom(shaped_like)
        value.name = name
        value.type.tensor_type.elem_type = elem_type


def _record_remaining_types(model: onnx.ModelProto, originals: Mapping[str, onnx.ValueInfoProto]) -> None:
    """Record the types of the tensors that stay, which shape inference would lose behind such an operator."""
    recorded = {v.name for v in (*model.graph.input, *model.graph.value_info, *model.graph.output)}
    for name in (name for node in model.graph.node for name in node.output):
        if name in originals and name not in recorded:
            model.graph.value_info.append(originals[name])


def _float_biases(model: onnx.ModelProto, source: onnx.ModelProto, wide: Collection[str]) -> None:
    """Let nodes read their biases in float again, and drop what then nobody reads."""
    originals = {tensor.name: tensor for tensor in source.graph.initializer}
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    source_nodes = {node.name: node for node in source.graph.node}
    writer = {node.output[0]: node for node in model.graph.node if node.op_type == "DequantizeLinear"}
    for node in model.graph.node:
        for position, name in enumerate(node.input) if node.name in wide else ():
            integers = constants.get(writer[name].input[0]) if name in writer else None
            if integers is not None and integers.data_type == TensorProto.INT32:
                bias = source_nodes[node.name].input[position]
                exact = f"{bias}_float"  # the tool gave its own name to the rounded one
                node.input[position] = exact
                if exact not in constants:
                    constants[exact] = model.graph.initializer.add()
                    constants[exact].CopyFrom(originals[bias])
                    constants[exact].name = exact
    _drop_unread(model)


def _drop_unread(model: onnx.ModelProto) -> None:
    """Drop DequantizeLinear nodes and initializers that nothing reads, in place."""
    graph = model.graph
    outputs = {value.name for value in graph.output}
    read = {name for node in graph.node for name in all_inputs(node)} | outputs
    nodes = [n for n in graph.node if n.op_type != "DequantizeLinear" or n.output[0] in read]
    read = {name for node in nodes for name in all_inputs(node)} | outputs
    weights = [tensor for tensor in graph.initializer if tensor.name in read]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(weights)
