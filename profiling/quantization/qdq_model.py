"""The mixed-precision model: each node in its own scheme, between QuantizeLinear nodes or in a form."""

import itertools
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import networkx as nx
import numpy as np
import onnx
from onnx import TensorProto, numpy_helper
from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry

from profiling.arrays import Array
from profiling.directories import temporary_folder
from profiling.errors import QuantizeError
from profiling.onnx_io.external_weights import read_array, reattach_weights, without_large_weights
from profiling.onnx_io.subgraphs import all_inputs, subgraphs
from profiling.precision import Precision
from profiling.quantization.int16_activations import STEPS, to_int16
from profiling.quantization.keep_float import keep_float, keep_wide
from profiling.quantization.node_form import with_forms, without_float_weights
from profiling.quantization.node_forms import form_of
from profiling.quantization.per_channel_weights import channel_axis, scaled_substitutes
from profiling.quantization.qlinear_operators import write_on_integers
from profiling.quantization.ranges_file import read_bias_errors, read_ranges, save_ranges
from profiling.range_method import RangeMethod, TensorRanges
from profiling.runtime.log_filter import quiet

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
_PER_CHANNEL = frozenset(
    {
        "Conv", "ConvTranspose", "Gemm", "MatMul",
        "BatchNormalization", "InstanceNormalization", "LayerNormalization",
    }
)  # fmt: skip
_BIAS = 2  # input
# Precisions whose kernels multiply integers.
_ON_INTEGERS = (Precision.INT8, Precision.INT8_QOPERATOR, Precision.INT8_DYNAMIC)
_MOST_NAMED = 3  # nodes of a unit, as a rule; of a whole model the count says more


@dataclass(frozen=True, slots=True)
class Scheme:
    """How weights and activations become integers: static QDQ, weights per channel.

    Parameters
    ----------
    symmetric
        Activations are int8 around zero, as some providers want, instead of uint8.
    reduce_range
        Weights use 7 of 8 bits, for processors whose int8 kernels overflow otherwise.
    precision
        With int16 activations have 16 bits, where no unit with 8 reads or writes them too.
    tool
        What quantizes, where it is not ONNX Runtime's.
    ranges
        How the ranges of activations with 8 bits are taken; with 16 bits they span every value.
    bias_correction
        Whether biases make up for the mean of what rounding their weights adds.
    blocked_layout
        Whether float units behind int8 ones stay in the layout in which a device computes float
        convolutions; see `profiling.graph.blocked_layout`. It changes no rounding.
    """

    symmetric: bool = False
    reduce_range: bool = False
    precision: Precision = Precision.INT8
    tool: str = ""
    ranges: RangeMethod = RangeMethod.MINMAX
    bias_correction: bool = False
    blocked_layout: bool = False

    @property
    def wide(self) -> bool:
        """Whether activations have 16 bits."""
        return self.precision is Precision.INT16

    @property
    def tensor_ranges(self) -> TensorRanges:
        """Which ranges activations have."""
        is_minmax = self.ranges is RangeMethod.MINMAX
        return TensorRanges() if is_minmax else TensorRanges(self.ranges, self.symmetric)

    @property
    def label(self) -> str:
        """A name for records: the precision and what differs from its default."""
        ranges = "" if self.ranges is RangeMethod.MINMAX else self.ranges
        differing = [self.tool, "symmetric" * self.symmetric, "7bit-weights" * self.reduce_range, ranges]
        others = ["bias-corrected" * self.bias_correction, "blocked-layout" * self.blocked_layout]
        return "-".join(filter(None, [self.precision, *differing, *others]))

    @property
    def as_timed(self) -> "Scheme":
        """The same without what costs no seconds: other ranges and biases."""
        return replace(self, ranges=RangeMethod.MINMAX, bias_correction=False)

    @property
    def as_rounded(self) -> "Scheme":
        """The same without what changes no rounding: in which layout float units compute."""
        return replace(self, blocked_layout=False)

    def at(self, precision: Precision) -> "Scheme":
        """Return the scheme of a unit in a precision on a device that has this one.

        With 16-bit activations no kernel computes in integers, so that weights can use all their bits, nor
        with weights alone in few bits. Their steps are so fine that clipping would cost more than it gains.
        Where tensors stay in float, none is symmetric, and ranges say nothing.
        """
        return replace(
            self,
            precision=precision,
            reduce_range=self.reduce_range and precision in _ON_INTEGERS,
            symmetric=self.symmetric and precision.is_static,
            ranges=self.ranges if precision.numbers is Precision.INT8 else RangeMethod.MINMAX,
            bias_correction=self.bias_correction and precision.is_static,
            blocked_layout=self.blocked_layout and precision.is_static,
        )


