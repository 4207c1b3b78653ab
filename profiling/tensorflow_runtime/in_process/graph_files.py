"""Frozen graphs as SavedModels of one file, and parts of them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import graph_pb2
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

_SERVE, _SIGNATURE = "serve", "serving_default"
_PREDICT = "tensorflow/serving/predict"
_VERSION = 1
_WAITS = "^"  # before the name of a node that only has to run first
_INPUTS, _OUTPUTS = "splitquant_inputs", "splitquant_outputs"  # collections: a signature has no order


@dataclass(frozen=True)
class GraphEnd:
    """An input or output: its name for callers, and the graph's tensor."""

    name: str
    tensor: str


@dataclass(frozen=True)
class CutEnd:
    """Where a part of a graph is cut, and how the tensor is handed over.

    Parameters
    ----------
    axes
        Those of the graph's tensor in the order of what is handed over.
    scale, zero_point
        Of int8 numbers that are handed over in place of floats; a scale of 0 stands for floats.
    """

    name: str
    tensor: str
    axes: tuple[int, ...] = ()
    scale: float = 0.0
    zero_point: int = 0


def saved_model_bytes(graph_def: Any, inputs: Sequence[GraphEnd], outputs: Sequence[GraphEnd]) -> bytes:
    """Return a SavedModel's only file, which holds a graph without variables."""
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name="")
    model = saved_model_pb2.SavedModel(saved_model_schema_version=_VERSION)
    meta = model.meta_graphs.add()
    meta.meta_info_def.tags.append(_SERVE)
    meta.meta_info_def.tensorflow_version = tf.__version__
    meta.graph_def.CopyFrom(graph_def)
    signature = meta.signature_def[_SIGNATURE]
    signature.method_name = _PREDICT
    sides = (inputs, signature.inputs, _INPUTS), (outputs, signature.outputs, _OUTPUTS)
    for ends, entries, collection in sides:
        for end in ends:
            entries[end.name].CopyFrom(_tensor_info(graph.get_tensor_by_name(end.tensor)))
        meta.collection_def[collection].bytes_list.value.extend(end.name.encode() for end in ends)
    return bytes(model.SerializeToString(deterministic=True))


def _tensor_info(tensor: Any) -> Any:
    return meta_graph_pb2.TensorInfo(
        name=tensor.name, dtype=tensor.dtype.as_datatype_enum, tensor_shape=tensor.shape.as_proto()
    )


@dataclass(frozen=True)
class OpenedGraph:
    """A graph in this process.

    Parameters
    ----------
    wrapped
        TensorFlow's function that holds it.
    """

    graph_def: Any
    wrapped: Any
    inputs: dict[str, str]
    outputs: dict[str, str]

    def tensor(self, name: str) -> Any:
        """Return a tensor of the graph."""
        return self.wrapped.graph.get_tensor_by_name(name)


def opened(content: bytes) -> OpenedGraph:
    """Return the graph of a SavedModel's file, with inputs and outputs in the order they were written in."""
    model = saved_model_pb2.SavedModel.FromString(content)
    meta = model.meta_graphs[0]
    graph_def = meta.graph_def

    def imported() -> None:
        tf.import_graph_def(graph_def, name="")

    wrapped = tf.compat.v1.wrap_function(imported, [])
    signature = meta.signature_def[_SIGNATURE]
    sides = (signature.inputs, _INPUTS), (signature.outputs, _OUTPUTS)
    ends = [{key: side[key].name for key in _ordered(meta, side, name)} for side, name in sides]
    return OpenedGraph(graph_def, wrapped, *ends)


def _ordered(meta: Any, entries: Mapping[str, Any], collection: str) -> list[str]:
    """Return the keys of a side of a signature; a map's own order differs from process to process."""
    written = [key.decode() for key in meta.collection_def[collection].bytes_list.value]
    return written if set(written) == set(entries) else sorted(entries)


