"""What carries a tensor between stages of different runtimes, and what an ONNX stage does for it.

A tensor crosses as LiteRT has it: channels last, and integers, if it has some, with LiteRT's scale. The ONNX
stage that gives or takes it transposes it and brings it to its own scale, which is the same up to rounding.
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any, TypeVar

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from profiling.arrays import Array
from profiling.on_device.robust_statistics import MOST_ROUNDS
from profiling.on_device.timing.interleaved_rounds import time_interleaved
from profiling.onnx_io.unique_names import rename_tensors
from profiling.runtime.open_session import Runtime, open_session

_OPSET, _IR_VERSION = 17, 8
_GIVE, _TAKE = "give", "take"
_Key = TypeVar("_Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Affine:
    """How integers stand for numbers: scale times integer less zero point."""

    scale: float
    zero_point: int
    elem_type: int


@dataclass(frozen=True, slots=True)
class End:
    """An input or output of a stage.

    Parameters
    ----------
    affine
        Of its integers; None for floats and whatever else is as it is.
    """

    name: str
    shape: tuple[int, ...]
    elem_type: int
    affine: Affine | None = None

    @property
    def value(self) -> onnx.ValueInfoProto:
        """The same, as an ONNX model has it."""
        return helper.make_tensor_value_info(self.name, self.elem_type, self.shape)


@dataclass(frozen=True, slots=True)
class Adapter:
    """Makes of a stage's own tensor what crosses, or the other way round.

    Parameters
    ----------
    own, crossing
        The tensor in the stage, and as it crosses.
    axes
        The own one's axes in the crossing one's order.
    """

    own: End
    crossing: End
    axes: tuple[int, ...]

    def giving(self) -> tuple[list[onnx.NodeProto], list[TensorProto]]:
        """Return nodes and constants that make what crosses."""
        return _adapting(self.own, self.crossing, self.axes)

    def taking(self) -> tuple[list[onnx.NodeProto], list[TensorProto]]:
        """Return nodes and constants that make the own tensor of what crosses."""
        back = tuple(int(axis) for axis in np.argsort(self.axes))
        return _adapting(self.crossing, self.own, back)


def _adapting(
    source: End, target: End, axes: Sequence[int]
) -> tuple[list[onnx.NodeProto], list[TensorProto]]:
    nodes: list[onnx.NodeProto] = []
    constants: list[TensorProto] = []
    name, prefix = source.name, f"{target.name}/from/{source.name}"

    def add(op_type: str, *inputs: str, **attributes: Any) -> None:
        nonlocal name
        output = f"{prefix}/{op_type}"
        nodes.append(helper.make_node(op_type, [name, *inputs], [output], name=output, **attributes))
        name = output

    if source.affine != target.affine:
        for op_type, affine in (("DequantizeLinear", source.affine), ("QuantizeLinear", target.affine)):
            if affine is not None:
                made = list(_constants(f"{prefix}/{op_type}", affine))
                constants += made
                add(op_type, *(one.name for one in made))
    if tuple(axes) != tuple(range(len(axes))):
        add("Transpose", perm=list(axes))
    if not nodes:
        add("Identity")
    nodes[-1].output[0] = target.name
    return nodes, constants


def _constants(prefix: str, affine: Affine) -> Iterator[TensorProto]:
    dtype = helper.tensor_dtype_to_np_dtype(affine.elem_type)
    yield numpy_helper.from_array(np.asarray(affine.scale, np.float32), f"{prefix}/scale")
    yield numpy_helper.from_array(np.asarray(affine.zero_point, dtype), f"{prefix}/zero_point")


def with_adapters(
    stage: onnx.ModelProto, taking: Sequence[Adapter], giving: Sequence[Adapter], kept: Sequence[str]
) -> onnx.ModelProto:
    """Return a stage that takes and gives tensors as they cross.

    Parameters
    ----------
    kept
        Own outputs that leave it as they are as well.
    """
    changed = onnx.ModelProto()
    changed.CopyFrom(stage)
    graph = changed.graph
    before, after, constants = [], [], []
    for adapter in taking:
        nodes, made = adapter.taking()
        before += nodes
        constants += made
    for adapter in giving:
        nodes, made = adapter.giving()
        after += nodes
        constants += made
    of_input = {adapter.own.name: adapter.crossing.value for adapter in taking}
    inputs = [of_input.get(value.name, value) for value in stage.graph.input]
    given = {adapter.own.name for adapter in giving}
    outputs = [value for value in stage.graph.output if value.name not in given or value.name in kept] + [
        adapter.crossing.value for adapter in giving
    ]
    nodes = [*before, *stage.graph.node, *after]
    for field, values in (("node", nodes), ("input", inputs), ("output", outputs)):
        del getattr(graph, field)[:]
        getattr(graph, field).extend(values)
    graph.initializer.extend(constants)
    return changed


def with_names(stage: onnx.ModelProto, names: Mapping[str, str]) -> onnx.ModelProto:
    """Return a stage some of whose tensors have other names."""
    changed = onnx.ModelProto()
    changed.CopyFrom(stage)
    graph = changed.graph
    rename_tensors(graph, names)
    for value in (*graph.input, *graph.output):
        value.name = names.get(value.name, value.name)
    return changed


def affine_of(model: onnx.ModelProto, quantized: str) -> Affine:
    """Return how a quantized tensor's integers stand for numbers: what its QuantizeLinear says."""
    node = next(node for node in model.graph.node if quantized in node.output)
    constants = {one.name: one for one in model.graph.initializer}
    scale, zero_point = (numpy_helper.to_array(constants[name]) for name in node.input[1:3])
    # Where `keep_float` was at work, the same scale stands there once per channel.
    return Affine(float(scale.flat[0]), int(zero_point.flat[0]), constants[node.input[2]].data_type)


def adapter_seconds(adapters: Mapping[_Key, Adapter], runtime: Runtime) -> dict[_Key, tuple[float, float]]:
    """Return key -> seconds to give, and to take, on this machine; runs of hardly anything are taken off."""
    calls = {}
    for key, adapter in adapters.items():
        calls[key, _GIVE] = _call(*adapter.giving(), adapter.own, adapter.crossing, runtime)
        calls[key, _TAKE] = _call(*adapter.taking(), adapter.crossing, adapter.own, runtime)
    seconds = {key: median(runs) for key, runs in time_interleaved(calls, MOST_ROUNDS, runtime.clock).items()}
    return {key: (seconds[key, _GIVE], seconds[key, _TAKE]) for key in adapters}


def _call(
    nodes: Sequence[onnx.NodeProto],
    constants: Sequence[TensorProto],
    source: End,
    target: End,
    runtime: Runtime,
) -> partial[Sequence[Array]]:
    graph = helper.make_graph(list(nodes), "adapter", [source.value], [target.value], list(constants))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)
    zeros = np.zeros(source.shape, helper.tensor_dtype_to_np_dtype(source.elem_type))
    return partial(open_session(model, runtime).run, None, {source.name: zeros})
