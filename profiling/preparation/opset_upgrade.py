"""A model of an old operator set -> the same in one that quantization can work with."""

import numpy as np
import onnx
from onnx import TensorProto, helper, version_converter

from profiling.errors import ModelError
from profiling.onnx_io.external_weights import read_array, reattach_weights, without_large_weights
from profiling.onnx_io.load_model import MIN_OPSET, TARGET_OPSET, default_opset
from profiling.onnx_io.subgraphs import all_nodes

_SCALES = 2  # input of Resize
_RESIZE_CHANGED = 11  # before it Resize and Upsample knew no coordinate_transformation_mode


def upgrade_opset(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model of an older operator set in TARGET_OPSET; others as they are.

    What depends on coordinates that later versions of Resize chose otherwise is told to each Resize.

    Raises
    ------
    ModelError
        If an operator has no adapter.
    """
    opset = default_opset(model)
    if opset >= MIN_OPSET:
        return model
    resized = {node.output[0] for node in all_nodes(model.graph) if node.op_type in ("Resize", "Upsample")}
    try:
        upgraded = reattach_weights(
            version_converter.convert_version(without_large_weights(model), TARGET_OPSET), model
        )
    except (RuntimeError, ValueError, IndexError) as exc:
        raise ModelError(f"opset {opset} cannot be converted to {TARGET_OPSET}: {exc}") from exc
    if opset < _RESIZE_CHANGED:
        constants = _constants(upgraded.graph)
        for node in all_nodes(upgraded.graph):
            if node.op_type == "Resize" and node.output[0] in resized:
                _keep_coordinates(node, constants)
    return upgraded


def _constants(graph: onnx.GraphProto) -> dict[str, TensorProto]:
    """Return initializers and what Constant nodes hold; the converter makes such nodes of attributes."""
    nodes = {
        node.output[0]: node.attribute[0].t
        for node in all_nodes(graph)
        if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value"
    }
    return {init.name: init for init in graph.initializer} | nodes


def _keep_coordinates(node: onnx.NodeProto, constants: dict[str, TensorProto]) -> None:
    """Let a Resize compute as before version 11, in place; the adapter leaves the defaults of that version.

    Then a coordinate was the output's over the scale, cut off where a side grew and rounded up where it
    shrank (ONNX Runtime's `ResizeNearestMode::SIMPLE`).
    """
    kept = [a for a in node.attribute if a.name not in ("coordinate_transformation_mode", "nearest_mode")]
    mode = next((a.s for a in kept if a.name == "mode"), b"nearest")
    del node.attribute[:]
    node.attribute.extend(kept)
    node.attribute.append(helper.make_attribute("coordinate_transformation_mode", "asymmetric"))
    if mode == b"nearest":
        scales = constants.get(node.input[_SCALES]) if len(node.input) > _SCALES else None
        shrinks = scales is not None and bool(np.all(read_array(scales) <= 1))
        node.attribute.append(helper.make_attribute("nearest_mode", "ceil" if shrinks else "floor"))