@dataclass(frozen=True)
class GraphPart:
    """What computes some tensors of a graph of others.

    Parameters
    ----------
    read
        Those of the others that it reads.
    """

    graph_def: Any
    read: frozenset[str]
    computed: Sequence[str]

    def imported(self, fed: Mapping[str, Any]) -> list[Any]:
        """Return what it computes, in the current graph, of tensors by their names in the whole one."""
        mapped = {name: fed[name] for name in self.read}
        return list(tf.import_graph_def(self.graph_def, mapped, list(self.computed), name="stage"))


def part_of(graph_def: Any, given: Collection[str], computed: Sequence[str]) -> GraphPart:
    """Return the part of a graph that computes tensors, where others are given.

    TensorFlow's own `prune` also copies what lies before the given tensors, and fails where that reads
    another tensor of an operator of which one is given.
    """
    nodes = {node.name: node for node in graph_def.node}
    wanted, kept, read = list(computed), set[str](), set[str]()
    while wanted:
        name = wanted.pop().partition(":")[0]
        if name in kept:
            continue
        kept.add(name)
        tensors = {_tensor_name(one) for one in nodes[name].input if not one.startswith(_WAITS)}
        read |= tensors.intersection(given)
        wanted += tensors.difference(given)
    part = graph_pb2.GraphDef(versions=graph_def.versions, library=graph_def.library)
    part.node.extend(node for node in graph_def.node if node.name in kept)
    for node in part.node:  # what it waits for without reading it may lie in another part
        inputs = [one for one in node.input if not one.startswith(_WAITS) or one[1:] in kept]
        node.input[:] = inputs
    return GraphPart(part, frozenset(read), computed)


def _tensor_name(node_input: str) -> str:
    return node_input if ":" in node_input else f"{node_input}:0"


def cut_out(graph: OpenedGraph, inputs: Sequence[CutEnd], outputs: Sequence[CutEnd]) -> bytes:
    """Return the file of a part of a graph, from some tensors to others."""
    passed_on = {end.tensor for end in inputs}
    computed = list(dict.fromkeys(end.tensor for end in outputs if end.tensor not in passed_on))
    part = part_of(graph.graph_def, passed_on, computed)
    with tf.Graph().as_default() as made:
        tensors, given = {}, []
        for number, end in enumerate(inputs):
            tensors[end.tensor], placeholder = _handed_in(graph.tensor(end.tensor), end, number)
            given.append(GraphEnd(end.name, placeholder.name))
        found = part.imported(tensors)
        tensors |= zip(computed, found, strict=True)
        handed_out = [
            GraphEnd(end.name, _handed_out(tensors[end.tensor], end, number).name)
            for number, end in enumerate(outputs)
        ]
        made_def = made.as_graph_def()
    kept = [end.tensor.partition(":")[0] for end in (*given, *handed_out)]
    made_def = tf.compat.v1.graph_util.extract_sub_graph(made_def, kept)
    return saved_model_bytes(made_def, given, handed_out)


def _handed_in(tensor: Any, end: CutEnd, number: int) -> tuple[Any, Any]:
    """Return a part's tensor, and the placeholder that it comes from."""
    shape = [int(tensor.shape[axis]) for axis in end.axes or range(tensor.shape.rank)]
    dtype = tf.int8 if end.scale else tensor.dtype
    placeholder = value = tf.compat.v1.placeholder(dtype, shape, name=f"input_{number}")
    if end.scale:
        value = (tf.cast(value, tf.float32) - float(end.zero_point)) * np.float32(end.scale)
    if end.axes:
        value = tf.transpose(value, np.argsort(end.axes))
    return value, placeholder


def _handed_out(value: Any, end: CutEnd, number: int) -> Any:
    if end.axes:
        value = tf.transpose(value, end.axes)
    if end.scale:
        scaled = value / np.float32(end.scale)
        rounded = tf.sign(scaled) * tf.floor(tf.abs(scaled) + 0.5) + float(end.zero_point)
        value = tf.cast(tf.clip_by_value(rounded, -128.0, 127.0), tf.int8)
    return tf.identity(value, name=f"output_{number}")
