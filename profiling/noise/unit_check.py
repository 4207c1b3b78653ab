"""Which units come out wrong once they are quantized, found by quantizing and running them."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import numpy_helper, shape_inference

from profiling.arrays import Array, Feeds
from profiling.errors import ModelError, QuantizeError
from profiling.graph.unit_graph import ModelGraph, Unit
from profiling.onnx_io.external_weights import is_large, read_array
from profiling.onnx_io.extract import Library
from profiling.quantization.fake_quantization import (
    TensorRounding,
    WeightRounding,
    tensor_roundings,
    weight_roundings,
    with_rounded,
)
from profiling.quantization.quantize import Calibration, quantize, read_ranges
from profiling.runtime.crash_journal import CrashJournal
from profiling.runtime.session import Optimization, Runtime, open_session, run_session

log = logging.getLogger(__name__)

# A unit may be so many times as far off as rounding alone makes it, and so many steps of its output more.
# Integer kernels round once more than float ones do, and a bias may widen the scales of weights.
_MOST_TIMES, _MOST_STEPS = 3.0, 2.0
_LEAST_SHARE = 1e-2  # of the output's size: what is less is no fault whatever its cause


@dataclass(frozen=True, slots=True)
class UnitTrial:
    """What is tried out.

    Parameters
    ----------
    calibration
        The scheme, and what `calibrate` wrote for the graph's model.
    samples
        One or two are enough.
    level
        How a quantized model is run, so that its numbers are those of its device.
    journal
        Knows over what the runtime died before.
    """

    graph: ModelGraph
    calibration: Calibration
    samples: Sequence[Feeds]
    level: Optimization
    journal: CrashJournal

    def quantized(self, units: Sequence[Unit]) -> onnx.ModelProto:
        """Return the whole model with some units quantized."""
        nodes = [node for unit in units for node in unit.nodes]
        model, chosen = self.graph.model, self.calibration.of(nodes)
        return quantize(model, chosen, self.calibration.ranges, self.graph.guarded_nodes) if nodes else model

    def note(self, what: str) -> str:
        """Return what the journal calls something in this scheme."""
        return f"{what} {self.calibration.scheme.label}"


def refused_units(trial: UnitTrial) -> dict[str, str]:
    """Return unit -> why it must not be quantized, for units that the graph takes for quantizable.

    The quantization tool may refuse a unit, and the runtime may compute something else with it: each
    unit runs alone with what it reads in some samples, quantized, beside the same numbers rounded in float.
    Then all run together.
    """
    graph, journal = trial.graph, trial.journal
    reasons = {
        unit.name: f"quantized, it ended ONNX Runtime ({cause})"
        for unit in graph.units
        if (cause := journal.cause_of(trial.note(unit.name)))
    }
    reasons |= _infinite(trial)
    quantized, refused = _quantized(trial, reasons)
    reasons |= refused
    alone = _Alone(
        graph,
        Library(graph.model),
        Library(quantized),
        tensor_roundings(quantized),
        weight_roundings(quantized),
        trial.level,
    )
    for unit, live in _walk(graph, trial.samples):
        if unit.quantizable and unit.name not in reasons:
            with journal.entry(trial.note(unit.name)):
                reason = alone.fault_of(unit, live)
            if reason:
                reasons[unit.name] = reason
    reasons |= _refused_together(trial, reasons)
    for name, reason in reasons.items():
        log.info("unit %s stays in float in %s: %s", name, trial.calibration.scheme.label, reason)
    return reasons


def _infinite(trial: UnitTrial) -> dict[str, str]:
    """Return the units that read or write something infinite, a mask of attention, say: it has no scale."""
    nodes = {node.name: node for node in trial.graph.model.graph.node}
    ranges = read_ranges(trial.calibration.ranges)
    endless = {name for name, extremes in ranges.items() if not np.isfinite(extremes).all()}
    reasons = {}
    for unit in trial.graph.units:
        touched = (name for node in unit.nodes for name in (*nodes[node].input, *nodes[node].output))
        found = next((name for name in touched if name in endless), None)
        if unit.quantizable and found is not None:
            reasons[unit.name] = f"{found!r} holds infinity or no number, which has no scale"
    return reasons


def _refused_together(trial: UnitTrial, known: Mapping[str, str]) -> dict[str, str]:
    """Return units that come out wrong beside others only: the runtime rewrites whole neighbourhoods.

    All quantized units run together, as the runtime computes them and in float; where that fails, the
    first unit with which it does is left out, until it does not.
    """
    able = [unit for unit in trial.graph.units if unit.quantizable and unit.name not in known]
    exact = _run(trial.graph.model, trial.samples)
    reasons: dict[str, str] = {}

    def fault(count: int) -> str:
        note = trial.note(f"the first {count} units, up to {able[count - 1].name}")
        if cause := trial.journal.cause_of(note):
            return f"quantized beside others, it ended ONNX Runtime ({cause})"
        with trial.journal.entry(note):
            return _fault_together(trial, trial.quantized(able[:count]), exact)

    while able and (reason := fault(len(able))):
        good, bad = 0, len(able)
        while bad - good > 1:
            middle = (good + bad) // 2
            found = fault(middle)
            good, bad, reason = (good, middle, found) if found else (middle, bad, reason)
        reasons[able.pop(bad - 1).name] = reason
    return reasons


def _fault_together(
    trial: UnitTrial, quantized: onnx.ModelProto, exact: Sequence[Mapping[str, Array]]
) -> str:
    """Return what is wrong when units run quantized together; empty if nothing is."""
    try:
        computed = _run(quantized, trial.samples, trial.level)
    except ModelError as exc:
        return f"quantized beside others, the model does not run: {exc}"
    in_float = _run(quantized, trial.samples, Optimization.BASIC)
    for name in trial.graph.outputs:
        if not np.issubdtype(exact[0][name].dtype, np.floating):
            continue
        size = max(_size(one[name]) for one in exact)
        off = max(_rms(got[name], want[name]) for got, want in zip(computed, exact, strict=True))
        expected = max(_rms(got[name], want[name]) for got, want in zip(in_float, exact, strict=True))
        if off > _MOST_TIMES * expected + _LEAST_SHARE * size:
            return (
                f"quantized beside others, it brings {name!r} off by {off / (size or 1):.2g} of its size, "
                f"in float by {expected / (size or 1):.2g}"
            )
    return ""


def _quantized(trial: UnitTrial, known: Mapping[str, str]) -> tuple[onnx.ModelProto, dict[str, str]]:
    """Return the model with all units quantized that the tool takes, and why it does not take the others."""
    able = [unit for unit in trial.graph.units if unit.quantizable and unit.name not in known]
    reasons: dict[str, str] = {}
    while True:
        try:
            return shape_inference.infer_shapes(trial.quantized(able)), reasons
        except QuantizeError:
            refused = _refused_alone(trial, able) or _first_refused(trial, able)
            reasons |= refused
            able = [unit for unit in able if unit.name not in refused]


def _refused_alone(trial: UnitTrial, units: Sequence[Unit]) -> dict[str, str]:
    library = Library(trial.graph.model)
    reasons = {}
    for unit in units:
        try:
            part = library.part(unit.inputs, unit.outputs)
            quantize(part, trial.calibration.of(unit.nodes), trial.calibration.ranges)
        except QuantizeError as exc:
            reasons[unit.name] = str(exc)
    return reasons


def _first_refused(trial: UnitTrial, units: Sequence[Unit]) -> dict[str, str]:
    """Return the first unit that the tool does not take together with those before it."""
    good, bad, reason = 0, len(units), "the quantization tool does not take it beside others"
    while bad - good > 1:
        middle = (good + bad) // 2
        try:
            trial.quantized(units[:middle])
            good = middle
        except QuantizeError as exc:
            bad, reason = middle, str(exc)
    return {units[bad - 1].name: reason}


def _walk(graph: ModelGraph, samples: Sequence[Feeds]) -> Iterator[tuple[Unit, list[dict[str, Array]]]]:
    """Yield each unit with the tensors of every sample that it and later ones read."""
    library = Library(graph.model)
    live: list[dict[str, Array]] = [dict(feeds) for feeds in samples]
    last = {name: unit.index for unit in graph.units for name in unit.inputs}
    for unit in graph.units:
        yield unit, live
        session = open_session(library.part(unit.inputs, unit.outputs), Runtime())
        for tensors in live:
            tensors |= run_session(session, {name: tensors[name] for name in unit.inputs})
            for name in [n for n in tensors if last.get(n, -1) <= unit.index]:
                del tensors[name]


@dataclass(frozen=True, slots=True)
class _Alone:
    """Units cut out of the model and out of its quantized form."""

    graph: ModelGraph
    plain: Library
    quantized: Library
    tensors: Mapping[str, TensorRounding]
    weights: Mapping[str, WeightRounding]
    level: Optimization

    def fault_of(self, unit: Unit, live: Sequence[Mapping[str, Array]]) -> str:
        """Return what is wrong with a unit's numbers once it is quantized; empty if nothing is."""
        left = [n for n in self.graph.tensors_quantized_with(unit.index) if n not in self.tensors]
        if left:
            return f"the quantization tool leaves its tensor {left[0]!r} in float"
        ends = {name: self._behind(name) for name in unit.outputs}
        part = self.plain.part(unit.inputs, unit.outputs)
        feeds = [{name: tensors[name] for name in unit.inputs} for tensors in live]
        try:
            mixed = self.quantized.part(unit.inputs, list(ends.values()))
            computed = _run(mixed, feeds, self.level)
        except (ModelError, KeyError) as exc:
            return f"quantized, it does not run: {exc}"
        exact = _run(part, feeds)
        rounded = _run(self._rounded(unit, part), [self._round(one) for one in feeds])
        for got, want, ideal in zip(computed, exact, rounded, strict=True):
            for name, end in ends.items():
                fault = self._compare(name, got[end], want[name], ideal[name])
                if fault:
                    return fault
        return ""

    def _behind(self, name: str) -> str:
        """Return what readers of a tensor read once it is quantized."""
        dequantized = f"{name}_DequantizeLinear_Output"
        return dequantized if name in self.tensors and dequantized in self.quantized.writer else name

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
        own = {
            init.name: _rounded_best(init, self.weights[init.name].axis)
            for init in part.graph.initializer
            if init.name in self.weights and len(init.dims) > 1 and not is_large(init)
        }
        return with_rounded(part, inner, own)

    def _compare(self, name: str, got: Array, want: Array, ideal: Array) -> str:
        if got.shape != want.shape or got.dtype != want.dtype:
            return (
                f"quantized, it gives {name!r} as {got.dtype} {list(got.shape)} instead of {list(want.shape)}"
            )
        if not np.issubdtype(want.dtype, np.floating):
            changed = float(np.mean(got != want)) if want.size else 0.0
            return f"quantized, it changes {changed:.3g} of {name!r}" if changed > _LEAST_SHARE else ""
        step = 0.0
        if name in self.tensors:
            ideal, step = self.tensors[name].rounded(ideal), float(read_array(self.tensors[name].scale))
        off, expected, size = _rms(got, want), _rms(ideal, want), _size(want)
        if off <= _MOST_TIMES * expected + _MOST_STEPS * step or off <= _LEAST_SHARE * size:
            return ""
        return (
            f"quantized, it is off by {off / (size or 1):.2g} of its output's size, where rounding "
            f"alone makes {expected / (size or 1):.2g}"
        )


