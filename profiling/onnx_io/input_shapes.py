"""Static shapes of inputs: as the model declares them, as they are given, with a batch of one."""

from collections.abc import Sequence
from pathlib import Path

import onnx

from profiling.errors import ModelError


def set_shape(value: onnx.ValueInfoProto, shape: Sequence[int]) -> None:
    """Give a tensor a static shape, in place."""
    dims = value.type.tensor_type.shape
    del dims.dim[:]
    dims.SetInParent()  # a scalar has a shape, too
    for size in shape:
        dims.dim.add().dim_value = size


def require_fit(path: Path, value: onnx.ValueInfoProto, declared: Sequence[int]) -> None:
    """Refuse a declared shape that contradicts what the file says, symbols apart."""
    if not value.type.tensor_type.HasField("shape"):
        return
    shape = dimensions(value)
    fits = len(shape) == len(declared) and all(d in (None, n) for d, n in zip(shape, declared, strict=True))
    if not fits:
        raise ModelError(
            f"input_shapes.{value.name}: {list(declared)} does not fit {path}, whose input is "
            f"{_shape_text(shape)}"
        )


def static_shape(path: Path, value: onnx.ValueInfoProto) -> tuple[int, ...]:
    """Return an input's shape with a batch of 1 where the file leaves it open.

    Raises
    ------
    ModelError
        If another dimension is open, the batch is empty, or the input is no tensor.
    """
    if not value.type.HasField("tensor_type"):
        raise ModelError(f"{path}: input {value.name!r} is not a tensor, which is not supported")
    shape = dimensions(value)
    with_batch = tuple(1 if axis == 0 and d is None else d for axis, d in enumerate(shape))
    unknown_rank = not value.type.tensor_type.HasField("shape")
    if None in with_batch or unknown_rank:
        shown = "of unknown rank" if unknown_rank else _shape_text(shape)
        raise ModelError(
            f"{path}: input {value.name!r} has dynamic shape {shown}; "
            f"declare it as input_shapes: {{{value.name}: [...]}} in the scenario, "
            f"or with --shape {value.name}=... for plan inspect"
        )
    if with_batch[:1] == (0,) and len(with_batch) > 1:  # a list of axes, say, may be empty
        raise ModelError(
            f"{path}: input {value.name!r} has a batch of 0; export it with a batch of 1 or an open one"
        )
    return tuple(d for d in with_batch if d is not None)


def dimensions(value: onnx.ValueInfoProto) -> tuple[int | None, ...]:
    """Return a tensor's shape, with None where a dimension is not a number."""
    dims = value.type.tensor_type.shape.dim
    return tuple(d.dim_value if d.HasField("dim_value") and d.dim_value >= 0 else None for d in dims)


def _shape_text(shape: Sequence[int | None]) -> str:
    return f"[{', '.join('?' if d is None else str(d) for d in shape)}]"
