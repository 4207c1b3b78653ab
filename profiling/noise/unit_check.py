"""Which units come out wrong once they are quantized, found by quantizing and running them."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx
from onnx import shape_inference

from profiling.arrays import Array, Feeds
from profiling.errors import ModelError, QuantizeError
from profiling.graph.operator_graph import Unit
from profiling.graph.unit_graph import ModelGraph
from profiling.noise.form_check import FormCheck
from profiling.noise.isolated_units import (
    NEGLIGIBLE_SHARE,
    ROUNDING_FACTOR,
    IsolatedUnits,
    rms,
    rms_difference,
    run_all,
    walk_units,
)
from profiling.noise.operator_check import OperatorCheck
from profiling.on_device.create_session import Optimization
from profiling.onnx_io.extract import SubmodelExtractor
from profiling.precision import Precision
from profiling.quantization.calibration import Calibration
from profiling.quantization.fake_quantization import tensor_roundings, weight_roundings
from profiling.quantization.node_forms import form_of
from profiling.quantization.qdq_model import quantize
from profiling.quantization.ranges_file import read_ranges
from profiling.runtime.crash_journal import CrashJournal

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class UnitCheck:
    """Units that are tried out, and how.

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


def refused_units(check: UnitCheck) -> dict[str, str]:
    """Return unit -> why it must not be quantized, for units that the graph takes for quantizable.

    The quantization tool may refuse a unit, and the runtime may compute something else with it: each
    unit runs alone with what it reads in some samples, quantized, beside the same numbers rounded in float.
    Then all run together. Where tensors stay in float, `profiling.noise.form_check` does so, and where
    operators on integers are in the file, `profiling.noise.operator_check`.
    """
    graph, journal = check.graph, check.journal
    scheme = check.calibration.scheme
    if not scheme.precision.is_static:
        form = form_of(scheme.precision, reduce_range=scheme.reduce_range)
        return FormCheck(graph, scheme, form, check.samples, check.level, journal).refused_units()
    if scheme.precision is Precision.INT8_QOPERATOR:
        in_int8 = replace(check, calibration=replace(check.calibration, scheme=scheme.at(Precision.INT8)))
        quantized, _ = _quantized(in_int8, _infinite(in_int8))
        return OperatorCheck(
            graph, quantized, scheme.label, check.samples, check.level, journal
        ).refused_units()
    reasons = {
        unit.name: f"quantized, it ended ONNX Runtime ({cause})"
        for unit in graph.units
        if (cause := journal.cause_of(check.note(unit.name)))
    }
    reasons |= _infinite(check)
    quantized, refused = _quantized(check, reasons)
    reasons |= refused
    wrong: dict[str, str] = {}
    isolated = IsolatedUnits(
        graph,
        SubmodelExtractor(graph.model),
        SubmodelExtractor(quantized),
        tensor_roundings(quantized),
        weight_roundings(quantized),
        check.level,
    )
    for unit, live in walk_units(graph, check.samples):
        if unit.can_be(Precision.INT8) and unit.name not in reasons:
            with journal.entry(check.note(unit.name)):
                reason = isolated.fault_of(unit, live)
            if reason:
                wrong[unit.name] = reason
    reasons |= wrong
    reasons |= _refused_together(check, reasons, None if wrong else quantized)
    for name, reason in reasons.items():
        log.info("unit %s stays in float in %s: %s", name, check.calibration.scheme.label, reason)
    return reasons


def _infinite(check: UnitCheck) -> dict[str, str]:
    """Return the units that read or write something infinite, a mask of attention, say: it has no scale."""
    nodes = {node.name: node for node in check.graph.model.graph.node}
    ranges = read_ranges(check.calibration.ranges)
    infinite = {name for name, limits in ranges.items() if not np.isfinite(limits).all()}
    reasons = {}
    for unit in check.graph.units:
        touched = (name for node in unit.nodes for name in (*nodes[node].input, *nodes[node].output))
        first = next((name for name in touched if name in infinite), None)
        if unit.can_be(Precision.INT8) and first is not None:
            reasons[unit.name] = f"{first!r} holds infinity or no number, which has no scale"
    return reasons


