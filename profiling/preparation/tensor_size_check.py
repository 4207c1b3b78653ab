"""Tensors that no memory holds, found by their shapes before anything is allocated."""

from collections.abc import Iterator
from math import prod

import onnx
from onnx import helper, shape_inference

from profiling.available_memory import available_bytes
from profiling.errors import ModelError
from profiling.onnx_io.external_weights import without_large_weights
from profiling.onnx_io.input_shapes import dimensions

_MEBI = 2**20


def refuse_too_large(model: onnx.ModelProto) -> None:
    """Refuse a model one of whose tensors alone does not fit into the free memory.

    Parameters
    ----------
    model
        With static input shapes. A size that is only known at run time is not seen.

    Raises
    ------
    ModelError
        Naming the tensor and its size.
    """
    free = available_bytes()
    # One tensor alone: how many live at once is up to the runtime, and its arenas may share.
    for value in _values(model):
        size = _size_bytes(value)
        if size > free:
            raise ModelError(
                f"tensor {value.name!r} takes {size // _MEBI} MiB, more than the free memory "
                f"({free // _MEBI} MiB); smaller input_shapes may help"
            )


def _values(model: onnx.ModelProto) -> Iterator[onnx.ValueInfoProto]:
    yield from model.graph.input
    try:
        inferred = shape_inference.infer_shapes(without_large_weights(model), data_prop=True)
    except (shape_inference.InferenceError, RuntimeError):  # then real runs show the shapes
        return
    yield from (*inferred.graph.value_info, *inferred.graph.output)


def _size_bytes(value: onnx.ValueInfoProto) -> int:
    tensor = value.type.tensor_type
    if not tensor.elem_type or not tensor.HasField("shape"):
        return 0  # no tensor, or of a size that only runs show
    itemsize = helper.tensor_dtype_to_np_dtype(tensor.elem_type).itemsize
    return int(prod(size or 0 for size in dimensions(value)) * itemsize)