INT8 = Scheme()
INT8_REDUCED = Scheme(reduce_range=True)
LITERT = Scheme(tool="litert")
_SIDES = (False, True)
SCHEMES = {
    scheme.label: scheme
    for scheme in (
        Scheme(symmetric, reduce_range, ranges=ranges, bias_correction=corrected, blocked_layout=blocked)
        for symmetric, reduce_range, ranges, corrected, blocked in itertools.product(
            _SIDES, _SIDES, RangeMethod, _SIDES, _SIDES
        )
    )
}
TENSORFLOW = Scheme(tool="tensorflow", precision=Precision.FP32)
SCHEMES |= {scheme.label: scheme for scheme in (LITERT, TENSORFLOW)}
"""Every scheme that a device can have, by its label."""


def quantize(
    model: onnx.ModelProto,
    schemes: Mapping[str, Scheme],
    ranges: Path,
    guarded: Collection[str] = (),
) -> onnx.ModelProto:
    """Return a copy of `model` with some nodes quantized, each in its scheme; in a form, if it is not static.

    Nodes in int8-qoperator are quantized as in int8, and then written as operators on integers.

    Before: `model` comes from `prepare_model`; two nodes that share a tensor agree on whether
    activations are symmetric, and on their ranges where both have 8 bits. After: every float activation
    that a quantized node reads or writes is quantized for all its consumers, to 16 bits if only nodes of
    wide schemes touch it, else over the range of its 8-bit nodes; the weights of other
    nodes stay in float when the runtime optimizes.

    Parameters
    ----------
    schemes
        Node -> scheme; nodes left out stay in float.
    ranges
        What `calibrate` wrote for this model, or `calibrate_ranges`.
    guarded
        Nodes that the runtime must not compute in integers where everything around them is.

    Raises
    ------
    QuantizeError
        If a node is unknown, two schemes meet at a tensor, the tool fails, or there is no operator on
        integers that does what a node does.
    """
    unknown = set(schemes) - {node.name for node in model.graph.node}
    if unknown:
        raise QuantizeError(f"no such node to quantize: {sorted(unknown)[0]}")
    forms = {
        name: form_of(scheme.precision, reduce_range=scheme.reduce_range)
        for name, scheme in schemes.items()
        if not scheme.precision.is_static
    }
    schemes = {name: scheme for name, scheme in schemes.items() if name not in forms}
    _require_agreement(model, schemes)
    model = _with_corrected_biases(model, schemes, ranges)
    source, model = model, onnx.ModelProto()
    model.CopyFrom(source)
    # Whether activations are symmetric decides if a Relu may vanish, for a whole call of the tool; the
    # calls share no tensor. Bits of weights can differ within a call.
    for symmetric in (False, True):
        chosen = {name: scheme for name, scheme in schemes.items() if scheme.symmetric == symmetric}
        if chosen:  # the tool takes an empty list for "all nodes"
            model = _call_tool(model, chosen, ranges)
    wide = {name for name, scheme in schemes.items() if scheme.wide}
    to_int16(model, source, schemes.keys() - wide, wide, QUANTIZED_SUFFIX)
    values = (*source.graph.input, *source.graph.value_info, *source.graph.output)
    types = {value.name: value for value in values}
    dims = {name: value.type.tensor_type.shape.dim for name, value in types.items()}
    shapes = {name + QUANTIZED_SUFFIX: [d.dim_value for d in dim] for name, dim in dims.items()}
    # A node in a form has no float weight that the runtime could take for one of an integer kernel.
    keep_float(model, schemes.keys() | without_float_weights(model, forms), shapes, guarded)
    keep_wide(model, wide)
    in_file = {name for name, one in schemes.items() if one.precision is Precision.INT8_QOPERATOR}
    write_on_integers(model, in_file, types, QUANTIZED_SUFFIX)
    model = with_forms(model, forms)
    _record_types(model, forms, source, types)
    return model


