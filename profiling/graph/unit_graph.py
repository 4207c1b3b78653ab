"""ModelProto -> frozen networkx DAG of units: what is decided together, and the tensors between."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx
from onnx import TensorProto, helper

from profiling.errors import ModelError
from profiling.graph.any_model import Tensor
from profiling.graph.fusion_groups import group_nodes
from profiling.graph.nhwc_layout import MAXPOOL_OBSTACLE, LayoutContext, maxpool_coupling
from profiling.graph.operator_graph import OperatorGraph, Unit, connected
from profiling.graph.quantizability import computes_on_integers, ill_conditioned_tensors, why_not_quantizable
from profiling.onnx_io.element_types import NUMPY_TYPES
from profiling.onnx_io.input_shapes import dimensions
from profiling.onnx_io.load_model import MIN_OPSET, default_opset, graph_inputs, model_hash
from profiling.onnx_io.subgraphs import all_initializers, all_inputs
from profiling.precision import OFFERED, STATIC, Precision
from profiling.quantization.node_form import unit_bytes, unit_obstacle
from profiling.quantization.node_forms import FORMS
from profiling.quantization.qdq_model import PASSING, SWITCHES
from profiling.quantization.qlinear_operators import operator_obstacle

# Precisions that other runtimes have.
_OF_OTHERS = dict.fromkeys(set(Precision) - {Precision.FP32, *OFFERED}, "is of another runtime")
_INT8_BYTES, _INT32_BYTES, _SCALE_BYTES = 1, 4, 4  # scales are float32


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelGraph(OperatorGraph):
    """A prepared ONNX model and its units; its nodes are reordered so that each unit's stand together."""

    model: onnx.ModelProto

    @property
    def model_sha256(self) -> str:
        """SHA-256 of the model's serialized form, large weights by their content."""
        return model_hash(self.model)

    @property
    def fp32_model(self) -> onnx.ModelProto:
        """The prepared model."""
        return self.model

    @property
    def quantizable_nodes(self) -> tuple[str, ...]:
        """The nodes of all units that can be in int8, in topological order."""
        return tuple(node for unit in self.units if unit.can_be(Precision.INT8) for node in unit.nodes)

    @property
    def guarded_nodes(self) -> tuple[str, ...]:
        """The nodes of all units that must stay in float whatever lies around them."""
        return tuple(node for unit in self.units if unit.guarded for node in unit.nodes)


def build_graph(model: onnx.ModelProto) -> ModelGraph:
    """Group a prepared model's nodes into units and connect them.

    Parameters
    ----------
    model
        From `prepare_model`.

    Raises
    ------
    ModelError
        If a tensor between units has a type that NumPy lacks, so that it cannot be handed over.
    """
    groups = group_nodes(model)
    ordered = onnx.ModelProto()
    ordered.CopyFrom(model)
    del ordered.graph.node[:]
    ordered.graph.node.extend(node for group in groups for node in group)
    tensors = _tensors(ordered)
    initializers = {init.name: init for init in ordered.graph.initializer}
    source = _Source(
        initializers=initializers,
        elem_types={name: tensor.elem_type for name, tensor in tensors.items()},
        readers=_readers(ordered, groups),
        ill_conditioned=ill_conditioned_tensors(ordered.graph.node, initializers),
    )
    units = tuple(_unit(index, group, source) for index, group in enumerate(groups))
    old = _old_opset(model)
    units = tuple(replace(unit, obstacle=unit.obstacle or old) for unit in units)
    graph = ModelGraph(
        model=ordered,
        units=units,
        tensors=tensors,
        inputs=tuple(value.name for value in graph_inputs(ordered)),
        outputs=tuple(value.name for value in ordered.graph.output),
        dag=connected(units, tensors),
    )
    return _with_layout(graph, units)


def with_refusals(graph: ModelGraph, reasons: Mapping[Precision, Mapping[str, str]]) -> ModelGraph:
    """Return a graph in which units, by name, lack precisions.

    One that lacks int8 or int16 has no static precision, and stays in float whatever lies around it.

    Parameters
    ----------
    reasons
        Precision -> unit -> why.
    """
    if not any(reasons.values()):
        return graph
    return _with_layout(graph, [_without(unit, reasons) for unit in graph.units])


def _without(unit: Unit, reasons: Mapping[Precision, Mapping[str, str]]) -> Unit:
    found = {precision: refused[unit.name] for precision, refused in reasons.items() if unit.name in refused}
    # That no operator on integers does what a unit does says nothing of its numbers.
    static = next((why for one, why in found.items() if one.is_static and one.numbers is one), "")
    if static:
        found |= dict.fromkeys(STATIC, static)
        unit = replace(unit, kernel_forced=False, guarded=True)
    return _settled(replace(unit, refused={**unit.refused, **found}))


def _settled(unit: Unit) -> Unit:
    """Return a unit that has an obstacle if there is no precision that it can have."""
    if unit.obstacle or not unit.refused.keys() >= set(OFFERED):
        return unit
    return replace(unit, obstacle=unit.refused[Precision.INT8], refused={})


def _with_layout(graph: ModelGraph, units: Sequence[Unit]) -> ModelGraph:
    """Return the graph with units; those know their surroundings whose int8 kernels depend on them."""
    contexts = [
        LayoutContext(
            u.op_types,
            u.takes_integers,
            (not set(graph.inputs).isdisjoint(u.inputs), not set(graph.outputs).isdisjoint(u.outputs)),
        )
        for u in units
    ]
    in_context = list(units)
    for index, coupled in maxpool_coupling(contexts, graph.dag).items():
        obstacle = "" if coupled else MAXPOOL_OBSTACLE
        in_context[index] = replace(units[index], coupled_with=coupled, obstacle=obstacle)
    return graph.with_units(in_context)


