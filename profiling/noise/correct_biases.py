"""Bias correction: what rounding weights adds to the mean of what a node writes, taken from its bias.

Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias Correction", section 4.2; the
means come from calibration samples, of the model in float.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from profiling.arrays import Array, Feeds
from profiling.errors import ProfilingError
from profiling.graph.unit_graph import ModelGraph
from profiling.noise.choose_ranges import MOST_JUDGED, split_to_judge, squared_error
from profiling.noise.isolated_units import run_all
from profiling.on_device.create_session import Optimization
from profiling.onnx_io.external_weights import is_large, read_array, write_external
from profiling.onnx_io.unique_names import FreshNames
from profiling.quantization.fake_quantization import weight_roundings
from profiling.quantization.qdq_model import Scheme, quantize
from profiling.quantization.ranges_file import save_bias_errors
from profiling.runtime.open_session import Runtime, runtime_for

log = logging.getLogger(__name__)

_WITH_BIAS = frozenset({"Conv", "ConvTranspose", "Gemm"})
_WEIGHT, _BIAS = 1, 2  # inputs
_CHANNELS = 1  # axis of what they write
_AXES_AS_INPUT = 18  # opset from which ReduceMean reads them
_MOST_AVERAGED = 64  # samples


@dataclass(frozen=True, slots=True)
class _Correctable:
    """A node whose weights are rounded, and whose bias is its own.

    Parameters
    ----------
    rounded, exact
        Its weights.
    rank
        Of what it writes.
    """

    node: NodeProto
    rounded: TensorProto
    exact: TensorProto
    bias: Array
    rank: int

    def rounding(self, name: str) -> TensorProto:
        """Return what rounding adds to the weights, as a constant; a large one lies outside the model."""
        whole = read_array(self.rounded) - read_array(self.exact)
        if is_large(self.exact):
            return write_external(whole.shape, TensorProto.FLOAT, [whole]).reference(name)
        return numpy_helper.from_array(whole, name)


def correct_biases(graph: ModelGraph, samples: Sequence[Feeds], ranges: Path, *, reduced: bool) -> None:
    """Write the bias errors of a graph's nodes into its file of ranges, or none if that does not pay.

    Means are of three quarters of the samples, at most 64. On the others, with every unit quantized that
    can be, the squared error at the outputs must be less.

    Parameters
    ----------
    reduced
        Whether weights have 7 bits.
    """
    counted, judged = split_to_judge(samples)
    runtime = runtime_for(len(samples))
    scheme = dict.fromkeys(graph.quantizable_nodes, Scheme(reduce_range=reduced))
    found: dict[str, list[float]] = {}
    try:
        errors = _mean_errors(graph, scheme, ranges, counted[:_MOST_AVERAGED], runtime)
        save_bias_errors(ranges, {reduced: errors})
        if errors and _pays(graph, ranges, judged[:MOST_JUDGED], runtime, reduced=reduced):
            found = errors
    except ProfilingError as exc:  # of a unit that later stays in float; here all are quantized
        log.info("biases cannot be corrected: %s", exc)
    save_bias_errors(ranges, {reduced: found})
    log.info("biases of %d nodes make up for rounded weights", len(found))


def _pays(
    graph: ModelGraph, ranges: Path, samples: Sequence[Feeds], runtime: Runtime, *, reduced: bool
) -> bool:
    exact = run_all(graph.model, samples, runtime=runtime)
    plain, corrected = (
        _errors(graph, Scheme(reduce_range=reduced, bias_correction=side), ranges, samples, exact, runtime)
        for side in (False, True)
    )
    log.info("squared errors of outputs %.3g, with corrected biases %.3g", plain.sum(), corrected.sum())
    return bool(corrected.sum() < plain.sum())


def _errors(
    graph: ModelGraph,
    scheme: Scheme,
    ranges: Path,
    samples: Sequence[Feeds],
    exact: Sequence[Mapping[str, Array]],
    runtime: Runtime,
) -> Array:
    chosen = dict.fromkeys(graph.quantizable_nodes, scheme)
    model = quantize(graph.model, chosen, ranges, graph.guarded_nodes)
    # In float, where no kernel overflows.
    outputs = run_all(model, samples, Optimization.BASIC, runtime)
    return np.array([squared_error(*pair) for pair in zip(outputs, exact, strict=True)])


def _mean_errors(
    graph: ModelGraph,
    schemes: Mapping[str, Scheme],
    ranges: Path,
    samples: Sequence[Feeds],
    runtime: Runtime,
) -> dict[str, list[float]]:
    """Return node -> what rounding its weights adds to the mean of each of its output channels."""
    probe, means = _probe(graph.model, list(_correctable(graph, schemes, ranges)))
    if not means:
        return {}
    sums = dict.fromkeys(means, np.zeros(1))
    for outputs in run_all(probe, samples, runtime=runtime):
        sums = {node: total + outputs[means[node]] for node, total in sums.items()}
    averages = {node: total.ravel() / len(samples) for node, total in sums.items()}
    return {node: mean.tolist() for node, mean in averages.items() if np.isfinite(mean).all()}


def _correctable(graph: ModelGraph, schemes: Mapping[str, Scheme], ranges: Path) -> Iterator[_Correctable]:
    model = graph.model
    roundings = weight_roundings(quantize(model, schemes, ranges, graph.guarded_nodes))
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    read = [name for node in model.graph.node for name in node.input]
    values = (*model.graph.value_info, *model.graph.output)
    ranks = {value.name: len(value.type.tensor_type.shape.dim) for value in values}
    for node in model.graph.node:
        if node.op_type not in _WITH_BIAS or node.name not in schemes or len(node.input) <= _BIAS:
            continue
        weight, bias = node.input[_WEIGHT], node.input[_BIAS]
        scales = {a.name: a.f for a in node.attribute}
        is_own = bias in constants and read.count(bias) == 1 and scales.get("beta", 1) == 1
        if not is_own or weight not in roundings or weight not in constants or not ranks.get(node.output[0]):
            continue
        value = read_array(constants[bias])
        if value.ndim == 1:
            rounded = roundings[weight].rounded(weight)
            yield _Correctable(node, rounded, constants[weight], value, ranks[node.output[0]])


def _probe(model: onnx.ModelProto, nodes: Sequence[_Correctable]) -> tuple[onnx.ModelProto, dict[str, str]]:
    """Return the model with a copy of each node that computes what rounding adds, and where its mean is."""
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    fresh = FreshNames(probe.graph)
    opset = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    means = {}
    for one in nodes:
        name = fresh.of(f"{one.node.name}/rounding")
        copy = NodeProto()
        copy.CopyFrom(one.node)
        copy.name, copy.output[0] = name, name
        del copy.input[_WEIGHT:]
        copy.input.extend(fresh.of(f"{name}/{role}") for role in ("weights", "bias"))
        nothing = numpy_helper.from_array(np.zeros_like(one.bias), copy.input[_BIAS])
        probe.graph.initializer.extend([one.rounding(copy.input[_WEIGHT]), nothing])
        mean = means[one.node.name] = fresh.of(f"{name}/mean")
        axes = np.array([axis for axis in range(one.rank) if axis != _CHANNELS], np.int64)
        if opset < _AXES_AS_INPUT:
            average = helper.make_node(
                "ReduceMean", [name], [mean], name=mean, keepdims=0, axes=axes.tolist()
            )
        else:
            wanted = fresh.of(f"{name}/axes")
            probe.graph.initializer.append(numpy_helper.from_array(axes, wanted))
            average = helper.make_node("ReduceMean", [name, wanted], [mean], name=mean, keepdims=0)
        probe.graph.node.extend([copy, average])
        probe.graph.output.append(helper.make_empty_tensor_value_info(mean))
    return probe, means
