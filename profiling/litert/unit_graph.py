"""A model's operators to units: what is decided together, and the tensors between."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from itertools import pairwise

import networkx as nx
import numpy as np

from profiling.errors import ModelError
from profiling.graph.any_model import Stage, Tensor
from profiling.graph.operator_graph import OperatorGraph, Unit, connected
from profiling.litert.cut import whole_stage
from profiling.litert.inseparable import inseparable, is_stateful
from profiling.litert.load import LitertModel
from profiling.litert.modes import FP32, MODES, Mode
from profiling.litert.table_access import (
    is_custom,
    listed,
    needs_flex,
    shape_of,
    subgraph_fields,
    tensors_of,
)
from profiling.precision import Precision

READING_ON_OUTPUT_SCALE = frozenset(
    {"CONCATENATION", "DYNAMIC_UPDATE_SLICE", "MAXIMUM", "PACK", "PADV2", "SELECT", "SELECT_V2"}
)
"""All that they read in integers is brought to the scale of what they write first."""
# They pass numbers through: their integers stay as they are, on the scale that they were read on.
_SCALE_PRESERVING = frozenset(
    {"BROADCAST_TO", "EXPAND_DIMS", "GATHER", "GATHER_ND", "MAX_POOL_2D", "MIRROR_PAD", "PAD", "REDUCE_MIN"}
    | {"RESHAPE", "RESIZE_NEAREST_NEIGHBOR", "SLICE", "SPACE_TO_DEPTH", "SPLIT", "SQUEEZE", "STRIDED_SLICE"}
    | {"TRANSPOSE", "UNPACK"}
    | READING_ON_OUTPUT_SCALE
)
_UNPACKING = frozenset({"DEQUANTIZE", "DENSIFY"})  # of weights, before an operator that computes in float
_CONVERSIONS = frozenset({"DEQUANTIZE", "QUANTIZE"})
_ZERO_POINT_BYTES, _SCALE_BYTES, _INT32_BYTES, _INT64_BYTES = 8, 4, 4, 8
_INTEGERS = frozenset({"int8", "uint8", "int16"})


@dataclass(frozen=True, slots=True)
class TensorQuantization:
    """How integers of a tensor stand for numbers: scale times integer less zero point.

    Parameters
    ----------
    scales, zero_points
        One for the tensor, or one for each index along `axis`.
    """

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int


@dataclass(frozen=True, eq=False, kw_only=True)
class LitertGraph(OperatorGraph):
    """A `.tflite` model and its units; the same records of units and tensors as an ONNX model's.

    Parameters
    ----------
    operators
        The operators of each unit, by number, in running order.
    shared
        Operators that unpack weights: they belong to no unit, every stage that needs one has its own.
    quantization
        Of those tensors between units that are quantized.
    """

    model: LitertModel
    operators: tuple[tuple[int, ...], ...]
    shared: frozenset[int]
    quantization: Mapping[str, TensorQuantization]

    @cached_property
    def fp32_model(self) -> Stage:
        """The whole model as it came."""
        return whole_stage(self.model)

    @cached_property
    def model_sha256(self) -> str:
        """SHA-256 of the whole model's file."""
        return sha256(self.fp32_model.content).hexdigest()

    @cached_property
    def unit_of(self) -> dict[int, int]:
        """Number of an operator -> its unit."""
        return {number: unit for unit, numbers in enumerate(self.operators) for number in numbers}

    def operators_of(self, units: Sequence[int]) -> tuple[int, ...]:
        """Return the operators of some units, in running order."""
        return tuple(sorted(number for unit in units for number in self.operators[unit]))


def build_litert_graph(model: LitertModel) -> LitertGraph:
    """Group a model's operators into units, one each unless they cannot be parted, and connect them.

    Raises
    ------
    ModelError
        If an output of the model cannot be handed over as an array.
    """
    _check_ends(model)
    shared = _unpacking(model)
    groups = _groups(model, shared)
    weights = _weight_tensors(model, groups, shared)
    source = _source(model, groups, shared)
    units = tuple(_unit(source, index, group, weights[index]) for index, group in enumerate(groups))
    numbers = {name: tensor for tensor, name in enumerate(model.names)}
    between = [name for unit in units for name in (*unit.inputs, *unit.outputs)]
    ends = [model.names[tensor] for tensor in (*model.inputs.values(), *model.outputs.values())]
    tensors = {name: _tensor(model, numbers[name]) for name in dict.fromkeys((*between, *ends))}
    return LitertGraph(
        model=model,
        units=units,
        operators=tuple(groups),
        shared=shared,
        tensors=tensors,
        quantization={
            name: found
            for name in tensors
            if (found := tensor_quantization(model, numbers[name])) is not None
        },
        inputs=tuple(model.names[tensor] for tensor in model.inputs.values()),
        outputs=tuple(dict.fromkeys(model.names[tensor] for tensor in model.outputs.values())),
        dag=connected(units, tensors),
    )


