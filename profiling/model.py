"""ONNX file -> checked ModelProto with static input shapes."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import checker
from onnxruntime.tools.onnx_model_utils import fix_output_shapes, make_input_shape_fixed

from profiling.errors import ModelError
from profiling.weights import LargeWeight, check_model, is_large, light, read_model


def load_model(path: Path, input_shapes: Mapping[str, tuple[int, ...]]) -> onnx.ModelProto:
    """Return the checked model of a file with every input shape static.

    A symbolic first dimension is the batch and becomes 1; any other must be given.

    Parameters
    ----------
    path
        An ONNX file.
    input_shapes
        Input name -> whole shape, for inputs with dynamic dimensions.

    Raises
    ------
    ModelError
        If the file is missing, is no valid ONNX model, or keeps a dynamic dimension.
    """
    model = _read(path)
    inputs = {value.name: value for value in graph_inputs(model)}
    for name in input_shapes:
        if name not in inputs:
            raise ModelError(f"input_shapes.{name}: {path} has no such input; it has {', '.join(inputs)}")
    for name, value in inputs.items():
        shape = input_shapes.get(name) or _static_shape(path, value)
        try:
            make_input_shape_fixed(model.graph, name, list(shape))
        except ValueError as exc:
            raise ModelError(f"input_shapes.{name}: {list(shape)} does not fit {path}: {exc}") from exc
    del model.graph.value_info[:]  # sizes recorded for another batch would contradict the new shapes
    fixed = light(model)
    fix_output_shapes(fixed)
    del model.graph.output[:]
    model.graph.output.extend(fixed.graph.output)
    name_nodes(model.graph)
    return model


def model_hash(model: onnx.ModelProto) -> str:
    """Return the SHA-256 of a model's serialized form, large weights by their content."""
    known = onnx.ModelProto()
    known.CopyFrom(model)
    for tensor in known.graph.initializer:
        if is_large(tensor):
            content = LargeWeight.of(tensor).checksum
            del tensor.external_data[:]
            tensor.external_data.add(key="checksum", value=content)
    return hashlib.sha256(known.SerializeToString(deterministic=True)).hexdigest()


def graph_inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """Return the inputs that a caller feeds, without initializers listed as inputs."""
    initializers = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in initializers]


def default_opset(model: onnx.ModelProto) -> int:
    """Return the version of the standard operator set that the model imports."""
    return next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 1)


def dimensions(value: onnx.ValueInfoProto) -> tuple[int | None, ...]:
    """Return a tensor's shape, with None where a dimension is not a number."""
    dims = value.type.tensor_type.shape.dim
    return tuple(d.dim_value if d.HasField("dim_value") and d.dim_value > 0 else None for d in dims)


def name_nodes(graph: onnx.GraphProto) -> None:
    """Give every node a unique name that is not empty, in place; the runtime refuses repeated ones."""
    taken = {node.name for node in graph.node if node.name}
    seen: set[str] = set()
    for index, node in enumerate(graph.node):
        if not node.name or node.name in seen:
            name = f"{node.name or node.op_type}_{index}"
            while name in taken:
                name += "_"
            node.name = name
            taken.add(name)
        seen.add(node.name)


def _read(path: Path) -> onnx.ModelProto:
    if not path.is_file():
        raise ModelError(
            f"model: {path} does not exist" if not path.exists() else f"model: {path} is not a file"
        )
    try:
        model = read_model(path)
    except (DecodeError, OSError, ValueError) as exc:
        raise ModelError(f"model: {path} is not an ONNX file ({exc})") from exc
    if not model.graph.node or not model.graph.output:
        raise ModelError(f"model: {path} is not an ONNX model: its graph is empty")
    try:
        check_model(model)
    except (checker.ValidationError, UnicodeDecodeError) as exc:  # the latter of names that are no text
        line = str(exc).strip().splitlines()[0]
        raise ModelError(f"model: {path} is not valid ONNX: {line}") from exc
    return model


def _static_shape(path: Path, value: onnx.ValueInfoProto) -> tuple[int, ...]:
    if not value.type.HasField("tensor_type"):
        raise ModelError(f"{path}: input {value.name!r} is not a tensor, which is not supported")
    shape = dimensions(value)
    fixed = tuple(1 if axis == 0 and d is None else d for axis, d in enumerate(shape))
    if None in fixed:
        shown = ", ".join("?" if d is None else str(d) for d in shape)
        raise ModelError(
            f"{path}: input {value.name!r} has dynamic shape [{shown}]; "
            f"declare it as input_shapes: {{{value.name}: [...]}} in the scenario, "
            f"or with --shape {value.name}=... for plan inspect"
        )
    return tuple(d for d in fixed if d is not None)
