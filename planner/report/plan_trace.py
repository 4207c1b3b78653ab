"""One request of a plan as a trace: stages on devices and tensors on links, predicted and measured."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from planner.formatting import size_text
from planner.plan.plan_record import Cut, Plan
from planner.report.trace_events import MEASURED, PREDICTED, Trace, TraceLanes
from planner.scenario.loader import parse_scenario
from planner.scenario.schema import Scenario
from profiling.graph.operator_graph import OperatorGraph


@dataclass(frozen=True, slots=True)
class PlacedStage:
    """A stage in running order: its device and its units by index."""

    device: str
    units: tuple[int, ...]


def plan_trace(plan: Plan, graph: OperatorGraph, stages: Sequence[PlacedStage]) -> Trace:
    """Return one request, one thing after another, as long as the plan's latency.

    A stage's predicted seconds are its share, by its units, of what its device computes. Its measured ones
    begin where those do: the stage's time over the fp32 model's, as measured when the plan was verified, of
    the fp32 model's time on the device. Links have predicted seconds only.
    """
    scenario, lanes = parse_scenario(bytes(plan.scenario)), TraceLanes()
    waiting = list(plan.cuts)
    clock_s = 0.0
    for number, stage in enumerate(stages):
        clock_s = _send(lanes, scenario, _taken(waiting, graph, stage), clock_s)
        seconds = _predicted_s(plan, stages, stage)
        facts = {"units": str(len(stage.units)), "precisions": _precisions(plan, stage)}
        lanes.add(PREDICTED, stage.device, f"stage {number}", clock_s, seconds, facts)
        measured_s = _measured_s(plan, number, stage.device, len(stages))
        if measured_s is not None:
            lanes.add(MEASURED, stage.device, f"stage {number}", clock_s, measured_s, facts)
        clock_s += seconds
    _send(lanes, scenario, waiting, clock_s)
    return lanes.trace()


def _taken(waiting: list[Cut], graph: OperatorGraph, stage: PlacedStage) -> list[Cut]:
    """Take out of the tensors that are still to be sent those that a stage reads, and return them."""
    read = {name for unit in stage.units for name in graph.units[unit].inputs}
    taken = [cut for cut in waiting if cut.target == stage.device and cut.tensor in read]
    waiting[:] = [cut for cut in waiting if cut not in taken]
    return taken


def _send(lanes: TraceLanes, scenario: Scenario, cuts: Collection[Cut], clock_s: float) -> float:
    """Add tensors on their links, one after another, and return when the last one has arrived."""
    for cut in cuts:
        facts = {"bytes": size_text(cut.size_bytes), "sent as": cut.wire.value}
        for lane, seconds in _hops(scenario, cut):
            lanes.add(PREDICTED, lane, cut.tensor, clock_s, seconds, facts)
            clock_s += seconds
    return clock_s


def _hops(scenario: Scenario, cut: Cut) -> Iterator[tuple[str, float]]:
    """Yield each link of a tensor's route and its share of the seconds, by what the scenario says of it."""
    links = {(link.source, link.target): link for link in scenario.links}
    hops = list(pairwise(cut.path))
    own_s = [links[hop].latency_s + cut.size_bytes / links[hop].bandwidth_bytes_per_s for hop in hops]
    for (source, target), seconds in zip(hops, own_s, strict=True):
        share = seconds / sum(own_s) if sum(own_s) else 1 / len(hops)
        yield f"{source} > {target}", cut.seconds * share


def _predicted_s(plan: Plan, stages: Sequence[PlacedStage], stage: PlacedStage) -> float:
    """Return a stage's share of its device's seconds: by its units, or an equal one where none has any."""
    if plan.predicted is None:
        return 0.0
    on_device = [other for other in stages if other.device == stage.device]
    own_s = [sum(plan.assignments[unit].compute_s for unit in other.units) for other in on_device]
    at = next(n for n, other in enumerate(on_device) if other is stage)
    share = own_s[at] / sum(own_s) if sum(own_s) else 1 / len(on_device)
    return plan.predicted.compute_s.get(stage.device, 0.0) * share


def _measured_s(plan: Plan, number: int, device: str, stages: int) -> float | None:
    """Return a stage's measured seconds; None of a plan that was not measured stage by stage."""
    if plan.measured is None or plan.predicted is None or device not in plan.predicted.fp32_s:
        return None
    ratios = plan.measured.stage_ratios_to_fp32
    return ratios[number] * plan.predicted.fp32_s[device] if len(ratios) == stages else None


def _precisions(plan: Plan, stage: PlacedStage) -> str:
    return ", ".join(dict.fromkeys(plan.assignments[unit].precision.value for unit in stage.units))