def tensor_quantization(model: LitertModel, tensor: int) -> TensorQuantization | None:
    """Return how a tensor is quantized, None if it is not."""
    found = model.graph.tensors[tensor].quantization
    scales = listed(found.scale) if found is not None else ()
    if not len(scales):
        return None
    zero_points = tuple(int(zero) for zero in listed(found.zeroPoint)) or (0,)
    return TensorQuantization(tuple(float(scale) for scale in scales), zero_points, found.quantizedDimension)


def _check_ends(model: LitertModel) -> None:
    for kind, ends in (("input", model.inputs), ("output", model.outputs)):
        for key, tensor in ends.items():
            element = model.element_type(tensor)
            if not element.can_be_handed_over:
                raise ModelError(
                    f"{model.shown}: the {kind} {key!r} is of type {element.name}, not supported"
                )


def _unpacking(model: LitertModel) -> frozenset[int]:
    """Return operators that only unpack weights for others."""
    unpacked: dict[int, list[int]] = {}
    for number, operator in enumerate(model.operators):
        inputs = tensors_of(operator.inputs)
        if model.op_types[number] in _UNPACKING and all(
            model.is_constant(tensor) or model.writers.get(tensor) in unpacked for tensor in inputs
        ):
            unpacked[number] = tensors_of(operator.outputs)
    read = {tensor for operator in model.operators for tensor in tensors_of(operator.inputs)}
    # What nobody reads would be in no stage.
    return frozenset(
        number
        for number, written in unpacked.items()
        if read.issuperset(written) and not set(written).intersection(model.outputs.values())
    )


def _groups(model: LitertModel, shared: frozenset[int]) -> list[tuple[int, ...]]:
    """Return operators in groups that stages must not part, in an order in which they can run."""
    order = nx.DiGraph()
    order.add_nodes_from(number for number in range(len(model.operators)) if number not in shared)
    for number in order:
        for tensor in model.reads[number]:
            writer = model.writers.get(tensor)
            if writer is not None and writer not in shared:
                order.add_edge(writer, number)
    for tied in inseparable(model, shared):
        for one, other in pairwise(tied):  # a way there and back makes them one component
            order.add_edge(one, other)
            order.add_edge(other, one)
    condensed = nx.condensation(order)
    first = {node: min(members) for node, members in condensed.nodes(data="members")}
    sequence = nx.lexicographical_topological_sort(condensed, key=first.__getitem__)
    return [tuple(sorted(condensed.nodes[node]["members"])) for node in sequence]


def _weight_tensors(
    model: LitertModel, groups: Sequence[Sequence[int]], shared: frozenset[int]
) -> list[list[int]]:
    """Return the constants of each group; what is unpacked once counts for its first reader."""
    counted = set[int]()
    found = []
    for group in groups:
        weights: dict[int, int] = {}  # by buffer: tensors may share one
        pending = list(group)
        while pending:
            for tensor in model.reads[pending.pop()]:
                writer = model.writers.get(tensor)
                if writer in shared and writer not in counted:
                    counted.add(writer)
                    pending.append(writer)
                elif model.data(tensor) is not None:
                    weights.setdefault(model.graph.tensors[tensor].buffer, tensor)
        found.append(list(weights.values()))
    return found


@dataclass(frozen=True, slots=True)
class _Source:
    """What a unit needs to know of the whole model.

    Parameters
    ----------
    handed_over
        Tensors that are fed, or written by a unit.
    readers
        Tensor -> operators that read it, -1 for the caller.
    """

    model: LitertModel
    handed_over: frozenset[int]
    shared: frozenset[int]
    readers: Mapping[int, set[int]]


def _source(model: LitertModel, groups: Sequence[Sequence[int]], shared: frozenset[int]) -> _Source:
    written = [t for group in groups for number in group for t in model.writes[number]]
    return _Source(model, frozenset((*model.inputs.values(), *written)), shared, _readers(model))


