"""A frozen TensorFlow graph, or a TFLite file -> an ONNX model, through tf2onnx."""

import gc
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import onnx
import tensorflow as tf
from msgspec.structs import replace
from tf2onnx import optimizer, tfonnx

import planner.conversion.tf_worker.missing_operators  # noqa: F401  adds them to tf2onnx
from planner.conversion.request import SourceInput
from planner.conversion.tf_worker.exception_text import framework_error_line
from planner.conversion.tf_worker.freeze_variables import Frozen
from planner.conversion.tf_worker.integer_clips import clip_integers
from planner.conversion.tf_worker.layer_names import name_by_layer
from planner.conversion.tf_worker.plain_tflite import plain_content
from planner.conversion.tf_worker.qat_weights import restore_integers
from planner.conversion.tf_worker.remove_reshapes import remove_noop_reshapes
from planner.conversion.tf_worker.tf2onnx_patches import optimizers
from planner.conversion.tf_worker.tflite_model import TfliteModel
from planner.conversion.tf_worker.wide_integers import restate_wide
from profiling.errors import ModelError

_SPATIAL_OPS = frozenset({"Conv2D", "DepthwiseConv2dNative", "Conv2DBackpropInput", "MaxPool", "AvgPool"})
_IMAGE_RANK = 4
_OF_TFLITE = "TFL_"  # what the names of a .tflite file's operators begin with, where tf2onnx knows no form
_TO_CHANNELS_LAST = [0, 2, 3, 1]
Exported = tuple[onnx.ModelProto, tuple[SourceInput, ...]]
"""A model, and the inputs of its source, which say what became of their layout."""


def export_frozen(frozen: Frozen, opset: int) -> Exported:
    """Return a frozen graph as ONNX.

    Pictures come in with channels first, as the runtime's convolutions want them, where the graph then
    needs no transpose in front.

    Raises
    ------
    ModelError
        If an operator has no ONNX form.
    """
    spatial = any(node.op in _SPATIAL_OPS for node in frozen.graph.node)
    image_inputs = _image_inputs(frozen.ends) if spatial else []
    renamed: dict[str, str] = {}
    with tf.device("/cpu:0"), tf.Graph().as_default() as graph:
        tf.import_graph_def(frozen.graph, name="")
        model = _to_onnx(
            graph,
            renamed,
            opset=opset,
            input_names=list(frozen.inputs),
            output_names=list(frozen.outputs),
            inputs_as_nchw=[tensor for tensor, name in frozen.inputs.items() if name in image_inputs],
            tensors_to_rename={**frozen.inputs, **frozen.outputs},
            initialized_tables=frozen.tables,
        )
    channels_first = _cleaned(model, frozen.layers, image_inputs)
    origins = {**frozen.origins, **{name: frozen.origins.get(old, old) for name, old in renamed.items()}}
    name_by_layer(model, frozen.layers, origins)
    return model, _with_layout(frozen.ends, channels_first)


def export_tflite(source: TfliteModel, opset: int) -> Exported:
    """Return a TFLite file as ONNX.

    Raises
    ------
    ModelError
        If an operator has no ONNX form.
    """
    ends, tensors = source.ends, source.tensors
    image_inputs = _image_inputs(ends)
    with tf.device("/cpu:0"), tempfile.NamedTemporaryFile(suffix=".tflite") as plain:
        Path(plain.name).write_bytes(_plain(source.path))
        model = _to_onnx(
            None,
            {},
            opset=opset,
            tflite_path=plain.name,
            inputs_as_nchw=[tensors[name] for name in image_inputs],
            tensors_to_rename={tensor: name for name, tensor in tensors.items()},
        )
    channels_first = _cleaned(model, frozenset(), image_inputs)
    name_by_layer(model, (), {})
    return model, _with_layout(ends, channels_first)


def _plain(path: Path) -> bytes:
    try:
        return plain_content(path.read_bytes())
    except Exception as exc:
        raise ModelError(
            f"model: the constants of {path} cannot be read: {framework_error_line(exc)}"
        ) from exc


