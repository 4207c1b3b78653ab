"""A simpler plan that costs hardly more: fewer tensors that change their precision or their device."""

from collections.abc import Iterator, Mapping, Sequence
from math import inf
from typing import NamedTuple

import networkx as nx

from planner.problem.cost_evaluation import evaluate, is_feasible
from planner.problem.placement_problem import Choice, PlacementProblem
from planner.problem.tensors import Flow
from planner.problem.units import Option
from planner.solver.heuristics.incremental_evaluation import IncrementalEvaluation


class Kind(NamedTuple):
    """What neighbouring units have in common: a device, by its number, and a precision."""

    device: int
    precision: str


def count_changes(problem: PlacementProblem, choice: Choice) -> int:
    """Return how often tensors change: once per other precision and once per other device that read one."""
    chosen = [v.options[o] for v, o in zip(problem.vertices, choice.options, strict=True)]
    return sum(_changes_of(flow, chosen) for flow in problem.flows)


def simpler_plan(problem: PlacementProblem, choice: Choice, at_most: float) -> Choice:
    """Return a feasible plan with fewer changes whose objective is at most `at_most`, else the same plan.

    Neighbouring units on one device and in one precision take the device, the precision, or both, of a
    neighbour, and neighbouring units on one device take that of a neighbour, as long as that takes changes
    away; of several such steps the one that takes away most comes first, and of equal ones the cheapest.
    """
    found = _Simplification(problem, choice, at_most).run()
    cost = evaluate(problem, found)
    is_simpler = count_changes(problem, found) < count_changes(problem, choice)
    return found if is_simpler and is_feasible(problem, cost) and cost.objective <= at_most else choice


class _Step(NamedTuple):
    """A step of a simplification; the least comes first."""

    added_changes: int
    objective: float
    options: list[tuple[int, int]]


class _Simplification:
    def __init__(self, problem: PlacementProblem, choice: Choice, at_most: float) -> None:
        self.problem, self.at_most = problem, at_most
        self.state = IncrementalEvaluation(problem, choice)
        self.options = [
            {_kind(option): number for number, option in enumerate(vertex.options)}
            for vertex in problem.vertices
        ]
        self.flows: list[set[int]] = [set() for _ in problem.vertices]
        for number, flow in enumerate(problem.flows):
            for vertex in (flow.producer, *flow.consumers):
                self.flows[vertex].add(number)

    def run(self) -> Choice:
        """Take steps until none is left, and return where they end."""
        while (step := min(self._steps(), default=None)) is not None:
            self.state.change(step.options)
            self.state.keep()
        return self._with_used_wires(self.state.choice)

    def _steps(self) -> Iterator[_Step]:
        for options in self._changes_of_groups():
            if None not in options.values() and (step := self._tried(_numbers(options))) is not None:
                yield step

    def _changes_of_groups(self) -> Iterator[dict[int, int | None]]:
        """Yield what groups of units could become: unit -> its option, None where it has none."""
        for group in self._groups([_kind(option) for option in self.state.chosen]):
            own = _kind(self.state.chosen[group[0]])
            for kind in self._kinds_around(group, own):
                yield {unit: self._option_in(unit, kind) for unit in group}
        for group in self._groups([option.device for option in self.state.chosen]):
            own = _kind(self.state.chosen[group[0]])
            for device in sorted({kind.device for kind in self._kinds_around(group, own)} - {own.device}):
                kinds = ((unit, Kind(device, self.state.chosen[unit].precision)) for unit in group)
                yield {unit: self._option_in(unit, kind) for unit, kind in kinds}

    def _groups(self, shared: Sequence[object]) -> list[list[int]]:
        """Return connected units that share something, terminals nowhere.

        Parameters
        ----------
        shared
            Of each vertex.
        """
        vertices = self.problem.vertices
        alike = nx.Graph()
        alike.add_nodes_from(v for v, vertex in enumerate(vertices) if not vertex.is_terminal)
        alike.add_edges_from(
            (flow.producer, reader)
            for flow in self.problem.flows
            for reader in flow.consumers
            if flow.producer in alike and reader in alike and shared[flow.producer] == shared[reader]
        )
        return [sorted(group) for group in nx.connected_components(alike)]

    def _kinds_around(self, group: list[int], own: Kind) -> list[Kind]:
        """Return what units could become: as a neighbour, or with its device or precision alone."""
        around = {
            _kind(self.state.chosen[v])
            for unit in group
            for number in self.flows[unit]
            for v in (self.problem.flows[number].producer, *self.problem.flows[number].consumers)
        }
        kinds = {
            one
            for near in around
            for one in (near, Kind(own.device, near.precision), Kind(near.device, own.precision))
        }
        return sorted(kinds - {own})

    def _option_in(self, unit: int, kind: Kind) -> int | None:
        """Return a unit's option of a kind, in float where it lacks the precision; None if it has neither."""
        return self.options[unit].get(kind, self.options[unit].get(Kind(kind.device, _FLOAT)))

    def _tried(self, options: list[tuple[int, int]]) -> _Step | None:
        """Return a step if it leaves fewer changes, keeps all limits and is cheap enough."""
        state = self.state
        touched = {number for unit, _ in options for number in self.flows[unit]}
        before = self._changes(touched)
        state.change(options)
        added = self._changes(touched) - before
        objective = state.objective() if added < 0 else inf
        is_allowed = objective <= self.at_most and not any(state.excesses())
        state.undo()
        return _Step(added, objective, options) if is_allowed else None

    def _changes(self, flows: set[int]) -> int:
        return sum(_changes_of(self.problem.flows[number], self.state.chosen) for number in flows)

    def _with_used_wires(self, choice: Choice) -> Choice:
        """Return the choice with the wires of tensors alone that cross a link."""
        crossing = {crossing.flow for crossing in evaluate(self.problem, choice).crossings}
        wires = tuple(wire if flow in crossing else 0 for flow, wire in enumerate(choice.wires))
        return Choice(choice.options, wires if any(wires) else ())


_FLOAT = "fp32"


def _numbers(options: Mapping[int, int | None]) -> list[tuple[int, int]]:
    return [(unit, number) for unit, number in options.items() if number is not None]


def _kind(option: Option) -> Kind:
    return Kind(option.device, option.precision)


def _changes_of(flow: Flow, chosen: list[Option]) -> int:
    own, readers = chosen[flow.producer], [chosen[v] for v in flow.consumers]
    precisions = {option.precision for option in readers} - {own.precision}
    return len(precisions) + len({option.device for option in readers} - {own.device})