def _unit(source: _Source, index: int, group: Sequence[int], weights: Sequence[int]) -> Unit:
    model = source.model
    written = [t for number in group for t in model.writes[number]]
    read = dict.fromkeys(t for number in group for t in model.reads[number])
    inputs = [t for t in read if t not in written and t in source.handed_over]
    outputs = [t for t in written if source.readers.get(t, set()) - set(group)]
    op_types = tuple(model.op_types[number] for number in group)
    computed = [t for t in (*inputs, *outputs) if model.element_type(t).name in _INTEGERS]
    return Unit(
        index=index,
        name=model.op_names[group[0]],
        nodes=tuple(model.op_names[number] for number in group),
        op_types=op_types,
        inputs=tuple(model.names[tensor] for tensor in inputs),
        outputs=tuple(model.names[tensor] for tensor in outputs),
        weight_bytes=sum(_stored_bytes(model, tensor) for tensor in weights),
        weight_bytes_int8=sum(_int8_bytes(model, tensor, _INT32_BYTES) for tensor in weights),
        weight_bytes_int16=sum(_int8_bytes(model, tensor, _INT64_BYTES) for tensor in weights),
        obstacle=_obstacle(source, group),
        quantized=bool(computed) and all(tensor_quantization(model, t) is not None for t in computed),
        scale_preserving=_SCALE_PRESERVING.issuperset(op_types),
        kernel_forced=False,
        other_weight_bytes={
            Precision(mode.name): sum(_bytes_in(model, tensor, mode) for tensor in weights)
            for mode in MODES
            if not mode.is_static and mode is not FP32
        },
    )


def _obstacle(source: _Source, group: Sequence[int]) -> str:
    """Return why no mode but float can be asked for; what the quantizer leaves out is found by asking it."""
    return next(filter(None, (_operator_obstacle(source, number) for number in group)), "")


def _operator_obstacle(source: _Source, number: int) -> str:
    model, kind = source.model, source.model.op_types[number]
    operator = model.operators[number]
    if needs_flex(kind):
        return f"{kind} is TensorFlow's own: it runs with the Flex delegate only"
    if is_custom(model.tables.operatorCodes[operator.opcodeIndex]):
        return f"{kind} is a custom operator"
    if any(True for _ in subgraph_fields(operator)):
        return f"{kind} runs a nested graph"
    if is_stateful(model, number) or any(model.is_variable(t) for t in tensors_of(operator.inputs)):
        return f"{kind} keeps a state between requests"
    return _tensor_obstacle(source, number)


def _tensor_obstacle(source: _Source, number: int) -> str:
    model = source.model
    operator = model.operators[number]
    tensors = (*tensors_of(operator.inputs), *tensors_of(operator.outputs))
    if varying := model.varying.intersection(tensors):
        return f"{model.names[min(varying)]!r} changes its shape from sample to sample"
    if model.op_types[number] in _CONVERSIONS or any(_is_integer(model, tensor) for tensor in tensors):
        return "is quantized already"
    if any(model.writers.get(tensor) in source.shared for tensor in tensors):
        return "its weights are stored in fewer bits already, and unpacked in each run"
    return ""


def _is_integer(model: LitertModel, tensor: int) -> bool:
    is_integer = model.element_type(tensor).name in (*_INTEGERS, "int4", "int2")
    return is_integer and tensor_quantization(model, tensor) is not None


def _readers(model: LitertModel) -> dict[int, set[int]]:
    """Return tensor -> operators that read it; the caller of the model is operator -1."""
    readers: dict[int, set[int]] = defaultdict(set)
    for number, operator in enumerate(model.operators):
        for tensor in tensors_of(operator.inputs):
            readers[tensor].add(number)
    for tensor in model.outputs.values():
        readers[tensor].add(-1)
    return readers


def _tensor(model: LitertModel, tensor: int) -> Tensor:
    return Tensor(model.names[tensor], model.shape(tensor), model.element_type(tensor).onnx)


def _stored_bytes(model: LitertModel, tensor: int) -> int:
    data = model.data(tensor)
    return 0 if data is None else int(data.nbytes)


def _int8_bytes(model: LitertModel, tensor: int, bias_bytes: int) -> int:
    """Bytes of a weight in an int8 unit: matrices with scales and zero points per channel, biases wider."""
    shape = shape_of(model.graph.tensors[tensor])
    if model.element_type(tensor).name not in ("float32", "float16"):
        return _stored_bytes(model, tensor)
    elements = int(np.prod(shape, dtype=np.int64))
    per_channel = _SCALE_BYTES + _ZERO_POINT_BYTES
    if len(shape) < 2:  # noqa: PLR2004  no matrix
        return elements * (bias_bytes + per_channel)
    return elements + max(shape[0], shape[-1]) * per_channel


def _bytes_in(model: LitertModel, tensor: int, mode: Mode) -> int:
    """Bytes of a weight where activations stay in float: matrices in fewer bits, scales per channel."""
    shape = shape_of(model.graph.tensors[tensor])
    if len(shape) < 2 or model.element_type(tensor).name != "float32":  # noqa: PLR2004  no matrix
        return _stored_bytes(model, tensor)
    scales = 0 if mode.weight_type.startswith("float") else max(shape[0], shape[-1])
    elements = int(np.prod(shape, dtype=np.int64))
    return -(-elements * mode.weight_bits // 8) + scales * (_SCALE_BYTES + _ZERO_POINT_BYTES)
