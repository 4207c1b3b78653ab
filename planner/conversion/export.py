"""A traced TensorFlow function, or a TFLite file -> an ONNX model, through tf2onnx."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
from tf2onnx import optimizer, tf_loader, tfonnx

from planner.conversion.clips import clip_integers
from planner.conversion.grid import restore_integers
from planner.conversion.layer_names import name_by_layer
from planner.conversion.order import SourceInput
from planner.conversion.traced import Traced
from planner.conversion.transposes import optimizers
from planner.conversion.wording import first_line
from profiling.errors import ModelError

_COMPUTING_OPS = frozenset({"Conv2D", "Conv3D", "DepthwiseConv2dNative", "MatMul", "BatchMatMulV2"})
_IMAGE_RANK = 4
_TO_CHANNELS_LAST = [0, 2, 3, 1]


def export_traced(traced: Traced, opset: int) -> tuple[onnx.ModelProto, tuple[SourceInput, ...]]:
    """Return a function as ONNX, and its inputs as TensorFlow has them.

    Pictures come in with channels first, as the runtime's convolutions want them, where the graph then
    needs no transpose in front.

    Raises
    ------
    ModelError
        If an operator has no ONNX form.
    """
    function = traced.function
    inputs = [x for x in function.inputs if x.dtype != tf.resource][: len(traced.inputs)]
    names = dict(zip([x.name for x in inputs], traced.inputs, strict=True))
    names |= dict(zip([x.name for x in function.outputs], traced.outputs, strict=True))
    renamed: dict[str, str] = {}
    with tf.device("/cpu:0"):
        frozen, tables = tf_loader.from_trackable(
            traced.owner, function, [x.name for x in inputs], [x.name for x in function.outputs], False
        )
        with tf.Graph().as_default() as graph:
            tf.import_graph_def(frozen, name="")
            del frozen
            model = _to_onnx(
                graph,
                renamed,
                opset=opset,
                input_names=[x.name for x in inputs],
                output_names=[x.name for x in function.outputs],
                inputs_as_nchw=[x.name for x in inputs if _is_picture(x)],
                tensors_to_rename=names,
                initialized_tables=tables,
            )
    _refuse_foreign(model, traced.layers)
    restore_integers(model)
    clip_integers(model)
    first = _restore_channels_last(model, {traced.inputs[i] for i, x in enumerate(inputs) if _is_picture(x)})
    origins = _origins(function.graph if traced.layers else _inlined(function))
    origins |= {name: origins.get(old, old) for name, old in renamed.items()}
    name_by_layer(model, traced.layers, origins)
    ends = tuple(
        SourceInput(name=name, dtype=x.dtype.name, shape=tuple(x.shape), channels_last=name in first)
        for x, name in zip(inputs, traced.inputs, strict=True)
    )
    return model, ends


def export_tflite(path: Path, opset: int) -> tuple[onnx.ModelProto, tuple[SourceInput, ...]]:
    """Return a TFLite file as ONNX, and its inputs as TFLite has them.

    Raises
    ------
    ModelError
        If the file is damaged, or an operator has no ONNX form.
    """
    try:
        details = tf.lite.Interpreter(str(path)).get_input_details()
    except Exception as exc:
        raise ModelError(f"model: {path} is damaged or no TFLite file ({first_line(exc)})") from exc
    pictures = [d["name"] for d in details if len(d["shape"]) == _IMAGE_RANK]
    with tf.device("/cpu:0"):
        model = _to_onnx(None, {}, opset=opset, tflite_path=str(path), inputs_as_nchw=pictures)
    _refuse_foreign(model, ())
    first = _restore_channels_last(model, set(pictures))
    name_by_layer(model, (), {})
    ends = tuple(
        SourceInput(
            name=d["name"],
            dtype=np.dtype(d["dtype"]).name,
            shape=tuple(map(int, d["shape"])),
            channels_last=d["name"] in first,
        )
        for d in details
    )
    return model, ends


def _to_onnx(graph: Any, renamed: dict[str, str], **how: Any) -> onnx.ModelProto:
    """Return tf2onnx's graph, optimized; `renamed` is filled with nodes that replace others."""
    try:
        converted = tfonnx.process_tf_graph(graph, continue_on_error=True, **how)
        # Without catching errors it copies the whole graph, weights and all, for each step.
        return optimizer.optimize_graph(
            converted, catch_errors=False, optimizers=optimizers(renamed)
        ).make_model("converted")
    except ModelError:
        raise
    except Exception as exc:
        raise ModelError(f"tf2onnx cannot convert it: {type(exc).__name__}: {first_line(exc)}") from exc


def _is_picture(tensor: Any) -> bool:
    return tensor.shape.rank == _IMAGE_RANK and tensor.dtype.is_floating


def _refuse_foreign(model: onnx.ModelProto, layers: Sequence[str] | frozenset[str]) -> None:
    """Raise for the operators that tf2onnx left as they are."""
    versions = {entry.domain: entry.version for entry in model.opset_import}
    for node in model.graph.node:
        if not onnx.defs.has(node.op_type, versions.get(node.domain, 1), node.domain):
            where = max(
                (path for path in layers if node.name.startswith(f"{path}/")), key=len, default=node.name
            )
            raise ModelError(
                f"TensorFlow's operator {node.op_type} (in {where!r}) has no ONNX form in tf2onnx; "
                "build that part from other layers, or try a newer conversion.opset"
            )


def _restore_channels_last(model: onnx.ModelProto, pictures: set[str]) -> set[str]:
    """Give inputs their own layout back that are only transposed to it; return those that keep the other."""
    graph = model.graph
    for name in sorted(pictures):
        readers = [node for node in graph.node if name in node.input]
        if readers and all(_is_transpose(node, _TO_CHANNELS_LAST) for node in readers):
            _drop_transposes(graph, name, readers)
            pictures = pictures - {name}
    return pictures


def _is_transpose(node: onnx.NodeProto, order: list[int]) -> bool:
    return node.op_type == "Transpose" and any(
        a.name == "perm" and list(a.ints) == order for a in node.attribute
    )


def _drop_transposes(graph: onnx.GraphProto, name: str, transposes: list[onnx.NodeProto]) -> None:
    gone = {node.output[0] for node in transposes}
    for node in transposes:
        graph.node.remove(node)
    for node in graph.node:
        node.input[:] = [name if one in gone else one for one in node.input]
    value = next(value for value in graph.input if value.name == name)
    dims = value.type.tensor_type.shape.dim
    sizes = [dims[axis].dim_value for axis in _TO_CHANNELS_LAST]
    for dim, size in zip(dims, sizes, strict=True):
        dim.dim_value = size


def _inlined(function: Any) -> Any:
    """Return the graph of a function with those that it calls inside."""
    return convert_variables_to_constants_v2(
        function, lower_control_flow=False, aggressive_inlining=True
    ).graph


def _origins(graph: Any) -> dict[str, str]:
    """Return operation -> the convolution or product in front of it.

    TensorFlow folds a factor behind a convolution into its weights and leaves it the factor's name.
    """
    found: dict[str, str] = {}
    for op in graph.get_operations():
        if op.type in _COMPUTING_OPS:
            found[op.name] = op.name
            continue
        before = {found[x.op.name] for x in op.inputs if x.op.name in found}
        if len(before) == 1 and op.type in {"Mul", "BiasAdd", "AddV2", "Add", "FusedBatchNormV3", "Identity"}:
            found[op.name] = before.pop()
    return found
