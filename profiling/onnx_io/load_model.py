"""Loads an ONNX file: cleaned, checked, with static input shapes."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import networkx as nx
import numpy as np
import onnx
from google.protobuf import json_format, text_format
from google.protobuf.message import DecodeError
from onnx import checker, helper, numpy_helper, parser, shape_inference

from profiling.arrays import Array
from profiling.errors import ModelError
from profiling.on_device.create_session import Optimization
from profiling.onnx_io.branch_shapes import has_branches, hide_branch_shapes
from profiling.onnx_io.external_weights import (
    LargeWeight,
    check_model,
    is_large,
    read_model,
    without_large_weights,
)
from profiling.onnx_io.input_shapes import require_fit, require_static, set_shape, static_shape
from profiling.onnx_io.subgraphs import all_inputs
from profiling.onnx_io.unique_names import name_nodes, name_open_outputs
from profiling.printable_text import one_line
from profiling.runtime.open_session import Runtime, open_session

TARGET_OPSET = 17
MIN_OPSET = 13
"""Below it QuantizeLinear has no axis, so that weights cannot be quantized per channel."""

# ONNX reads a file by the end of its name: as protobuf, as JSON, as protobuf's text, or as its own text.
_UNREADABLE = (DecodeError, json_format.Error, text_format.Error, parser.ParseError)


def load_model(path: Path, input_shapes: Mapping[str, tuple[int, ...]]) -> onnx.ModelProto:
    """Return the checked model of a file with every input shape static; outputs have no shapes yet.

    A symbolic first dimension is the batch and becomes 1; any other must be given. Initializers that are
    listed as inputs, as old files do, are constants. Large weights lie outside the model. Constants are
    dense, nodes are sorted and each has a name that is not empty and that no other node has.

    Parameters
    ----------
    path
        An ONNX file.
    input_shapes
        Input name -> whole shape, for inputs with dynamic dimensions.

    Raises
    ------
    ModelError
        If the file is missing, is no valid ONNX model, or keeps a dynamic dimension; if a given shape does
        not fit or is for no input; if a name stands twice among the inputs or the outputs.
    """
    model = _read(path)
    _make_dense(model.graph)
    _sort_nodes(model.graph)
    _drop_constant_inputs(model)
    _refuse_repeated(path, model.graph)
    inputs = {value.name: value for value in model.graph.input}
    for name in input_shapes:
        if name not in inputs:
            raise ModelError(f"input_shapes.{name}: {path} has no such input; it has {', '.join(inputs)}")
    require_static(path, [value for name, value in inputs.items() if name not in input_shapes])
    for name, value in inputs.items():
        declared = input_shapes.get(name)
        if declared is not None:
            require_fit(path, value, declared)
        set_shape(value, declared or static_shape(path, value))
    for value in model.graph.output:
        if value.type.WhichOneof("value") == "tensor_type":
            value.type.tensor_type.ClearField("shape")
    del model.graph.value_info[:]  # sizes recorded for another batch would contradict the new shapes
    _name_domain(model)
    model.graph.name = model.graph.name or "model"
    name_open_outputs(model.graph)
    name_nodes(model.graph)
    # Only where it must be, since behind a sequence no inference knows a shape.
    if has_branches(model.graph) and not loads(model):
        inferred = shape_inference.infer_shapes(without_large_weights(model))
        model.graph.value_info.extend(inferred.graph.value_info)  # whose types are needed, shapes are not
        hide_branch_shapes(model.graph)
        del model.graph.value_info[:]
    return model


def _make_dense(graph: onnx.GraphProto) -> None:
    """Write sparse constants as plain ones, in place: later steps look at no others."""
    for sparse in graph.sparse_initializer:
        graph.initializer.append(numpy_helper.from_array(_dense(sparse), sparse.values.name))
    del graph.sparse_initializer[:]
    for node in graph.node:
        for attribute in node.attribute:
            if node.op_type == "Constant" and attribute.name == "sparse_value":
                dense = numpy_helper.from_array(_dense(attribute.sparse_tensor), node.output[0])
                attribute.CopyFrom(helper.make_attribute("value", dense))


def _dense(sparse: onnx.SparseTensorProto) -> Array:
    """Return a sparse tensor as an array of its shape.

    `indices` holds [NNZ] positions in the flattened tensor, or [NNZ, rank] coordinates.
    """
    values, indices = numpy_helper.to_array(sparse.values), numpy_helper.to_array(sparse.indices)
    dense = np.zeros(tuple(sparse.dims), values.dtype)
    positions = indices if indices.ndim == 1 else np.ravel_multi_index(tuple(indices.T), dense.shape)
    dense.reshape(-1)[positions] = values
    return dense


def _sort_nodes(graph: onnx.GraphProto) -> None:
    """Bring nodes into an order in which each comes behind what it reads, in place; the runtime does so.

    Nested graphs need no sorting: the runtime refuses a model in which theirs are not sorted.
    """
    writer = {name: index for index, node in enumerate(graph.node) for name in node.output if name}
    dependencies = nx.DiGraph()
    dependencies.add_nodes_from(range(len(graph.node)))
    dependencies.add_edges_from(
        (writer[name], index)
        for index, node in enumerate(graph.node)
        for name in all_inputs(node)
        if name in writer
    )
    if all(producer < consumer for producer, consumer in dependencies.edges):
        return
    # Of the nodes that could come next, the first one of the file.
    nodes = [graph.node[index] for index in nx.lexicographical_topological_sort(dependencies)]
    del graph.node[:]
    graph.node.extend(nodes)


def _drop_constant_inputs(model: onnx.ModelProto) -> None:
    """Take initializers off the list of inputs, in place."""
    # An initializer listed as input may be overridden by the caller, so the runtime cannot fold it.
    fed = graph_inputs(model)
    del model.graph.input[:]
    model.graph.input.extend(fed)
    model.ir_version = max(model.ir_version, 4)  # before it, initializers had to be inputs


def _name_domain(model: onnx.ModelProto) -> None:
    """Let a model that has operators of other domains only import the standard one, for what joins it."""
    if all(entry.domain not in ("", "ai.onnx") for entry in model.opset_import):
        model.opset_import.append(helper.make_opsetid("", TARGET_OPSET))


def _refuse_repeated(path: Path, graph: onnx.GraphProto) -> None:
    """Refuse what callers could not feed or fetch by name."""
    for side, values in (("input", graph.input), ("output", graph.output)):
        names = [value.name for value in values]
        repeated = next((name for name in names if names.count(name) > 1), None)
        if repeated is not None:
            raise ModelError(f"model: {path} lists the {side} {repeated!r} twice")


def model_hash(model: onnx.ModelProto) -> str:
    """Return the SHA-256 of a model's serialized form, large weights by their content."""
    hashed = onnx.ModelProto()
    hashed.CopyFrom(model)
    for tensor in hashed.graph.initializer:
        if is_large(tensor):
            checksum = LargeWeight.of(tensor).checksum
            del tensor.external_data[:]  # scratch files have another name in each process
            tensor.external_data.add(key="checksum", value=checksum)
    return hashlib.sha256(hashed.SerializeToString(deterministic=True)).hexdigest()


