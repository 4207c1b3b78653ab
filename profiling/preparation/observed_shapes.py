"""Shapes and types of a model's tensors as real runs show them; inference is only a guess."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper

from profiling.arrays import Array, Feeds
from profiling.errors import ModelError
from profiling.onnx_io.unique_names import FreshNames
from profiling.runtime.session import Optimization, Runtime, open_session, run_session

# Types of which the runtime tells the shape; others (four bits, float8) stay inside one unit.
_WITH_SHAPE = frozenset(
    {
        TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16, TensorProto.BOOL,
        TensorProto.INT8, TensorProto.INT16, TensorProto.INT32, TensorProto.INT64, TensorProto.STRING,
        TensorProto.UINT8, TensorProto.UINT16, TensorProto.UINT32, TensorProto.UINT64,
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ObservedTensor:
    """A tensor that had one shape in every run.

    Parameters
    ----------
    elem_type
        ONNX element type.
    """

    elem_type: int
    shape: tuple[int, ...]


def observe_tensors(
    model: onnx.ModelProto, elem_types: Mapping[str, int], samples: Iterable[Feeds]
) -> dict[str, ObservedTensor]:
    """Return what nodes write, where it is a tensor that has one shape in every sample.

    Only shapes leave the session, so that large tensors are given up at once; a tensor whose type is not
    known comes out whole.

    Parameters
    ----------
    elem_types
        Tensor -> ONNX element type, as far as inference knows it. What is known to be no tensor is left out
        with type UNDEFINED.

    Raises
    ------
    ModelError
        If the runtime cannot load the model, or run a sample.
    """
    written = dict.fromkeys(name for node in model.graph.node for name in node.output if name)
    typed = [name for name in written if elem_types.get(name) in _WITH_SHAPE]
    untyped = [name for name in written if name not in elem_types]
    if not typed and not untyped:
        return {}
    fresh = FreshNames(model.graph)
    shapes = {name: fresh.of(f"{name}/shape") for name in typed}
    # In the model's order a tensor is given up once its shape is known. Without optimization the runtime
    # takes no shape from its own inference.
    session = open_session(
        _watched(model, shapes, untyped),
        Runtime(),
        Optimization.NONE,
        execution_order=ort.ExecutionOrder.PRIORITY_BASED,
    )
    seen: dict[str, set[ObservedTensor]] = {}
    for feeds in samples:
        for name, found in _seen(session, feeds, shapes, elem_types).items():
            seen.setdefault(name, set()).add(found)
    return {name: next(iter(kinds)) for name, kinds in seen.items() if len(kinds) == 1}


def _seen(
    session: ort.InferenceSession, feeds: Feeds, shapes: Mapping[str, str], elem_types: Mapping[str, int]
) -> dict[str, ObservedTensor]:
    try:
        values = run_session(session, feeds)
    except Exception as exc:  # the runtime's exceptions share no base class
        raise ModelError(f"ONNX Runtime cannot run the model on a sample: {_first_line(exc)}") from exc
    tensors = {
        name: ObservedTensor(elem_types[name], tuple(int(size) for size in values.pop(shape)))
        for name, shape in shapes.items()
    }
    for name, value in values.items():
        if isinstance(value, np.ndarray) and value.dtype != object:
            kind = int(helper.np_dtype_to_tensor_dtype(value.dtype))
            tensors[name] = ObservedTensor(kind, value.shape)
    return tensors


def _watched(model: onnx.ModelProto, shapes: Mapping[str, str], values: Sequence[str]) -> onnx.ModelProto:
    """Return a copy that gives the shapes of some tensors and the values of others."""
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    graph = watched.graph
    nodes = []
    fresh = FreshNames(graph)
    for node in model.graph.node:
        nodes.append(node)
        nodes += [
            helper.make_node("Shape", [name], [shapes[name]], fresh.of(f"{shapes[name]}/node"))
            for name in node.output
            if name in shapes
        ]
    del graph.node[:], graph.output[:], graph.value_info[:]
    graph.node.extend(nodes)
    outputs = [helper.make_tensor_value_info(name, TensorProto.INT64, None) for name in shapes.values()]
    graph.output.extend(outputs + [onnx.ValueInfoProto(name=name) for name in values])
    return watched


def default_feeds(model: onnx.ModelProto) -> list[list[dict[str, Array]]]:
    """Return made-up samples for a model whose real ones are not at hand: noise, zeros and ones.

    Whole numbers, which may be sizes and axes, are the same within each list.
    """
    rng = np.random.default_rng(0)
    columns = {value.name: _made_up(value, rng) for value in model.graph.input}
    whole = {name for name, rows in columns.items() if not np.issubdtype(rows[0].dtype, np.floating)}
    return [
        [{name: rows[fixed if name in whole else i] for name, rows in columns.items()} for i in range(3)]
        for fixed in range(3)
    ]


def _made_up(value: onnx.ValueInfoProto, rng: np.random.Generator) -> list[Array]:
    tensor = value.type.tensor_type
    dtype = helper.tensor_dtype_to_np_dtype(tensor.elem_type)
    shape = [dim.dim_value for dim in tensor.shape.dim]
    whole = not np.issubdtype(dtype, np.floating)
    noise = rng.integers(0, 2, size=shape) if whole else rng.normal(size=shape)
    return [np.asarray(noise).astype(dtype), np.zeros(shape, dtype), np.ones(shape, dtype)]


def _first_line(exc: Exception) -> str:
    return next(iter(str(exc).strip().splitlines()), type(exc).__name__)
