"""A loaded model -> one that can be grouped, quantized and split: one small rewrite after another."""

import re
from collections import Counter
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, inliner, shape_inference, version_converter

from profiling.errors import ModelError
from profiling.fold import fold_constants
from profiling.model import default_opset, dimensions, graph_inputs, name_nodes
from profiling.quantize import SWITCHES
from profiling.scopes import all_nodes, bodies, captures, free_names, reads, rename_captures
from profiling.session import Array, Runtime, open_session, run_session
from profiling.weights import blocks, bring_in, light, restore

_MIN_OPSET = 13  # below it QuantizeLinear has no axis, so weights cannot be quantized per channel
_TARGET_OPSET = 17
_RANDOM = frozenset(
    {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
)
_UNKNOWN_OPERATOR = re.compile(r"(?:Fatal error: )?(\S+?):(\w+)\(-?\d+\) is not a registered function/op")
_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE)
_GIVEN = "/given"  # told apart from what the quantization tool adds


def prepare_model(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy that is ready to be grouped, quantized and split.

    After: functions are inlined, constants and batch norm are folded, every node has a unique
    non-empty name and its own weights, nested graphs take values from outside only through an
    Identity of their own and carry their own weights, every output is written by a node or is an
    input, every tensor has a static shape in `value_info`, and only used operator sets are imported.
    Graph inputs and outputs keep their names and types.

    Raises
    ------
    ModelError
        If shapes stay unknown, an operator is random, or the runtime does not know one.
    """
    model = inliner.inline_local_functions(model) if model.functions else model
    _drop_unused_weights(model.graph)
    _refuse_random(model.graph)
    _refuse_nan(model.graph)
    prepared = _folded(_converted(model))
    _drop_unused_opsets(prepared)
    name_nodes(prepared.graph)
    _drop_constant_inputs(prepared)
    _rename_given_quantization(prepared.graph)
    _copy_dequantizers(prepared.graph)
    _own_captured_weights(prepared.graph)
    _unshare_weights(prepared.graph)
    _drop_unused_weights(prepared.graph)
    _expose_captures(prepared.graph)
    _write_outputs(prepared.graph)
    prepared = shape_inference.infer_shapes(prepared, data_prop=True)
    _observe_shapes(prepared)
    _require_shapes(prepared.graph)
    return prepared


def _converted(model: onnx.ModelProto) -> onnx.ModelProto:
    opset = default_opset(model)
    if opset >= _MIN_OPSET:
        return model
    try:
        return restore(version_converter.convert_version(light(model), _TARGET_OPSET), model)
    except RuntimeError as exc:
        raise ModelError(f"opset {opset} cannot be converted to {_TARGET_OPSET}: {exc}") from exc


def _refuse_random(graph: onnx.GraphProto) -> None:
    found = next((node for node in all_nodes(graph) if node.op_type in _RANDOM), None)
    if found is not None:
        raise ModelError(
            f"operator {found.op_type} is random, which is not supported: two runs differ, so no plan "
            "can be verified"
        )


def _refuse_nan(graph: onnx.GraphProto) -> None:
    for init in graph.initializer:
        if init.data_type in _FLOATS and any(np.isnan(block).any() for block in blocks(init)):
            raise ModelError(f"weight {init.name!r} holds NaN")


def _folded(model: onnx.ModelProto) -> onnx.ModelProto:
    try:
        return fold_constants(model)
    except ModelError as exc:
        found = _UNKNOWN_OPERATOR.search(str(exc))
        if found is None:
            raise
        raise ModelError(
            f"operator {found[1]}:{found[2]} is not supported: this ONNX Runtime does not have it"
        ) from exc


def _drop_unused_opsets(model: onnx.ModelProto) -> None:
    # The runtime writes every operator set that it knows.
    used = {node.domain for node in all_nodes(model.graph)} | {""}
    kept = [entry for entry in model.opset_import if entry.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)


def _drop_constant_inputs(model: onnx.ModelProto) -> None:
    # An initializer listed as input may be overridden by the caller, so the runtime cannot fold it.
    kept = graph_inputs(model)
    del model.graph.input[:]
    model.graph.input.extend(kept)
    model.ir_version = max(model.ir_version, 4)  # before it, initializers had to be inputs


def _rename_given_quantization(graph: onnx.GraphProto) -> None:
    """Move names of quantizers that are there already out of the quantization tool's way."""
    fixed = {value.name for value in (*graph.input, *graph.output)}
    constants = {init.name for init in graph.initializer}
    names: dict[str, str] = {}
    for node in graph.node:
        if node.op_type in SWITCHES:
            node.name += _GIVEN
            inner = [*node.output, *(name for name in node.input if name in constants)]
            names |= {name: name + _GIVEN for name in inner if name and name not in fixed}
    for init in graph.initializer:
        init.name = names.get(init.name, init.name)
    for node in graph.node:
        for ends in (node.input, node.output):
            for place, name in enumerate(ends):
                ends[place] = names.get(name, name)
        for body in bodies(node):
            rename_captures(body, names)


def _copy_dequantizers(graph: onnx.GraphProto) -> None:
    """Give each reader of a DequantizeLinear a copy of its own, so that it can go with its reader."""
    readers = Counter(name for node in graph.node for name in set(reads(node)))
    due = {value.name for value in graph.output}
    writer = {node.output[0]: node for node in graph.node if node.op_type == "DequantizeLinear"}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        for place, name in enumerate(node.input):
            source = writer.get(name)
            if source is not None and (readers[name] > 1 or name in due):
                copy = onnx.NodeProto()
                copy.CopyFrom(source)
                copy.name, copy.output[0] = f"{source.name}/{node.name}", f"{name}/{node.name}"
                if not any(earlier.name == copy.name for earlier in nodes[-len(node.input) :]):
                    nodes.append(copy)
                node.input[place] = copy.output[0]
        nodes.append(node)
    used = {name for node in nodes for name in reads(node)} | due
    del graph.node[:]
    graph.node.extend(n for n in nodes if n.op_type != "DequantizeLinear" or n.output[0] in used)


def _own_captured_weights(graph: onnx.GraphProto) -> None:
    """Copy initializers into the nested graphs that read them."""
    weights = {init.name: init for init in graph.initializer}
    for node in graph.node:
        for body in bodies(node):
            for name in dict.fromkeys(free_names(body)):
                if name in weights:
                    body.initializer.add().CopyFrom(bring_in(weights[name]))


def _unshare_weights(graph: onnx.GraphProto) -> None:
    # The tool quantizes an initializer for all its readers, even those that are to stay in float.
    weights = {
        init.name: init for init in graph.initializer if init.dims and init.data_type == TensorProto.FLOAT
    }
    owner: dict[str, str] = {}
    copied: set[str] = set()
    for node in graph.node:
        for place, name in enumerate(node.input):
            if name in weights and owner.setdefault(name, node.name) != node.name:
                node.input[place] = own = f"{name}/{node.name}"
                if own not in copied:
                    copied.add(own)
                    copy = graph.initializer.add()
                    copy.CopyFrom(weights[name])
                    copy.name = own


def _drop_unused_weights(graph: onnx.GraphProto) -> None:
    used = {name for node in graph.node for name in reads(node)} | {value.name for value in graph.output}
    for place in reversed(range(len(graph.initializer))):
        if graph.initializer[place].name not in used:
            del graph.initializer[place]


def _expose_captures(graph: onnx.GraphProto) -> None:
    """Let nested graphs take values from outside only through an Identity in front of their node."""
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        names = {name: f"{name}/{node.name}" for name in captures(node)}
        nodes += [
            helper.make_node("Identity", [name], [own], name=f"{own}/capture") for name, own in names.items()
        ]
        for body in bodies(node):
            rename_captures(body, names)
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)


