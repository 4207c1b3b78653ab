"""Branching on the devices whose work every path waits for, where a makespan is minimised.

Some units are on every path from a model's source to its sink. The devices that run one of these work one
after another, whatever the graph: a makespan has all their work, not only that along a path. Any other
device has all its units between two neighbours of these, since no path leaves its units and comes back.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf, prod

from planner.problem.placement_problem import PlacementProblem
from planner.solver.lagrangian.dual_bound import Bound
from planner.solver.lagrangian.dual_problem import Restriction
from planner.solver.lagrangian.path_lengths import BEGIN, PathGraph

_LEAST_GAIN = 1e-4  # of the value: what a bound surely gains, so that gains of two parts can be multiplied
_LEAST_SHARE = 1e-3  # of the value: what a mixture leaves out by less is not worth a branch


@dataclass(frozen=True, slots=True)
class Section:
    """Units of a model on every path (then it is one), or between two neighbours of these."""

    model: int
    number: int
    is_on_every_path: bool


def sections(graph: PathGraph) -> dict[int, Section]:
    """Return unit -> its section; numbers rise along paths."""
    before, after, every = _path_counts(graph)
    found: dict[int, Section] = {}
    passed: dict[int, int] = {}
    for v in graph.units:
        model = graph.model_of[v]
        is_on_every_path = before[v] * after[v] == every[model]
        passed[model] = passed.get(model, 0) + is_on_every_path
        found[v] = Section(model, passed[model], is_on_every_path)
    return found


def _path_counts(graph: PathGraph) -> tuple[dict[int, int], dict[int, int], dict[int, int]]:
    """Return unit -> the number of paths to it, and from it; model -> the number of all paths."""
    before, after = dict.fromkeys(graph.units, 0), dict.fromkeys(graph.units, 0)
    ends = [(edge.tail, edge.head) for edge in graph.edges]
    leaving: dict[int, list[int]] = {v: [] for v in graph.units}
    for tail, head in ends:
        if tail == BEGIN:
            before[head] = before.get(head, 0) + 1
        else:
            leaving[tail].append(head)
    for v in graph.units:
        for head in leaving[v]:
            before[head] = before.get(head, 0) + before[v]
    for v in reversed(graph.units):
        after[v] = sum(after.get(head, 1) for head in leaving[v])
    every = dict.fromkeys(graph.model_of.values(), 0)
    for edge in graph.edges:
        every[edge.model] += after.get(edge.head, 1) if edge.tail == BEGIN else 0
    return before, after, every


class SerialDevices:
    """The branches of a problem."""

    def __init__(self, problem: PlacementProblem, graph: PathGraph) -> None:
        self._problem = problem
        self._sections = sections(graph)

    def parts(
        self,
        within: Restriction,
        bound: Bound,
        probe: Callable[[Restriction], float],
        most_probed: float = inf,
    ) -> tuple[Restriction, ...]:
        """Return two parts that together hold all plans of a restriction; none if its mixture needs none.

        Parameters
        ----------
        probe
            Returns a bound on the plans of a restriction, soon: the parts of the highest ones are taken.
        most_probed
            Pairs of parts for which there is time; one is taken without a probe.
        """
        pairs = list(self._pairs(within, bound))
        pairs = pairs[: max(1, int(min(most_probed, len(pairs))))]
        if len(pairs) <= 1:
            return pairs[0] if pairs else ()
        least = _LEAST_GAIN * abs(bound.value)
        gains = [prod(max(least, probe(part) - bound.value) for part in pair) for pair in pairs]
        return pairs[gains.index(max(gains))]

    def holds(self, devices: frozenset[int], options: Sequence[int]) -> bool:
        """Return whether each of some devices runs a unit that is on every path."""
        vertices = self._problem.vertices
        on_every_path = [v for v, section in self._sections.items() if section.is_on_every_path]
        return devices <= {vertices[v].options[options[v]].device for v in on_every_path}

    def _pairs(self, within: Restriction, bound: Bound) -> Iterator[tuple[Restriction, Restriction]]:
        """Yield the parts by each device that works in the mixture beside what is on every path."""
        every = set(self._sections.values())
        seconds = self._seconds(bound)
        # Those that work longest first, as there may be no time to probe all.
        for device, row in sorted(seconds.items(), key=lambda item: (-sum(item[1].values()), item[0])):
            if device in within.serial or sum(row.values()) < _LEAST_SHARE * abs(bound.value):
                continue
            if not self._problem.devices[device].contiguous:
                continue  # its units may run at once, and anywhere on paths
            if device not in within.confined:
                confined = self._without(within, device, {s for s in every if s.is_on_every_path})
                serial = replace(within, serial=within.serial | {device})
                yield serial, replace(confined, confined=within.confined | {device})
            elif len(row) > 1:
                later = {s for s in every if s.number > _middle(row)}
                yield self._without(within, device, later), self._without(within, device, every - later)

    def _seconds(self, bound: Bound) -> dict[int, dict[int, float]]:
        """Return device -> section -> seconds that a mixture has there beside what is on every path."""
        found: dict[int, dict[int, float]] = {}
        for mixed in bound.mixture:
            for v, section in self._sections.items():
                option = self._problem.vertices[v].options[mixed.options[v]]
                if not section.is_on_every_path and option.seconds > 0:
                    row = found.setdefault(option.device, {})
                    row[section.number] = row.get(section.number, 0.0) + mixed.share * option.seconds
        return found

    def _without(self, within: Restriction, device: int, left_out: set[Section]) -> Restriction:
        """Return the plans that have a device's units in no section that is left out."""
        model = self._problem.devices[device].model
        devices = dict(within.devices)
        for v, section in self._sections.items():
            if section.model == model and section in left_out:
                own = devices.get(v, frozenset(o.device for o in self._problem.vertices[v].options))
                devices[v] = own - {device}
        return replace(within, devices=devices)


def _middle(row: dict[int, float]) -> int:
    """Return the number of a section, not the last, up to which about half of a sum is."""
    total, part = sum(row.values()), 0.0
    numbers = sorted(row)
    for number in numbers[:-1]:
        part += row[number]
        if part >= total / 2:
            return number
    return numbers[-2]