def _record_types(
    model: onnx.ModelProto,
    nodes: Collection[str],
    source: onnx.ModelProto,
    types: Mapping[str, onnx.ValueInfoProto],
) -> None:
    """Say what some nodes write where the model does not: the tool gives an output's writer another tensor.

    Shape inference knows nothing of operators of the runtime's own domain.
    """
    recorded = {value.name for value in (*model.graph.input, *model.graph.value_info, *model.graph.output)}
    written = {node.name: node.output for node in source.graph.node if node.name in nodes}
    for node in model.graph.node:
        for old, new in zip(written.get(node.name, ()), node.output, strict=False):
            if old in types and new not in recorded:
                value = model.graph.value_info.add()
                value.CopyFrom(types[old])
                value.name = new


def _with_corrected_biases(
    model: onnx.ModelProto, schemes: Mapping[str, Scheme], ranges: Path
) -> onnx.ModelProto:
    """Return the model with the biases that the file of ranges has for some nodes, as their schemes want."""
    chosen = [name for name, scheme in schemes.items() if scheme.bias_correction]
    found = {side: read_bias_errors(ranges, reduced=side) for side in _SIDES} if chosen else {}
    errors = {name: found[schemes[name].reduce_range].get(name) for name in chosen}
    biases = {
        node.input[_BIAS]: error for node in model.graph.node if (error := errors.get(node.name)) is not None
    }
    if not biases:
        return model
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for tensor in copy.graph.initializer:
        if tensor.name in biases:
            value: Array = read_array(tensor) - np.asarray(biases[tensor.name], np.float32)
            tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))
    return copy


def _require_agreement(model: onnx.ModelProto, schemes: Mapping[str, Scheme]) -> None:
    """Refuse a tensor that two nodes would quantize in two ways.

    Each tensor has one QuantizeLinear for all its readers.
    """
    symmetric: dict[str, bool] = {}
    ranges: dict[str, RangeMethod] = {}
    constants = {tensor.name for tensor in model.graph.initializer}
    for node in (node for node in model.graph.node if node.name in schemes):
        scheme = schemes[node.name]
        for name in (*node.input, *node.output):
            if not name or name in constants:
                continue
            if symmetric.setdefault(name, scheme.symmetric) != scheme.symmetric:
                raise QuantizeError(
                    f"tensor {name!r} would be quantized in two ways, symmetric and not: between two "
                    "such int8 units one in float is needed"
                )
            if not scheme.wide and ranges.setdefault(name, scheme.ranges) is not scheme.ranges:
                raise QuantizeError(
                    f"tensor {name!r} would be quantized over two ranges, {ranges[name]} and {scheme.ranges}"
                )


def _call_tool(model: onnx.ModelProto, schemes: Mapping[str, Scheme], ranges: Path) -> onnx.ModelProto:
    # The tool takes one setting for all nodes, and overrides for the constants of those that differ.
    base = next(iter(schemes.values()))
    substitutes = scaled_substitutes(model, schemes)
    with temporary_folder("quantizing-") as folder, quiet(), np.errstate(all="ignore"):
        target = folder / "quantized.onnx"
        try:
            quantize_static(
                without_large_weights(model, substitutes.constants),  # the tool edits its input
                target,
                None,
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QInt8 if base.symmetric else QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                reduce_range=base.reduce_range,
                nodes_to_quantize=list(schemes),
                extra_options={
                    # Without it, MaxPool and the like are quantized only if their neighbours happen to be.
                    "ForceQuantizeNoInputCheck": True,
                    "ActivationSymmetric": base.symmetric,
                    "TensorQuantOverrides": _other_bits(model, schemes, base),
                },
                calibration_cache_path=_ranges_of(model, schemes, ranges, folder),  # then it runs no samples
            )
        except Exception as exc:  # the tool raises whatever its handlers meet
            line = " ".join(str(exc).split())
            raise QuantizeError(
                f"ONNX Runtime's quantization tool refuses {_description(model, schemes)}: {line}"
            ) from exc
        quantized = reattach_weights(onnx.load(target), model)
    substitutes.replace_in(quantized, _reduced(model, schemes), _step_ratios(model, schemes))
    return _in_order(quantized)


