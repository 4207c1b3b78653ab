"""Resize nodes that name their axes -> the same over all axes.

ONNX Runtime moves channels last around integer convolutions, through a Resize as well, and forgets to move
its attribute `axes` along (seen in 1.31 and 1.32).
"""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from profiling.arrays import Array
from profiling.onnx_io.external_weights import read_array
from profiling.onnx_io.unique_names import FreshNames

_ROI, _SCALES, _SIZES = 1, 2, 3  # inputs


def spread_resize_axes(graph: onnx.GraphProto, shapes: Mapping[str, Sequence[int]]) -> None:
    """Give Resize nodes with `axes` scales or sizes for every axis instead, in place.

    Other axes get scale 1, or the size that they have. A Resize stays as it is if its scales or sizes are no
    constants, it has a region of interest, or it keeps an aspect ratio over its axes.

    Parameters
    ----------
    shapes
        Tensor -> its shape, as far as shapes are known.
    """
    constants = {init.name: init for init in graph.initializer}
    fresh = FreshNames(graph)
    for node in graph.node:
        axes = next((list(a.ints) for a in node.attribute if a.name == "axes"), [])
        shape = shapes.get(node.input[0]) if node.input else None
        if node.op_type == "Resize" and axes and shape is not None:
            _spread(node, [axis % len(shape) for axis in axes], shape, constants, graph, fresh)


def _spread(
    node: onnx.NodeProto,
    axes: Sequence[int],
    shape: Sequence[int],
    constants: Mapping[str, TensorProto],
    graph: onnx.GraphProto,
    fresh: FreshNames,
) -> None:
    policies = [a.s for a in node.attribute if a.name == "keep_aspect_ratio_policy"]
    has_roi = _name(node, _ROI) != "" and any(
        a.name == "coordinate_transformation_mode" and a.s == b"tf_crop_and_resize" for a in node.attribute
    )
    position = _SIZES if _name(node, _SIZES) else _SCALES
    some_axes = constants.get(_name(node, position))
    if some_axes is None or has_roi or any(policy != b"stretch" for policy in policies):
        return
    extents = read_array(some_axes)
    all_axes: Array = np.ones(len(shape), np.float32) if position == _SCALES else np.asarray(shape, np.int64)
    all_axes[list(axes)] = extents
    node.input[position] = fresh.of(f"{some_axes.name}/all_axes")
    graph.initializer.append(numpy_helper.from_array(all_axes.astype(extents.dtype), node.input[position]))
    kept = [a for a in node.attribute if a.name != "axes"]
    del node.attribute[:]
    node.attribute.extend(kept)


def _name(node: onnx.NodeProto, position: int) -> str:
    """Return the name of an input; empty if it is left out."""
    return node.input[position] if len(node.input) > position else ""
