"""A plan beside everything on one device, in words, and why a plan is on one device."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass

from planner.formatting import short_name, size_text, time_text
from planner.plan.plan_record import Plan, SingleDevice
from planner.scenario.schema import PlacementSpec, Scenario
from planner.solver.result import SolveStatus
from profiling.graph.operator_graph import OperatorGraph
from profiling.precision import Precision

_ALIKE = 1.005  # a ratio that would be shown as 1.0 times
_HARDLY, _MANY = 1.095, 9.95
_BETTER = {"latency": "faster", "makespan": "faster", "period": "more requests per second"}


def best_single_device(plan: Plan) -> SingleDevice | None:
    """Return the best device for everything, of those that keep the budgets; None if there is none."""
    within = [row for row in plan.single_device if not row.broken]
    return min(within, key=lambda row: row.objective, default=None)


def against_single_device(plan: Plan) -> str:
    """Return how a plan compares with the best single device, as the end of a sentence; "" if not known."""
    best, value = best_single_device(plan), plan.objective.value
    if not plan.single_device or not value:
        return ""
    devices = list(dict.fromkeys(assignment.device for assignment in plan.assignments))
    if len(devices) == 1 and len(plan.quantization) > 1:
        return _unsplit_text(plan, devices[0], best, value)
    if best is None:
        return "no device keeps the budgets alone"
    ratio = best.objective / value
    whole = f"{best.device} alone, in {_precision(best)}"
    if ratio < _ALIKE:
        return f"no better than {whole}"
    than = _BETTER.get(plan.objective.name)
    return f"{_times(ratio)} times {than} than {whole}" if than else f"{1 / ratio:.0%} of {whole}"


def _unsplit_text(plan: Plan, device: str, best: SingleDevice | None, value: float) -> str:
    """Return what is said of a plan with all units on one of several devices."""
    split = "no split is better" if plan.status == SolveStatus.OPTIMAL else "no better split was found"
    text = f"all on {device}, {split}"
    ratio = best.objective / value if best is not None else 1.0
    if best is None or ratio < _ALIKE:
        return text
    throughout = best.device == device and best.precision is not None
    whole = f"in {_precision(best)} throughout" if throughout else f"on {best.device} alone"
    than = _BETTER.get(plan.objective.name)
    return f"{text}; " + (
        f"{_times(ratio)} times {than} than {whole}" if than else f"{1 / ratio:.0%} of {whole}"
    )


def _precision(row: SingleDevice) -> str:
    return "mixed precision" if row.precision is None else row.precision.value


def _times(ratio: float) -> str:
    """Return a ratio in the digits that tell it from 1, and never with an exponent.

    Examples
    --------
    >>> _times(1.038), _times(1.66), _times(214.3)
    ('1.04', '1.7', '214')
    """
    if ratio < _HARDLY:
        return f"{ratio:.2f}"
    return f"{ratio:.2g}" if ratio < _MANY else f"{ratio:.0f}"


@dataclass(frozen=True, slots=True)
class _PossibleCut:
    """A cut behind a unit in running order: at least what it sends, and what is before it needs."""

    unit: str
    size_bytes: int
    memory_bytes: int


def why_unsplit_text(plan: Plan, scenario: Scenario, graph: OperatorGraph) -> str:
    """Return in one sentence what speaks against a split where all units are on one of several devices.

    Sizes are the least that the scenario's precisions and wires allow. "" for other plans, and where the
    source has no link.
    """
    devices = {assignment.device for assignment in plan.assignments}
    if len(devices) != 1 or len(scenario.devices) == 1 or plan.objective.name != "latency":
        return ""
    budget = scenario.budget
    # What these rule out is no matter of sizes.
    if (
        scenario.placement != PlacementSpec()
        or budget.energy_j
        or budget.traffic_kib
        or budget.total_energy_j
    ):
        return ""
    (device,) = devices
    cuts = list(_possible_cuts(scenario, graph))
    if device == scenario.source:
        return _kept_at_source_text(plan, scenario, graph, cuts)
    limit_mib = scenario.budget.memory_mib.get(scenario.source)
    within = [cut for cut in cuts if limit_mib is None or cut.memory_bytes <= limit_mib * 2**20]
    sent = sum(cut.size_bytes for cut in plan.cuts if cut.source == scenario.source)
    if not within:
        return f"not split: not even the first unit fits into the memory of {scenario.source}" if cuts else ""
    least = min(within, key=lambda cut: cut.size_bytes)
    memory = f" within the memory of {scenario.source}" if limit_mib is not None else ""
    size = size_text(least.size_bytes)
    if least.size_bytes >= sent:
        return (
            f"not split: in running order, a split{memory} sends at least {size}, and what {scenario.source} "
            f"sends now is {size_text(sent)}"
        )
    return (
        f"not split: in running order, the least that a split{memory} sends is {size} behind "
        f"{short_name(least.unit)} instead of {size_text(sent)}; the units up to there take "
        f"{scenario.source} longer than that saves"
    )


def _kept_at_source_text(
    plan: Plan, scenario: Scenario, graph: OperatorGraph, cuts: list[_PossibleCut]
) -> str:
    least = min([_input_bytes(scenario, graph), *(cut.size_bytes for cut in cuts)])
    seconds = min(
        (
            link.latency_s + least / link.bandwidth_bytes_per_s
            for link in scenario.links
            if link.source == scenario.source
        ),
        default=None,
    )
    if seconds is None or plan.predicted is None:
        return ""
    here = seconds > plan.predicted.latency_s
    compared = "longer than the whole request here" if here else "more than other devices save"
    return (
        f"not split: the least that {scenario.source} could send is {size_text(least)}, which takes "
        f"{time_text(seconds)} on a link, {compared}"
    )


def _input_bytes(scenario: Scenario, graph: OperatorGraph) -> int:
    """Return the least bytes in which the inputs may cross, as they arose if that is known."""
    return sum(
        min(
            _least_bytes(scenario, graph, name),
            scenario.inputs[name].wire_bytes if name in scenario.inputs else sys.maxsize,
        )
        for name in graph.inputs
    )


def _possible_cuts(scenario: Scenario, graph: OperatorGraph) -> Iterator[_PossibleCut]:
    """Yield the cuts behind each unit but the last, in running order."""
    allowed = scenario.precisions_of(scenario.device(scenario.source))
    weights, largest = 0, 0
    for unit in graph.units[:-1]:
        precisions = [p for p in allowed if unit.can_be(p)] or [Precision.FP32]
        weights += min(graph.stored_bytes(unit.index, precision) for precision in precisions)
        ends = (*unit.inputs, *unit.outputs)
        largest = max(largest, sum(_least_bytes(scenario, graph, name) for name in ends))
        crossing = [
            name
            for name in graph.tensors
            if _is_before(graph.producer(name), unit.index)
            and any(reader > unit.index for reader in graph.consumers(name))
        ]
        size = sum(_least_bytes(scenario, graph, name) for name in crossing)
        yield _PossibleCut(unit.name, size, weights + largest)


def _is_before(producer: int | None, unit: int) -> bool:
    return producer is None or producer <= unit


def _least_bytes(scenario: Scenario, graph: OperatorGraph, name: str) -> int:
    """Return the least bytes in which a tensor may cross a link or lie in memory."""
    tensor = graph.tensors[name]
    wires = {wire.value for wire in scenario.wires}
    numbers = {precision.numbers for precision in scenario.offered_precisions}
    if tensor.is_float and (Precision.INT8 in numbers or "uint8" in wires):
        return tensor.elements
    return tensor.elements * 2 if tensor.is_float and "float16" in wires else tensor.size_bytes
