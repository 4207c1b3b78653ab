"""Static shapes of inputs: as the model declares them, as they are given, with a batch of one."""

import json
import shlex
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


def require_static(path: Path, values: Sequence[onnx.ValueInfoProto]) -> None:
    """Refuse inputs of which a dimension other than the batch is open, all of them at once.

    Raises
    ------
    ModelError
        With what is to be declared, in the file's names for what is open.
    """
    open_inputs = [value for value in values if value.type.HasField("tensor_type") and _is_open(value)]
    if not open_inputs:
        return
    found = ", ".join(
        f"input {value.name!r} has dynamic shape "
        f"{_shape_text(dimensions(value)) if _has_rank(value) else 'of unknown rank'}"
        for value in open_inputs
    )
    wanted = [(value.name, _wanted(value)) for value in open_inputs]
    keys = ", ".join(f"{json.dumps(name)}: [{', '.join(sizes)}]" for name, sizes in wanted)
    options = " ".join(f"--shape {shlex.quote(name + '=' + ','.join(sizes))}" for name, sizes in wanted)
    raise ModelError(
        f"{path}: {found}; declare {'it' if len(open_inputs) == 1 else 'them'} as input_shapes: {{{keys}}} "
        f"in the scenario, or with {options} for plan init and plan inspect, a number for each name"
    )


def static_shape(path: Path, value: onnx.ValueInfoProto) -> tuple[int, ...]:
    """Return the shape of an input that `require_static` lets pass, with a batch of 1 where it is open.

    Raises
    ------
    ModelError
        If the batch is empty, or the input is no tensor.
    """
    if not value.type.HasField("tensor_type"):
        raise ModelError(f"{path}: input {value.name!r} is not a tensor, which is not supported")
    with_batch = _with_batch(value)
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


def _has_rank(value: onnx.ValueInfoProto) -> bool:
    return bool(value.type.tensor_type.HasField("shape"))


def _is_open(value: onnx.ValueInfoProto) -> bool:
    return not _has_rank(value) or None in _with_batch(value)


def _with_batch(value: onnx.ValueInfoProto) -> tuple[int | None, ...]:
    return tuple(1 if axis == 0 and d is None else d for axis, d in enumerate(dimensions(value)))


def _wanted(value: onnx.ValueInfoProto) -> list[str]:
    """Return an input's shape as it is to be declared, words where a number is missing."""
    if not _has_rank(value):
        return ["..."]
    names = [dim.dim_param for dim in value.type.tensor_type.shape.dim]
    sizes = zip(_with_batch(value), names, strict=True)
    return [(name or "?") if d is None else str(d) for d, name in sizes]
