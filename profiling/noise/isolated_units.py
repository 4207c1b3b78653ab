"""Units cut out of a model and out of its quantized form, run on the same numbers and compared."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import numpy_helper

from profiling.arrays import Array, Feeds
from profiling.errors import ModelError
from profiling.graph.operator_graph import Unit
from profiling.graph.unit_graph import ModelGraph
from profiling.on_device.create_session import Optimization
from profiling.onnx_io.external_weights import is_large, read_array
from profiling.onnx_io.extract import SubmodelExtractor
from profiling.printable_text import first_line
from profiling.quantization.fake_quantization import TensorRounding, WeightRounding, with_rounded
from profiling.quantization.qdq_model import QUANTIZED_SUFFIX
from profiling.runtime.open_session import Runtime, open_session, run_session

# A unit may be so many times as far off as rounding alone makes it, and so many steps of its output more.
_ONE_THREAD = Runtime()
# Integer kernels round once more than float ones do, and a bias may widen the scales of weights. Less would
# refuse sound units, more would let a kernel that computes something else pass for rounding.
ROUNDING_FACTOR = 3.0
_OUTPUT_STEPS = 2.0
NEGLIGIBLE_SHARE = 1e-2  # of the output's size: what is less is no fault whatever its cause


@dataclass(frozen=True, slots=True)
class IsolatedUnits:
    """Units cut out of the model and out of its quantized form."""

    graph: ModelGraph
    plain: SubmodelExtractor
    quantized: SubmodelExtractor
    tensors: Mapping[str, TensorRounding]
    weights: Mapping[str, WeightRounding]
    level: Optimization

    def fault_of(self, unit: Unit, live: Sequence[Mapping[str, Array]]) -> str:
        """Return what is wrong with a unit's numbers once it is quantized; empty if nothing is."""
        in_float = [n for n in self.graph.tensors_quantized_with(unit.index) if n not in self.tensors]
        if in_float:
            return f"the quantization tool leaves its tensor {in_float[0]!r} in float"
        ends = {name: self._behind(name) for name in unit.outputs}
        part = self.plain.extract(unit.inputs, unit.outputs)
        feeds = [{name: tensors[name] for name in unit.inputs} for tensors in live]
        try:
            mixed = self.quantized.extract(unit.inputs, list(ends.values()))
            computed = run_all(mixed, feeds, self.level)
        except (ModelError, KeyError) as exc:
            return f"quantized, it does not run: {exc}"
        exact = run_all(part, feeds)
        rounded = run_all(self._rounded(unit, part), [self._round(tensors) for tensors in feeds])
        for actual, expected, ideal in zip(computed, exact, rounded, strict=True):
            for name, end in ends.items():
                fault = self._compare(name, actual[end], expected[name], ideal[name])
                if fault:
                    return fault
        return ""

    def _behind(self, name: str) -> str:
        """Return what readers of a tensor read once it is quantized."""
        if name not in self.tensors:
            return name
        dequantized = f"{name}_DequantizeLinear_Output"  # as the tool names it
        if dequantized in self.quantized.writer:
            return dequantized
        # Where only nodes in float read it, they read a twin.
        twins = (
            node.output[0]
            for node in self.quantized.model.graph.node
            if node.op_type == "DequantizeLinear" and node.input[0] == name + QUANTIZED_SUFFIX
        )
        return next(twins, name)

    def _round(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        return {n: self.tensors[n].rounded(x) if n in self.tensors else x for n, x in feeds.items()}

    def _rounded(self, unit: Unit, part: onnx.ModelProto) -> onnx.ModelProto:
        """Return a unit in float whose inner tensors and weights are rounded as well as possible."""
        inner = [
            self.tensors[name]
            for node in part.graph.node
            for name in node.output
            if name in self.tensors and name not in unit.outputs
        ]
        weights = {
            init.name: _rounded_best(init, self.weights[init.name].axis)
            for init in part.graph.initializer
            if init.name in self.weights and len(init.dims) > 1 and not is_large(init)
        }
        return with_rounded(part, inner, weights)

    def _compare(self, name: str, actual: Array, exact: Array, ideal: Array) -> str:
        """Return what is wrong with an output, beside the exact one and one that is rounded in float."""
        if actual.shape != exact.shape or actual.dtype != exact.dtype:
            return (
                f"quantized, it gives {name!r} as {actual.dtype} {list(actual.shape)} "
                f"instead of {list(exact.shape)}"
            )
        if not np.issubdtype(exact.dtype, np.floating):
            changed = float(np.mean(actual != exact)) if exact.size else 0.0
            return f"quantized, it changes {changed:.3g} of {name!r}" if changed > NEGLIGIBLE_SHARE else ""
        step = 0.0
        if name in self.tensors:
            ideal, step = self.tensors[name].rounded(ideal), float(read_array(self.tensors[name].scale))
        off, expected, size = rms_difference(actual, exact), rms_difference(ideal, exact), rms(exact)
        if off <= ROUNDING_FACTOR * expected + _OUTPUT_STEPS * step or off <= NEGLIGIBLE_SHARE * size:
            return ""
        return (
            f"quantized, it is off by {off / (size or 1):.2g} of its output's size, where rounding "
            f"alone makes {expected / (size or 1):.2g}"
        )


def run_all(
    model: onnx.ModelProto,
    samples: Sequence[Feeds],
    level: Optimization = Optimization.DEFAULT,
    runtime: Runtime = _ONE_THREAD,
) -> list[dict[str, Array]]:
    """Return a model's outputs for each of some samples.

    Raises
    ------
    ModelError
        If the runtime cannot load the model or run a sample.
    """
    session = open_session(model, runtime, level)
    try:
        return [run_session(session, sample) for sample in samples]
    except Exception as exc:  # the runtime's exceptions share no base class
        raise ModelError(first_line(exc)) from exc


def rms_difference(a: Array, b: Array) -> float:
    """Return the root mean square of a difference where both are finite; infinite if only one is.

    >>> rms_difference(np.array([1.0, np.inf]), np.array([3.0, np.inf]))
    2.0
    >>> rms_difference(np.array([1.0, 1.0]), np.array([3.0, np.inf]))
    inf
    """
    a, b = a.astype(np.float64), b.astype(np.float64)
    if (np.isfinite(a) != np.isfinite(b)).any():
        return float("inf")
    finite = np.isfinite(a)
    return float(np.sqrt(np.mean(np.square(a[finite] - b[finite])))) if finite.any() else 0.0


def rms(values: Array) -> float:
    """Return the root mean square of those values that are finite."""
    return rms_difference(values, np.where(np.isfinite(values), 0, values))


def _rounded_best(weight: onnx.TensorProto, axis: int) -> onnx.TensorProto:
    """Return a weight rounded to 127 steps to either side of zero, per slice along an axis.

    A measure for what the tool made: it may use 7 bits, or widen scales for a bias.
    """
    exact = read_array(weight).astype(np.float64)
    others = tuple(i for i in range(exact.ndim) if i != axis % exact.ndim)
    scale = np.abs(exact).max(axis=others, keepdims=True) / np.iinfo(np.int8).max
    scale[scale == 0] = 1.0  # a slice of zeros
    return numpy_helper.from_array((np.rint(exact / scale) * scale).astype(np.float32), weight.name)


def walk_units(graph: ModelGraph, samples: Sequence[Feeds]) -> Iterator[tuple[Unit, list[dict[str, Array]]]]:
    """Yield each unit with the tensors of every sample that it and later ones read; others are given up."""
    extractor = SubmodelExtractor(graph.model)
    live: list[dict[str, Array]] = [dict(feeds) for feeds in samples]
    last = {name: unit.index for unit in graph.units for name in unit.inputs}
    for unit in graph.units:
        yield unit, live
        session = open_session(extractor.extract(unit.inputs, unit.outputs), Runtime())
        for tensors in live:
            tensors |= run_session(session, {name: tensors[name] for name in unit.inputs})
            # Large networks on several samples would not fit into memory whole.
            for name in [n for n in tensors if last.get(n, -1) <= unit.index]:
                del tensors[name]
