"""Shapes and types of a model's tensors as real runs show them; inference is only a guess."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper

from profiling.arrays import Feeds
from profiling.errors import ModelError
from profiling.on_device.create_session import Optimization
from profiling.onnx_io.element_types import NUMPY_TYPES
from profiling.onnx_io.unique_names import FreshNames
from profiling.printable_text import first_line
from profiling.runtime.open_session import Runtime, open_session, run_session

# Types that the runtime's Shape takes; others (four bits, float8) stay inside one unit.
_WITH_SHAPE = NUMPY_TYPES | {TensorProto.BFLOAT16, TensorProto.STRING}


@dataclass(frozen=True, slots=True)
class ObservedTensor:
    """A tensor that had one shape in every run.

    Parameters
    ----------
    elem_type
        ONNX element type (a number of TensorProto.DataType).
    """

    elem_type: int
    shape: tuple[int, ...]


def observe_tensors(
    model: onnx.ModelProto, elem_types: Mapping[str, int], samples: Iterable[Feeds]
) -> dict[str, ObservedTensor]:
    """Return the tensors that nodes write, by name, as far as each has one shape in every sample.

    Sequences and the like are left out. Only shapes leave the session, so that large tensors are given up at
    once; a tensor whose type is not known comes out whole.

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
    observed: dict[str, set[ObservedTensor]] = {}
    for feeds in samples:
        for name, tensor in _observe(session, feeds, shapes, elem_types).items():
            observed.setdefault(name, set()).add(tensor)
    return {name: next(iter(tensors)) for name, tensors in observed.items() if len(tensors) == 1}


def _observe(
    session: ort.InferenceSession, feeds: Feeds, shapes: Mapping[str, str], elem_types: Mapping[str, int]
) -> dict[str, ObservedTensor]:
    try:
        values = run_session(session, feeds)
    except Exception as exc:  # the runtime's exceptions share no base class
        raise ModelError(f"ONNX Runtime cannot run the model on a sample: {first_line(exc)}") from exc
    tensors = {
        name: ObservedTensor(elem_types[name], tuple(int(size) for size in values.pop(shape)))
        for name, shape in shapes.items()
    }
    for name, value in values.items():
        if isinstance(value, np.ndarray) and value.dtype != object:
            elem_type = int(helper.np_dtype_to_tensor_dtype(value.dtype))
            tensors[name] = ObservedTensor(elem_type, value.shape)
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
    # Recorded shapes may be wrong, and a session refuses a model whose records contradict one another.
    del graph.node[:], graph.output[:], graph.value_info[:]
    graph.node.extend(nodes)
    outputs = [helper.make_tensor_value_info(name, TensorProto.INT64, None) for name in shapes.values()]
    graph.output.extend(outputs + [onnx.ValueInfoProto(name=name) for name in values])
    return watched
