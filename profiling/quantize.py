"""The only importer of onnxruntime.quantization: preprocessing, calibration, mixed-precision passes."""

import itertools
import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path

import networkx as nx
import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry
from onnxruntime.quantization.shape_inference import quant_pre_process

from profiling.errors import ModelError, QuantizeError
from profiling.scopes import bodies, reads
from profiling.session import Feeds

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


def preprocess(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with shapes inferred and constants folded, as the quantization tool expects.

    Raises
    ------
    ModelError
        If shape inference or the runtime's basic optimization refuses the model.
    """
    # The tool leaves a file in the working directory where symbolic inference fails.
    with tempfile.TemporaryDirectory() as folder, chdir(folder), _quiet():
        target = Path(folder) / "prepared.onnx"
        try:
            quant_pre_process(model, target, auto_merge=True)
        except Exception:  # noqa: BLE001  symbolic inference raises anything; the plain one may do
            try:
                quant_pre_process(_copy(model), target, skip_symbolic_shape=True)
            except Exception as exc:
                raise ModelError(f"the model cannot be preprocessed: {exc}") from exc
        return onnx.load(target)


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
    calibration.ranges.unlink(missing_ok=True)
    if not nodes:  # the tool takes an empty list for "all nodes"
        calibration.ranges.write_text('{"data": {}}')
        return
    _run_pass(model, Pass(calibration.scheme, tuple(nodes)), calibration.ranges, _Reader(samples))


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
            model = _run_pass(model, each, ranges, None)
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


def _run_pass(
    model: onnx.ModelProto, one: Pass, ranges: Path, reader: CalibrationDataReader | None
) -> onnx.ModelProto:
    with tempfile.TemporaryDirectory() as folder, _quiet():
        target = Path(folder) / "quantized.onnx"
        try:
            quantize_static(
                _copy(model),
                target,
                reader,
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
        return _in_order(onnx.load(target))


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    # The tools edit their input.
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


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


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, samples: Sequence[Feeds]) -> None:
        self._samples = iter(samples)

    def get_next(self) -> dict[str, object] | None:
        feeds = next(self._samples, None)
        return None if feeds is None else dict(feeds)


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