def _image_inputs(ends: Sequence[SourceInput]) -> list[str]:
    return [end.name for end in ends if len(end.shape) == _IMAGE_RANK and "float" in end.dtype]


def _with_layout(ends: Sequence[SourceInput], channels_first: Collection[str]) -> tuple[SourceInput, ...]:
    return tuple(replace(end, channels_last=end.name in channels_first) for end in ends)


def _to_onnx(graph: Any, renamed: dict[str, str], **how: Any) -> onnx.ModelProto:
    """Return tf2onnx's graph, optimized; `renamed` is filled with nodes that replace others."""
    try:
        try:
            return _optimized(graph, renamed, catch_errors=False, **how)
        except Exception:  # noqa: BLE001  tf2onnx raises anything
            # It then copies the whole graph, weights and all, before each step, to leave out one that fails.
            return _optimized(graph, renamed, catch_errors=True, **how)
    except Exception as exc:
        raise ModelError(
            f"tf2onnx cannot convert it: {type(exc).__name__}: {framework_error_line(exc)}"
        ) from exc


def _optimized(graph: Any, renamed: dict[str, str], *, catch_errors: bool, **how: Any) -> onnx.ModelProto:
    renamed.clear()
    converted = tfonnx.process_tf_graph(graph, continue_on_error=True, **how)
    gc.collect()  # what is left of graphs holds all weights
    done = optimizer.optimize_graph(converted, catch_errors=catch_errors, optimizers=optimizers(renamed))
    model: onnx.ModelProto = done.make_model("converted")
    return model


def _cleaned(model: onnx.ModelProto, layers: frozenset[str], image_inputs: Sequence[str]) -> set[str]:
    """Undo what conversion does to quantized models and to layouts, in place; return inputs left NCHW."""
    _refuse_foreign(model, layers)
    restate_wide(model)
    restore_integers(model)
    clip_integers(model)
    channels_first = _restore_channels_last(model, image_inputs)
    remove_noop_reshapes(model)
    return channels_first


def _refuse_foreign(model: onnx.ModelProto, layers: frozenset[str]) -> None:
    """Raise for the operators that tf2onnx left as they are."""
    versions = {entry.domain: entry.version for entry in model.opset_import}
    for node in model.graph.node:
        if not onnx.defs.has(node.op_type, versions.get(node.domain, 1), node.domain):
            place_in_model = max(
                (path for path in layers if node.name.startswith(f"{path}/")), key=len, default=node.name
            )
            remedy = (
                "give the Keras model or SavedModel that the .tflite file was made from"
                if node.op_type.startswith(_OF_TFLITE)
                else "build that part from other layers, or try a newer conversion.opset"
            )
            raise ModelError(
                f"TensorFlow's operator {node.op_type} (in {place_in_model!r}) has no ONNX form in tf2onnx; "
                f"{remedy}"
            )


def _restore_channels_last(model: onnx.ModelProto, image_inputs: Sequence[str]) -> set[str]:
    """Give inputs their own layout back that are only transposed to it; return those that keep the other."""
    graph = model.graph
    channels_first = set(image_inputs)
    for name in image_inputs:
        readers = [node for node in graph.node if name in node.input]
        if readers and all(_is_transpose(node, _TO_CHANNELS_LAST) for node in readers):
            _drop_transposes(graph, name, readers)
            channels_first.remove(name)
    return channels_first


def _is_transpose(node: onnx.NodeProto, order: list[int]) -> bool:
    return node.op_type == "Transpose" and any(
        a.name == "perm" and list(a.ints) == order for a in node.attribute
    )


def _drop_transposes(graph: onnx.GraphProto, name: str, transposes: list[onnx.NodeProto]) -> None:
    transposed = {node.output[0] for node in transposes}
    for node in transposes:
        graph.node.remove(node)
    for node in graph.node:
        node.input[:] = [name if input_name in transposed else input_name for input_name in node.input]
    value = next(value for value in graph.input if value.name == name)
    dims = value.type.tensor_type.shape.dim
    sizes = [dims[axis].dim_value for axis in _TO_CHANNELS_LAST]
    for dim, size in zip(dims, sizes, strict=True):
        dim.dim_value = size