def _old_opset(model: onnx.ModelProto) -> str:
    opset = default_opset(model)
    if opset >= MIN_OPSET:
        return ""
    return f"opset {opset} could not be converted with the same numbers, and knows no scales per channel"


def _tensors(model: onnx.ModelProto) -> dict[str, Tensor]:
    values = (*model.graph.input, *model.graph.value_info, *model.graph.output)
    return {
        value.name: Tensor(
            value.name,
            tuple(d or 0 for d in dimensions(value)),
            value.type.tensor_type.elem_type,
        )
        for value in values
    }


def _readers(model: onnx.ModelProto, groups: list[list[onnx.NodeProto]]) -> dict[str, set[int]]:
    """Return tensor -> groups that read it; the caller of the model is group -1."""
    read: dict[str, set[int]] = {output.name: {-1} for output in model.graph.output}
    for index, group in enumerate(groups):
        for node in group:
            for name in all_inputs(node):
                read.setdefault(name, set()).add(index)
    return read


@dataclass(frozen=True, slots=True)
class _Source:
    """What a unit needs to know of the whole model.

    Parameters
    ----------
    readers
        Tensor -> groups that read it, -1 for the caller.
    """

    initializers: Mapping[str, TensorProto]
    elem_types: Mapping[str, int]
    readers: Mapping[str, set[int]]
    ill_conditioned: Collection[str]


def _unit(index: int, group: list[onnx.NodeProto], source: _Source) -> Unit:
    initializers = source.initializers
    written = [name for node in group for name in node.output if name]
    names = dict.fromkeys(name for node in group for name in all_inputs(node))
    weights = [initializers[name] for name in names if name in initializers]
    weights += [weight for node in group for weight in all_initializers(node)]
    op_types = tuple(node.op_type for node in group)
    inputs = tuple(n for n in names if n not in initializers and n not in written)
    # What its own nodes read only never leaves it.
    outputs = tuple(n for n in written if source.readers.get(n, set()) - {index})
    for name in (*inputs, *outputs):
        if source.elem_types[name] not in NUMPY_TYPES:
            dtype = TensorProto.DataType.Name(source.elem_types[name]).lower()
            raise ModelError(f"tensor {name!r} ({op_types[-1]}) is of type {dtype}, which is not supported")
    # A unit of a quantized model has the name of what computes, not of the DequantizeLinear before it.
    computing = [node for node in group if node.op_type not in SWITCHES] or group
    float_bytes = {w.name: _float_bytes(w) for w in weights}
    obstacle = why_not_quantizable(group, initializers, source.elem_types, source.ill_conditioned)
    refused = {precision: unit_obstacle(form, group, initializers) for precision, form in FORMS.items()}
    refused |= dict.fromkeys(STATIC, obstacle) | _OF_OTHERS
    without_operator = next(filter(None, map(operator_obstacle, op_types)), "")
    refused[Precision.INT8_QOPERATOR] = obstacle or without_operator
    unit = Unit(
        index=index,
        name=computing[0].name,
        nodes=tuple(node.name for node in group),
        op_types=op_types,
        inputs=inputs,
        outputs=outputs,
        weight_bytes=sum(_elements(w) * _itemsize(w) for w in weights),
        weight_bytes_int8=sum(_int8_bytes(w) for w in weights),
        # Biases stay in float beside activations of 16 bits.
        weight_bytes_int16=sum(_int8_bytes(w) if len(w.dims) > 1 else _float_bytes(w) for w in weights),
        obstacle="",
        quantized=computes_on_integers(group, initializers),
        scale_preserving=all(op in PASSING for op in op_types),
        # Float weights would keep it in float; what only passes numbers on has no scales of its own.
        kernel_forced=not any(weight.data_type == TensorProto.FLOAT for weight in weights)
        and not any(op in PASSING for op in op_types),
        refused={precision: why for precision, why in refused.items() if why},
        other_weight_bytes={
            precision: sum((float_bytes | unit_bytes(form, group, initializers)).values())
            for precision, form in FORMS.items()
            if not refused[precision]
        },
    )
    return _settled(unit)


def _int8_bytes(weight: TensorProto) -> int:
    """Bytes of an initializer in an int8 unit, its scales and zero points per channel included.

    Matrices become int8, vectors (biases) int32, others stay.
    """
    if weight.data_type != TensorProto.FLOAT or not weight.dims:
        return _float_bytes(weight)
    if len(weight.dims) == 1:
        return _elements(weight) * (_INT32_BYTES + _SCALE_BYTES + _INT32_BYTES)
    channels = weight.dims[0] if len(weight.dims) > 2 else max(weight.dims)  # noqa: PLR2004  Conv, else Gemm
    return _elements(weight) * _INT8_BYTES + int(channels) * (_SCALE_BYTES + _INT8_BYTES)


def _float_bytes(weight: TensorProto) -> int:
    return _elements(weight) * _itemsize(weight)


def _elements(weight: TensorProto) -> int:
    return int(np.prod(weight.dims, dtype=np.int64))


def _itemsize(weight: TensorProto) -> int:
    return int(helper.tensor_dtype_to_np_dtype(weight.data_type).itemsize)
