"""The only importer of onnxruntime.quantization: calibration and mixed-precision passes."""

import functools
import itertools
import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import networkx as nx
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.calibrate import TensorsData, save_tensors_data
from onnxruntime.quantization.quant_utils import quantize_nparray
from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry

from profiling.errors import QuantizeError
from profiling.ranges import tensor_ranges
from profiling.scopes import bodies, reads
from profiling.session import Array, Feeds
from profiling.weights import LargeWeight, extremes, is_large, light, restore, values, write_large

ACTIVATIONS = frozenset({"Relu", "Clip", "LeakyRelu", "Sigmoid"})
# The tool quantizes these only behind a quantized producer, so they never decide on their own.
REMOVABLE = frozenset({"Relu", "Clip"})
SWITCHES = frozenset({"QuantizeLinear", "DequantizeLinear"})
# They pass numbers through: their output shares its input's scale, so it adds no noise of its own.
PASSING = frozenset(
    {"MaxPool", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Slice", "Pad", "Resize", "Split"}
)
# Table look-ups, index outputs and conditions: the tool leaves some of their tensors in float.
_UNSUPPORTED = frozenset(
    {"ArgMax", "CumSum", "EmbedLayerNormalization", "Gather", "GatherElements", "TopK", "Where"}
)
QUANTIZABLE = (frozenset(QDQRegistry) | frozenset(QLinearOpsRegistry)) - _UNSUPPORTED

QUANTIZED_SUFFIX = "_QuantizeLinear_Output"
"""The tool names the quantized form of tensor T as T + this suffix."""
_QUANTIZED_WEIGHT = "_quantized"


@dataclass(frozen=True, slots=True)
class Scheme:
    """How weights and activations become integers.

    Static QDQ with min-max ranges, weights per output channel.

    Parameters
    ----------
    reduce_range
        Weights use 7 of 8 bits, for processors whose int8 kernels overflow otherwise.
    """

    name: str
    activation: QuantType = QuantType.QUInt8
    weight: QuantType = QuantType.QInt8
    reduce_range: bool = False

    @property
    def label(self) -> str:
        """A name for records: the scheme and what differs from its default."""
        return f"{self.name}-7bit-weights" if self.reduce_range else self.name


INT8 = Scheme("int8")
INT8_REDUCED = Scheme("int8", reduce_range=True)


@dataclass(frozen=True, slots=True)
class Calibration:
    """A scheme and the file with the value range of every tensor, written by `calibrate`."""

    scheme: Scheme
    ranges: Path


@dataclass(frozen=True, slots=True)
class Pass:
    """One call of the quantization tool: a scheme and the nodes that it applies to."""

    scheme: Scheme
    nodes: tuple[str, ...]


def calibrate(
    model: onnx.ModelProto, nodes: Sequence[str], samples: Sequence[Feeds], calibration: Calibration
) -> None:
    """Write the ranges of the tensors around some nodes over `samples` to the calibration's file.

    Later passes read the ranges instead of running samples, so all of them quantize with the ranges
    of the float model.

    Parameters
    ----------
    nodes
        Every node that a later pass may quantize.

    Raises
    ------
    QuantizeError
        If there is no sample, or the tool fails.
    """
    if not samples:
        raise QuantizeError("calibration needs at least one sample")
    chosen = set(nodes)
    known = {v.name: v for v in (*model.graph.input, *model.graph.value_info, *model.graph.output)}
    touched = (n for node in model.graph.node if node.name in chosen for n in (*node.input, *node.output))
    floats = [
        name
        for name in dict.fromkeys(touched)
        if name in known and known[name].type.tensor_type.elem_type == TensorProto.FLOAT
    ]
    ranges = tensor_ranges(model, floats, samples)
    pairs = {name: tuple(np.array([x], np.float32) for x in pair) for name, pair in ranges.items()}
    save_tensors_data(TensorsData(CalibrationMethod.MinMax, pairs), calibration.ranges)


def quantize(model: onnx.ModelProto, passes: Sequence[Pass], ranges: Path) -> onnx.ModelProto:
    """Return a copy of `model` with the nodes of each pass quantized in its scheme.

    Before: `model` comes from `prepare_model` and its nodes stand in topological order. After: every
    float activation that a quantized node reads or writes is quantized for all its consumers.

    Parameters
    ----------
    passes
        Runs of consecutive nodes, upstream first. The tool writes invalid models or hangs on any
        other order, so it is refused.
    ranges
        What `calibrate` wrote for this model.

    Raises
    ------
    QuantizeError
        If the passes are out of order, a node is unknown, or the tool fails.
    """
    _check_order(model, passes)
    _check_starts(model, passes)
    for each in passes:
        if each.nodes:  # the tool takes an empty list for "all nodes"
            model = _run_pass(model, each, ranges)
    return model


def passes_of(order: Sequence[str], schemes: Mapping[str, Scheme]) -> tuple[Pass, ...]:
    """Return the passes that give each node of `schemes` its scheme, upstream first.

    One scheme is one pass on all its nodes; several are a pass per run of consecutive nodes.

    Parameters
    ----------
    order
        All node names in topological order.
    schemes
        Node -> scheme; nodes left out stay in float.
    """
    chosen = [name for name in order if name in schemes]
    if len({schemes[name].name for name in chosen}) == 1:
        return (Pass(schemes[chosen[0]], tuple(chosen)),)
    runs = itertools.groupby(chosen, key=lambda name: schemes[name].name)
    passes = []
    for _, run in runs:
        nodes = tuple(run)
        passes.append(Pass(schemes[nodes[0]], nodes))
    return tuple(passes)


def _run_pass(model: onnx.ModelProto, one: Pass, ranges: Path) -> onnx.ModelProto:
    axes = _large_weight_axes(model, one)
    large = {tensor.name: tensor for tensor in model.graph.initializer if tensor.name in axes}
    # A weight's scales depend on the extremes of its channels only, so these stand in for it.
    stand_ins = {
        name: numpy_helper.from_array(extremes(LargeWeight.of(tensor), axes[name]), name)
        for name, tensor in large.items()
    }
    with tempfile.TemporaryDirectory() as folder, _quiet():
        target = Path(folder) / "quantized.onnx"
        try:
            quantize_static(
                light(model, stand_ins),  # the tool edits its input
                target,
                None,
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=one.scheme.activation,
                weight_type=one.scheme.weight,
                reduce_range=one.scheme.reduce_range,
                nodes_to_quantize=list(one.nodes),
                # Without it, MaxPool and the like are quantized only if their neighbours happen to be.
                extra_options={"ForceQuantizeNoInputCheck": True},
                calibration_cache_path=ranges,
            )
        except Exception as exc:
            raise QuantizeError(f"ONNX Runtime's quantization tool failed: {exc}") from exc
        quantized = restore(onnx.load(target), model)
    _quantize_large(quantized, {name: LargeWeight.of(tensor) for name, tensor in large.items()})
    return _in_order(quantized)


def _large_weight_axes(model: onnx.ModelProto, one: Pass) -> dict[str, int]:
    """Return the large float weights that a pass quantizes, with the axis of their channels."""
    chosen = set(one.nodes)
    large = {t.name for t in model.graph.initializer if is_large(t) and t.data_type == TensorProto.FLOAT}
    readers = {
        name: node for node in model.graph.node if node.name in chosen for name in node.input if name in large
    }
    return {name: _channel_axis(node) for name, node in readers.items()}


def _channel_axis(node: onnx.NodeProto) -> int:
    transposed = any(a.name == "transB" and a.i for a in node.attribute)
    return 0 if node.op_type == "Conv" or transposed else 1


def _quantize_large(model: onnx.ModelProto, large: Mapping[str, LargeWeight]) -> None:
    """Put the whole quantized weights where those of their stand-ins are, in place."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        weight = large.get(node.input[0].removesuffix(_QUANTIZED_WEIGHT)) if node.input else None
        if node.op_type != "DequantizeLinear" or weight is None:
            continue
        scale, zero = (values(constants[name]) for name in node.input[1:])
        axis = next((a.i for a in node.attribute if a.name == "axis"), 1)
        if scale.ndim and len(scale) != weight.dims[axis]:
            raise QuantizeError(
                f"the quantization tool took other channels of {node.input[0]!r} than expected"
            )
        whole = _quantized(weight, axis, scale.tobytes(), zero.tobytes(), constants[node.input[2]].data_type)
        constants[node.input[0]].CopyFrom(whole.reference(node.input[0]))


@functools.cache
def _quantized(weight: LargeWeight, axis: int, scale: bytes, zero: bytes, data_type: int) -> LargeWeight:
    """Return a weight in integers; each is written once, however many models hold it."""
    scales = np.frombuffer(scale, np.float32)
    zeros = np.frombuffer(zero, helper.tensor_dtype_to_np_dtype(data_type))

    def rows() -> Iterator[Array]:
        start = 0
        for block in weight.blocks():
            part = slice(start, start + len(block)) if axis == 0 and len(scales) > 1 else slice(None)
            shape = [1] * block.ndim
            shape[axis] = -1
            yield quantize_nparray(data_type, block, scales[part].reshape(shape), zeros[part].reshape(shape))
            start += len(block)

    return write_large(weight.dims, data_type, rows())


def _in_order(model: onnx.ModelProto) -> onnx.ModelProto:
    """Sort nodes again, in place: the tool's own sorting does not see what nested graphs read."""
    nodes = list(model.graph.node)
    if any(bodies(node) for node in nodes):
        writer = {name: i for i, node in enumerate(nodes) for name in node.output if name}
        needs = nx.DiGraph()
        needs.add_nodes_from(range(len(nodes)))
        needs.add_edges_from(
            (writer[name], i) for i, node in enumerate(nodes) for name in reads(node) if name in writer
        )
        order = list(nx.lexicographical_topological_sort(needs))
        del model.graph.node[:]
        model.graph.node.extend(nodes[place] for place in order)
    return model


def _check_order(model: onnx.ModelProto, passes: Sequence[Pass]) -> None:
    position = {node.name: index for index, node in enumerate(model.graph.node)}
    last = -1
    for each in passes:
        unknown = [name for name in each.nodes if name not in position]
        if unknown:
            raise QuantizeError(f"no such node to quantize: {', '.join(unknown)}")
        if not each.nodes:
            continue
        places = [position[name] for name in each.nodes]
        if min(places) <= last:
            raise QuantizeError(
                f"quantization passes must run upstream first: {each.nodes[0]!r} stands before "
                "a node of an earlier pass"
            )
        last = max(places)


def _check_starts(model: onnx.ModelProto, passes: Sequence[Pass]) -> None:
    # The tool looks for the scale that such a node shares with its input among this pass's tensors.
    number = {name: i for i, one in enumerate(passes) for name in one.nodes}
    producers = {name: node for node in model.graph.node for name in node.output}
    for node in model.graph.node:
        if node.name not in number or node.op_type not in PASSING | REMOVABLE:
            continue
        producer = producers.get(node.input[0])
        if producer is not None and number.get(producer.name, number[node.name]) != number[node.name]:
            raise QuantizeError(
                f"a quantization pass cannot begin at {node.name!r} ({node.op_type}): "
                f"it must share a pass with {producer.name!r}"
            )


@contextmanager
def _quiet() -> Iterator[None]:
    # The tool advises on the root logger what we already do, and divides by ranges it does not use.
    previous = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with np.errstate(all="ignore"):
            yield
    finally:
        logging.disable(previous)