def _ranges_of(model: onnx.ModelProto, schemes: Mapping[str, Scheme], ranges: Path, folder: Path) -> Path:
    """Return a file in which every tensor has the range of the 8-bit nodes around it."""
    merged = read_ranges(ranges)
    others = {scheme.tensor_ranges for scheme in schemes.values() if not scheme.tensor_ranges.is_minmax}
    for wanted in others:
        nodes = [node for node in model.graph.node if _ranges_at(schemes, node.name) == wanted]
        found = read_ranges(ranges, wanted)
        merged |= {
            name: found[name] for node in nodes for name in (*node.input, *node.output) if name in found
        }
    if not others:
        return ranges
    save_ranges(merged, folder / "ranges.json")
    return folder / "ranges.json"


def _ranges_at(schemes: Mapping[str, Scheme], node: str) -> TensorRanges | None:
    return schemes[node].tensor_ranges if node in schemes else None


def _description(model: onnx.ModelProto, nodes: Collection[str]) -> str:
    """Return the nodes that were to be quantized and their weights, if they are few enough to name."""
    chosen = [node for node in model.graph.node if node.name in nodes]
    if len(chosen) > _MOST_NAMED:
        return f"{len(chosen)} nodes"
    shapes = {init.name: list(init.dims) for init in model.graph.initializer}
    weights = [f"{name!r} {shapes[name]}" for node in chosen for name in node.input if name in shapes]
    named = ", ".join(f"{node.op_type} {node.name!r}" for node in chosen)
    return f"{named} with {', '.join(weights)}" if weights else named


def _other_bits(
    model: onnx.ModelProto, schemes: Mapping[str, Scheme], base: Scheme
) -> dict[str, list[dict[str, object]]]:
    """Return what the tool must know of constants whose node uses other bits than the base scheme."""
    floats = {t.name: t for t in model.graph.initializer if t.data_type == TensorProto.FLOAT}
    others = [n for n in model.graph.node if schemes.get(n.name, base).reduce_range != base.reduce_range]
    overrides: dict[str, list[dict[str, object]]] = {}
    for node in others:
        for position, name in enumerate(node.input):
            # A bias is int32 whatever the bits of its weight.
            if name in floats and not (node.op_type in _PER_CHANNEL and position == _BIAS):
                override: dict[str, object] = {"reduce_range": not base.reduce_range}
                if node.op_type in _PER_CHANNEL and len(floats[name].dims) > 1:
                    override["axis"] = channel_axis(node)  # an override is per tensor unless it names an axis
                overrides[name] = [override]
    return overrides


def _reduced(model: onnx.ModelProto, schemes: Mapping[str, Scheme]) -> dict[str, bool]:
    """Return constant -> whether the node that reads it wants 7 bits."""
    readers = [node for node in model.graph.node if node.name in schemes]
    return {name: schemes[node.name].reduce_range for node in readers for name in node.input}


def _step_ratios(model: onnx.ModelProto, schemes: Mapping[str, Scheme]) -> dict[str, float]:
    """Return constant -> how many times as fine the steps of what it is multiplied with become."""
    wide = {name for name, scheme in schemes.items() if scheme.wide}
    return {name: float(STEPS) for node in model.graph.node if node.name in wide for name in node.input}


def _in_order(model: onnx.ModelProto) -> onnx.ModelProto:
    """Sort nodes again, in place: the tool's own sorting does not see what nested graphs read."""
    nodes = list(model.graph.node)
    if any(subgraphs(node) for node in nodes):
        writer = {name: i for i, node in enumerate(nodes) for name in node.output if name}
        needs = nx.DiGraph()
        needs.add_nodes_from(range(len(nodes)))
        needs.add_edges_from(
            (writer[name], i) for i, node in enumerate(nodes) for name in all_inputs(node) if name in writer
        )
        order = list(nx.lexicographical_topological_sort(needs))
        del model.graph.node[:]
        model.graph.node.extend(nodes[position] for position in order)
    return model