def _run(
    model: onnx.ModelProto, feeds: Sequence[Feeds], level: Optimization = Optimization.DEFAULT
) -> list[dict[str, Array]]:
    session = open_session(model, Runtime(), level)
    try:
        return [run_session(session, one) for one in feeds]
    except Exception as exc:  # the runtime's exceptions share no base class
        raise ModelError(next(iter(str(exc).strip().splitlines()), type(exc).__name__)) from exc


def _rms(a: Array, b: Array) -> float:
    """Return the root mean square of a difference where both are finite; infinite if only one is."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    if (np.isfinite(a) != np.isfinite(b)).any():
        return float("inf")
    fine = np.isfinite(a)
    return float(np.sqrt(np.mean(np.square(a[fine] - b[fine])))) if fine.any() else 0.0


def _size(values: Array) -> float:
    return _rms(values, np.where(np.isfinite(values), 0, values))


def _rounded_best(weight: onnx.TensorProto, axis: int) -> onnx.TensorProto:
    """Return a weight rounded to 127 steps to either side of zero, per slice along an axis."""
    exact = read_array(weight).astype(np.float64)
    others = tuple(i for i in range(exact.ndim) if i != axis % exact.ndim)
    scale = np.abs(exact).max(axis=others, keepdims=True) / 127
    scale[scale == 0] = 1.0
    return numpy_helper.from_array((np.rint(exact / scale) * scale).astype(np.float32), weight.name)
