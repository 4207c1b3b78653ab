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
from profiling.onnx_io.load import default_opset
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
    made = dict[str, int]()
    domain = import_ms_domain(model) if chosen else ""
    for node in model.graph.node:
        ends = [name for name in (*node.input[:1], *node.output[:1]) if name in chosen]
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear") or not ends:
            continue
        tensor = chosen[ends[0]]
        if ends[0] not in made:
            made[ends[0]] = _add_steps(model, tensor, [constants[name] for name in node.input[1:]])
        node.input[1:] = _steps_of(tensor)
        node.domain = domain
        kind = TensorProto.FLOAT if node.op_type == "DequantizeLinear" else made[ends[0]]
        _add_type(model, node.output[0], kind, shapes[tensor])
    _float_biases(model, source, wide)
    _keep_types(model, shapes)


def import_ms_domain(model: onnx.ModelProto) -> str:
    """Return the domain whose Q and DQ know 16 bits, and let the model import it."""
    if default_opset(model) >= _STANDARD_SINCE:
        return ""
    if all(known.domain != _CONTRIB for known in model.opset_import):
        model.opset_import.append(helper.make_opsetid(_CONTRIB, 1))
    return _CONTRIB


def _steps_of(tensor: str) -> list[str]:
    return [f"{tensor}_scale_16", f"{tensor}_zero_point_16"]


def _add_steps(model: onnx.ModelProto, tensor: str, pair: list[TensorProto]) -> int:
    """Add scale and zero point of a tensor, given those for 8 bits; return the type of its integers."""
    scale, zero = read_array(pair[0]), read_array(pair[1])
    scale_to_int16 = (
        np.asarray(scale / np.float32(STEPS), scale.dtype),
        np.asarray(zero.astype(np.int64) * STEPS, _WIDE[pair[1].data_type]),
    )
    added = [
        numpy_helper.from_array(v, name) for v, name in zip(scale_to_int16, _steps_of(tensor), strict=True)
    ]
    model.graph.initializer.extend(added)
    return int(added[1].data_type)


def _add_type(model: onnx.ModelProto, name: str, kind: int, like: onnx.ValueInfoProto) -> None:
    """Tell a tensor's type, which shape inference does not know behind an operator of another domain."""
    if name not in {value.name for value in model.graph.output}:
        value = model.graph.value_info.add()
        value.CopyFrom(like)
        value.name = name
        value.type.tensor_type.elem_type = kind


def _keep_types(model: onnx.ModelProto, known: Mapping[str, onnx.ValueInfoProto]) -> None:
    """Tell the types of the tensors that stay, which shape inference would lose behind such an operator."""
    told = {v.name for v in (*model.graph.input, *model.graph.value_info, *model.graph.output)}
    for name in (name for node in model.graph.node for name in node.output):
        if name in known and name not in told:
            model.graph.value_info.append(known[name])


def _float_biases(model: onnx.ModelProto, source: onnx.ModelProto, wide: Collection[str]) -> None:
    """Let nodes read their biases in float again, and drop what then nobody reads."""
    originals = {tensor.name: tensor for tensor in source.graph.initializer}
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    exact = {node.name: node for node in source.graph.node}
    writer = {node.output[0]: node for node in model.graph.node if node.op_type == "DequantizeLinear"}
    for node in model.graph.node:
        for place, name in enumerate(node.input) if node.name in wide else ():
            known = constants.get(writer[name].input[0]) if name in writer else None
            if known is not None and known.data_type == TensorProto.INT32:
                own = f"{exact[node.name].input[place]}_float"  # the tool gave its name to the rounded one
                node.input[place] = own
                if own not in constants:
                    constants[own] = model.graph.initializer.add()
                    constants[own].CopyFrom(originals[exact[node.name].input[place]])
                    constants[own].name = own
    _drop_unread(model)


def _drop_unread(model: onnx.ModelProto) -> None:
    graph = model.graph
    due = {value.name for value in graph.output}
    read = {name for node in graph.node for name in all_inputs(node)} | due
    nodes = [n for n in graph.node if n.op_type != "DequantizeLinear" or n.output[0] in read]
    read = {name for node in nodes for name in all_inputs(node)} | due
    weights = [tensor for tensor in graph.initializer if tensor.name in read]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(weights)
