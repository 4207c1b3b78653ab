"""The makespan of a request: stages run in an order, each once its tensors have come, and may overlap."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from math import inf

import networkx as nx

from planner.problem.placement_problem import PlacementProblem
from planner.problem.stage_ways import Stage, StageWays, blocked_device, unit_stage
from planner.problem.units import Option


def makespans_s(
    problem: PlacementProblem,
    chosen: Sequence[Option],
    busy_s: Sequence[float],
    ways: StageWays,
    sequence: Sequence[int] | None,
) -> list[float]:
    """Return when each model's last answer is there, if each stage starts once its tensors have come.

    Parameters
    ----------
    chosen
        Vertex -> its option.
    busy_s
        Seconds that each device computes.
    sequence
        What runs, as `stage_sequence` returns it. Where it is None, or no makespan is defined, infinity.
    """
    if sequence is None or not problem.has_makespan:
        return [inf for _ in problem.models]
    schedule = _Schedule(problem, chosen, busy_s, ways)
    for stage in sequence:
        schedule.run(stage)
    return schedule.ends_s()


class _Schedule:
    """When stages end, as they run one after another or beside each other."""

    def __init__(
        self,
        problem: PlacementProblem,
        chosen: Sequence[Option],
        busy_s: Sequence[float],
        ways: StageWays,
    ) -> None:
        self._problem, self._chosen, self._busy_s, self._ways = problem, chosen, busy_s, ways
        self._end_s: dict[Stage, float] = {}
        self._into: defaultdict[Stage, list[tuple[Stage, float]]] = defaultdict(list)
        for (start, end, _), seconds in ways.between_s.items():
            self._into[end].append((start, seconds))
        # A device runs one of a model's stages at a time, and none while its sources send.
        self._device_free_s: defaultdict[tuple[int, int], float] = defaultdict(float)
        for end, seconds in ways.sent_s.items():
            self._device_free_s[self._place(blocked_device(end))] = seconds

    def run(self, stage: int) -> None:
        """Run a stage once its tensors have come."""
        count = len(self._problem.devices)
        if stage >= count:
            self._end_s[stage] = self._arrival_s(stage) + self._chosen[stage - count].seconds
            return
        place = self._place(stage)
        begin_s = max(self._arrival_s(stage), self._device_free_s[place])
        self._end_s[stage] = begin_s + self._busy_s[stage] + self._ways.stage_s.get(stage, 0.0)
        self._device_free_s[place] = self._end_s[stage]

    def ends_s(self) -> list[float]:
        """Return model -> when all its stages have run, and its sinks have their tensors."""
        problem, last_s = self._problem, [0.0 for _ in self._problem.models]

        def note(model: int, end_s: float) -> None:
            last_s[model] = max(last_s[model], end_s)

        for d, device in enumerate(problem.devices):
            note(device.model, self._end_s.get(d, 0.0))
        for v, vertex in enumerate(problem.vertices):
            note(vertex.model, self._end_s.get(unit_stage(problem, v), 0.0))
        for (start, end, model), seconds in self._ways.between_s.items():
            if end is None or end < 0:
                note(model, self._end_of(start) + seconds)
        for end, seconds in self._ways.received_s.items():
            # What a blocked device's sinks get comes after its stages.
            place = self._place(blocked_device(end))
            note(place[1], max(self._arrival_s(end), self._device_free_s[place]) + seconds)
        return last_s

    def _place(self, device: int) -> tuple[int, int]:
        return self._problem.physical_device(device), self._problem.devices[device].model

    def _arrival_s(self, stage: Stage) -> float:
        return max((self._end_of(start) + s for start, s in self._into[stage]), default=0.0)

    def _end_of(self, stage: Stage) -> float:
        """Return when a stage has run; what a source has is there, but for what it sends over its device."""
        if stage is None or stage < 0:
            return 0.0 if stage is None else self._ways.sent_s.get(stage, 0.0)
        return self._end_s[stage]


def stage_order(
    problem: PlacementProblem, chosen: Sequence[Option], decided: Iterable[tuple[int, int]] = ()
) -> tuple[int, ...] | None:
    """Return contiguous devices in running order, or None if a path leaves one's units and comes back.

    Parameters
    ----------
    decided
        Pairs of contiguous devices of which the first has to run first.
    """
    sequence = stage_sequence(problem, chosen, decided)
    return None if sequence is None else devices_in_order(problem, sequence)


def devices_in_order(problem: PlacementProblem, sequence: Iterable[int]) -> tuple[int, ...]:
    """Return the contiguous devices of a sequence of stages."""
    return tuple(stage for stage in sequence if stage < len(problem.devices))


def stage_sequence(
    problem: PlacementProblem, chosen: Sequence[Option], decided: Iterable[tuple[int, int]] = ()
) -> tuple[int, ...] | None:
    """Return contiguous devices, and units that stand for themselves, in running order, as `stage_order`."""
    after: nx.DiGraph = nx.DiGraph()
    contiguous = [d for d, device in enumerate(problem.devices) if device.contiguous]
    after.add_nodes_from(contiguous)
    count = len(problem.devices)

    def group(vertex: int) -> int:
        # Units of other devices stand for themselves: those may run in any number of stages.
        device = chosen[vertex].device
        return device if problem.devices[device].contiguous else count + vertex

    after.add_nodes_from(group(v) for v, vertex in enumerate(problem.vertices) if not vertex.is_terminal)
    for flow in problem.flows:
        for consumer in flow.consumers:
            if not problem.vertices[flow.producer].is_terminal and not problem.vertices[consumer].is_terminal:
                after.add_edge(group(flow.producer), group(consumer))
    after.remove_edges_from(list(nx.selfloop_edges(after)))
    after.add_edges_from(decided)
    # Visits of one device run in the order of their numbers.
    after.add_edges_from((a, b) for b in contiguous if (a := _earlier_visit(problem, b)) is not None)
    if not nx.is_directed_acyclic_graph(after):
        return None
    return tuple(nx.lexicographical_topological_sort(after))


def _earlier_visit(problem: PlacementProblem, device: int) -> int | None:
    physical = problem.physical_device(device)
    visits = [d for d in range(device) if problem.physical_device(d) == physical]
    return visits[-1] if visits and physical != device else None
