"""ONNX file -> ModelProto that can be planned: static shapes, folded constants, unique node names."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, checker, shape_inference, version_converter
from onnxruntime.tools.onnx_model_utils import fix_output_shapes, make_input_shape_fixed

from profiling.errors import ModelError
from profiling.quantize import preprocess
from profiling.session import Runtime, open_session

_MIN_OPSET = 13  # below it QuantizeLinear has no axis, so weights cannot be quantized per channel
_TARGET_OPSET = 17


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
    fix_output_shapes(model)
    return model


def prepare_model(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy that is ready to be grouped, quantized and split.

    After: constants are folded, batch norm is folded, every node has a unique non-empty name and its
    own weights, every tensor has a static shape in `value_info`, and only used operator sets are
    imported. Graph inputs and outputs keep their names and types.

    Raises
    ------
    ModelError
        If shapes stay unknown, or the runtime does not know an operator.
    """
    opset = default_opset(model)
    if opset < _MIN_OPSET:
        try:
            model = version_converter.convert_version(model, _TARGET_OPSET)
        except RuntimeError as exc:
            raise ModelError(f"opset {opset} cannot be converted to {_TARGET_OPSET}: {exc}") from exc
    prepared = preprocess(model)
    _drop_unused_opsets(prepared)
    _name_nodes(prepared.graph)
    _drop_constant_inputs(prepared.graph)
    _unshare_weights(prepared.graph)
    prepared = shape_inference.infer_shapes(prepared, data_prop=True)
    _require_shapes(prepared.graph)
    open_session(prepared, Runtime())  # names an operator that the runtime lacks
    return prepared


def model_hash(model: onnx.ModelProto) -> str:
    """Return the SHA-256 of a model's serialized form."""
    return hashlib.sha256(model.SerializeToString(deterministic=True)).hexdigest()


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


def _read(path: Path) -> onnx.ModelProto:
    if not path.is_file():
        raise ModelError(
            f"model: {path} does not exist" if not path.exists() else f"model: {path} is not a file"
        )
    try:
        model = onnx.load(path)
    except (DecodeError, OSError, ValueError) as exc:
        raise ModelError(f"model: {path} is not an ONNX file ({exc})") from exc
    if not model.graph.node or not model.graph.output:
        raise ModelError(f"model: {path} is not an ONNX model: its graph is empty")
    try:
        checker.check_model(model)
    except checker.ValidationError as exc:
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
            f"declare it in the scenario as input_shapes: {{{value.name}: [...]}}"
        )
    return tuple(d for d in fixed if d is not None)


def _drop_unused_opsets(model: onnx.ModelProto) -> None:
    # quant_pre_process imports every operator set that the runtime knows.
    used = {node.domain for node in model.graph.node} | {""}
    kept = [entry for entry in model.opset_import if entry.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)


def _name_nodes(graph: onnx.GraphProto) -> None:
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


def _drop_constant_inputs(graph: onnx.GraphProto) -> None:
    # An initializer listed as input may be overridden by the caller, so the runtime cannot fold it.
    constants = {init.name for init in graph.initializer}
    kept = [value for value in graph.input if value.name not in constants]
    del graph.input[:]
    graph.input.extend(kept)


def _unshare_weights(graph: onnx.GraphProto) -> None:
    # The tool quantizes an initializer for all its readers, even those that are to stay in float.
    weights = {
        init.name: init for init in graph.initializer if init.dims and init.data_type == TensorProto.FLOAT
    }
    owner: dict[str, str] = {}
    copied: set[str] = set()
    for node in graph.node:
        for place, name in enumerate(node.input):
            if name in weights and owner.setdefault(name, node.name) != node.name:
                node.input[place] = own = f"{name}/{node.name}"
                if own not in copied:
                    copied.add(own)
                    copy = graph.initializer.add()
                    copy.CopyFrom(weights[name])
                    copy.name = own


def _require_shapes(graph: onnx.GraphProto) -> None:
    known = {v.name: v for v in (*graph.value_info, *graph.input, *graph.output)}
    for node in graph.node:
        for name in filter(None, node.output):
            value = known.get(name)
            if value is None or value.type.tensor_type.elem_type == TensorProto.UNDEFINED:
                raise ModelError(f"the shape of tensor {name!r} ({node.op_type}) cannot be inferred")
            if None in dimensions(value):
                raise ModelError(
                    f"tensor {name!r} ({node.op_type}) has a dynamic shape, which is not supported"
                )