def _refused_together(
    check: UnitCheck, refused: Mapping[str, str], quantized: onnx.ModelProto | None
) -> dict[str, str]:
    """Return units that come out wrong beside others only: the runtime rewrites whole neighbourhoods.

    All quantized units run together, as the runtime computes them and in float; where that fails, the
    first unit with which it does is left out, until it does not. A bisection finds that unit: it takes for
    granted that what fails with some units fails with more of them.

    Parameters
    ----------
    quantized
        The model with all the others in int8, if it is at hand.
    """
    able = [unit for unit in check.graph.units if unit.can_be(Precision.INT8) and unit.name not in refused]
    exact = run_all(check.graph.model, check.samples)
    at_hand = {} if quantized is None else {len(able): quantized}
    reasons: dict[str, str] = {}

    def fault(count: int) -> str:
        note = check.note(f"the first {count} units, up to {able[count - 1].name}")
        if cause := check.journal.cause_of(note):
            return f"quantized beside others, it ended ONNX Runtime ({cause})"
        with check.journal.entry(note):
            model = at_hand[count] if count in at_hand else check.quantized(able[:count])
            return _fault_together(check, model, exact)

    while able and (reason := fault(len(able))):
        good, bad = 0, len(able)
        while bad - good > 1:
            middle = (good + bad) // 2
            earlier = fault(middle)
            good, bad, reason = (good, middle, earlier) if earlier else (middle, bad, reason)
        reasons[able.pop(bad - 1).name] = reason
    return reasons


def _fault_together(
    check: UnitCheck, quantized: onnx.ModelProto, exact: Sequence[Mapping[str, Array]]
) -> str:
    """Return what is wrong when units run quantized together; empty if nothing is."""
    try:
        computed = run_all(quantized, check.samples, check.level)
    except ModelError as exc:
        return f"quantized beside others, the model does not run: {exc}"
    # Below the default level the runtime computes between Q and DQ in float: what rounding alone makes.
    in_float = run_all(quantized, check.samples, Optimization.BASIC)
    for name in check.graph.outputs:
        if not np.issubdtype(exact[0][name].dtype, np.floating):
            continue  # a class may change by rounding alone; budgets see to that
        size = max(rms(outputs[name]) for outputs in exact)
        off, expected = (
            max(rms_difference(a[name], b[name]) for a, b in zip(outputs, exact, strict=True))
            for outputs in (computed, in_float)
        )
        if off > ROUNDING_FACTOR * expected + NEGLIGIBLE_SHARE * size:
            return (
                f"quantized beside others, it brings {name!r} off by {off / (size or 1):.2g} of its size, "
                f"in float by {expected / (size or 1):.2g}"
            )
    return ""


def _quantized(check: UnitCheck, refused: Mapping[str, str]) -> tuple[onnx.ModelProto, dict[str, str]]:
    """Return the model with all units quantized that the tool takes, and why it does not take the others."""
    able = [unit for unit in check.graph.units if unit.can_be(Precision.INT8) and unit.name not in refused]
    reasons: dict[str, str] = {}
    while True:  # all at once as a rule: one call of the tool instead of one per unit
        try:
            return shape_inference.infer_shapes(check.quantized(able)), reasons
        except QuantizeError:
            faulty = _refused_alone(check, able) or _first_refused(check, able)
            reasons |= faulty
            able = [unit for unit in able if unit.name not in faulty]


def _refused_alone(check: UnitCheck, units: Sequence[Unit]) -> dict[str, str]:
    extractor = SubmodelExtractor(check.graph.model)
    reasons = {}
    for unit in units:
        try:
            part = extractor.extract(unit.inputs, unit.outputs)
            quantize(part, check.calibration.of(unit.nodes), check.calibration.ranges)
        except QuantizeError as exc:
            reasons[unit.name] = str(exc)
    return reasons


def _first_refused(check: UnitCheck, units: Sequence[Unit]) -> dict[str, str]:
    """Return the first unit that the tool does not take together with those before it."""
    good, bad, reason = 0, len(units), "the quantization tool does not take it beside others"
    while bad - good > 1:
        middle = (good + bad) // 2
        try:
            check.quantized(units[:middle])
            good = middle
        except QuantizeError as exc:
            bad, reason = middle, str(exc)
    return {units[bad - 1].name: reason}