def _write_outputs(graph: onnx.GraphProto) -> None:
    """Let a node write every output that is a constant, and read inputs that are outputs from a copy."""
    due = {value.name for value in graph.output}
    weights = {init.name: init for init in graph.initializer if init.name in due}
    passed = {value.name for value in graph.input if value.name in due}
    inner = {name: f"{name}/constant" for name in weights} | {name: f"{name}/inside" for name in passed}
    read = {name for node in graph.node for name in node.input}
    for node in graph.node:
        for place, name in enumerate(node.input):
            node.input[place] = inner.get(name, name)
    for name, init in weights.items():
        init.name = inner[name]
    added = [helper.make_node("Identity", [inner[name]], [name], name=f"{name}/write") for name in weights]
    added += [
        helper.make_node("Identity", [name], [inner[name]], name=f"{name}/read")
        for name in passed
        if name in read
    ]
    nodes = [*added, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def _observe_shapes(model: onnx.ModelProto) -> None:
    """Take shapes that inference leaves open (behind a Loop, say) from two runs, if those agree."""
    known = {v.name: v for v in (*model.graph.value_info, *model.graph.input, *model.graph.output)}
    written = [name for node in model.graph.node for name in node.output if name]
    missing = [name for name in written if name not in known or not _is_static(known[name])]
    if not missing:
        return
    seen = [_run_with(model, missing, fill) for fill in (0, 1)]
    for name in missing:
        shapes = [values[name].shape for values in seen if isinstance(values.get(name), np.ndarray)]
        if len(shapes) == len(seen) and len(set(shapes)) == 1:
            value = known.get(name)
            if value is None:
                value = model.graph.value_info.add()
            elem_type = helper.np_dtype_to_tensor_dtype(seen[0][name].dtype)
            value.CopyFrom(helper.make_tensor_value_info(name, elem_type, shapes[0]))


def _run_with(model: onnx.ModelProto, names: list[str], fill: int) -> dict[str, Array]:
    """Return the values of some tensors with every input filled with one number; empty if it fails."""
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    due = {value.name for value in model.graph.output}
    watched.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in due)
    feeds = {
        value.name: np.full([d or 1 for d in dimensions(value)], fill, _dtype(value))
        for value in model.graph.input
    }
    try:
        return run_session(open_session(watched, Runtime()), feeds)
    except Exception:  # noqa: BLE001  the runtime's exceptions share no base; the shapes then stay open
        return {}


def _dtype(value: onnx.ValueInfoProto) -> np.dtype[Any]:
    return helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)


def _is_static(value: onnx.ValueInfoProto) -> bool:
    tensor = value.type.tensor_type
    return (
        tensor.elem_type != TensorProto.UNDEFINED
        and tensor.HasField("shape")
        and None not in dimensions(value)
    )


def _require_shapes(graph: onnx.GraphProto) -> None:
    known = {v.name: v for v in (*graph.value_info, *graph.input, *graph.output)}
    for node in graph.node:
        for name in filter(None, node.output):
            value = known.get(name, onnx.ValueInfoProto())
            kind = value.type.WhichOneof("value")
            if kind not in (None, "tensor_type"):
                kind = str(kind).removesuffix("_type")
                raise ModelError(f"{name!r} ({node.op_type}) is a {kind}, which is not supported")
            if value.type.tensor_type.elem_type == TensorProto.UNDEFINED:
                raise ModelError(f"the shape of tensor {name!r} ({node.op_type}) cannot be inferred")
            if not _is_static(value):
                raise ModelError(
                    f"tensor {name!r} ({node.op_type}) has a dynamic shape, which is not supported"
                )