def graph_inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """Return the inputs that a caller feeds, without initializers listed as inputs."""
    initializers = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in initializers]


def default_opset(model: onnx.ModelProto) -> int:
    """Return the version of the standard operator set that the model imports; 1 if it imports none."""
    return next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 1)


def _read(path: Path) -> onnx.ModelProto:
    """Return the model of a file as it is, checked.

    Raises
    ------
    ModelError
        If there is none.
    """
    if not path.is_file():
        raise ModelError(
            f"model: {path} does not exist" if not path.exists() else f"model: {path} is not a file"
        )
    try:
        model = read_model(path)
    except (*_UNREADABLE, OSError, ValueError) as exc:
        why = "" if isinstance(exc, DecodeError) else f" ({one_line(str(exc))})"
        raise ModelError(f"model: {path} is not an ONNX file{why}") from exc
    if not model.graph.node and not model.graph.output:
        raise ModelError(f"model: {path} is not an ONNX model: its graph is empty")
    for what, part in (("nodes", model.graph.node), ("outputs", model.graph.output)):
        if not part:
            raise ModelError(f"model: {path}: its graph has no {what}")
    try:
        check_model(model)
    except (checker.ValidationError, UnicodeDecodeError) as exc:  # the latter of names that are no text
        what, *_ = str(exc).partition("==> Context")  # a dump of what is around it
        line = " ".join(what.split())
        if not loads(model):  # the runtime does without what the checker misses, shapes of outputs say
            raise ModelError(f"model: {path} is not valid ONNX: {line}") from exc
    return model


def loads(model: onnx.ModelProto) -> bool:
    """Return whether the runtime loads a model, with its cheapest optimizations."""
    try:
        open_session(model, Runtime(), Optimization.BASIC)
    except (ModelError, UnicodeError):
        return False
    return True
