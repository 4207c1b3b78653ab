"""A better plan by changes of units, segments and wires, repeated from perturbed plans."""

import random
from collections.abc import Callable, Iterator, Sequence
from math import inf

import networkx as nx

from planner.problem.cost_evaluation import evaluate, is_feasible
from planner.problem.placement_problem import Choice, PlacementProblem
from planner.problem.unit_dag import dependency_graph
from planner.solver.heuristics.incremental_evaluation import IncrementalEvaluation

Move = tuple[list[tuple[int, int]], list[tuple[int, int]]]  # options of vertices, wires of flows
Score = tuple[float, float, float]
BUILD_TIMES = 8  # as long as an evaluation, at most, takes what a search starts with
_IDLE_ROUNDS = 30  # perturbations without a better plan, after which the search ends
_MOST_WEIGHT = 2.0**20  # of a limit: more of it would hide all other limits


def improve(
    problem: PlacementProblem, start: Choice, deadline: float, clock: Callable[[], float], seed: int = 0
) -> Choice:
    """Return a plan within all limits that is not worse, or the start if it breaks one and none is found."""
    begun = clock()
    best, least = start, _objective(problem, start)
    now = clock()
    if now + BUILD_TIMES * (now - begun) >= deadline:
        return best
    search = LocalSearch(problem, start, deadline, clock, seed)
    idle = 0
    while idle < _IDLE_ROUNDS and clock() < deadline:
        search.descend()
        found = search.state.choice
        objective = _objective(problem, found)
        idle += 1
        if objective < least:
            best, least, idle = found, objective, 0
        elif least < inf:
            search.restart(best)
        search.raise_weights()
        search.perturb()
    return best


def _objective(problem: PlacementProblem, choice: Choice) -> float:
    """Return the objective of a plan, infinite if it breaks a limit or a rule."""
    cost = evaluate(problem, choice)
    return cost.objective if is_feasible(problem, cost) else inf


class LocalSearch:
    """Descends to a choice that no single change makes better; broken limits gain weight."""

    def __init__(
        self,
        problem: PlacementProblem,
        start: Choice,
        deadline: float,
        clock: Callable[[], float],
        seed: int,
    ) -> None:
        self.problem, self.deadline, self.clock = problem, deadline, clock
        self.random = random.Random(seed)
        self.state = IncrementalEvaluation(problem, start)
        self.weights = [1.0] * (len(problem.limits) + 2)
        self.units = list(nx.lexicographical_topological_sort(dependency_graph(problem)))

    def restart(self, choice: Choice) -> None:
        """Go on from another choice."""
        state = self.state
        options = [(v, o) for v, o in enumerate(choice.options) if o != state.numbers[v]]
        wires = [
            (f, w) for f, w in enumerate(map(choice.wire, range(len(state.wires)))) if w != state.wires[f]
        ]
        state.change(options, wires)
        state.keep()

    def score(self) -> Score:
        """Return the weighted excess over limits and rules, the objective, and what hints at a better one."""
        excesses = self.state.excesses()
        excess = sum(w * x for w, x in zip(self.weights, excesses, strict=True))
        return excess, self.state.objective(), self.state.unevenness()

    def repair(self) -> Choice | None:
        """Descend, and return the choice if it is a plan; if not, let what it breaks weigh more."""
        self.descend()
        found = self.state.choice
        if is_feasible(self.problem, evaluate(self.problem, found)):
            return found
        self.raise_weights()
        self.perturb()
        return None

    def raise_weights(self) -> None:
        """Let the limits and rules that are broken now weigh more."""
        excesses = self.state.excesses()
        self.weights = [w * 2 if x > 0 else w for w, x in zip(self.weights, excesses, strict=True)]
        most = max(self.weights)
        if most > _MOST_WEIGHT:
            self.weights = [max(1.0, w * _MOST_WEIGHT / most) for w in self.weights]

    def descend(self) -> None:
        """Take each change that makes the choice better, until none does."""
        score, better = self.score(), True
        while better:
            better = False
            for options, wires in self._moves():
                if self.clock() >= self.deadline:
                    return
                self.state.change(options, wires)
                changed = self.score()
                if _is_better(changed, score):
                    score, better = changed, True
                    self.state.keep()
                else:
                    self.state.undo()

    def perturb(self) -> None:
        """Give a few consecutive units other options at random."""
        if not self.units:
            return
        at = self.random.randrange(len(self.units))
        units = self.units[at : at + self.random.randint(1, 8)]
        self.state.change([(v, self.random.randrange(len(self.problem.vertices[v].options))) for v in units])
        self.state.keep()

    def _moves(self) -> Iterator[Move]:
        positions = self._positions()
        yield from self._boundaries()
        yield from self._groups()
        for at in positions:
            v = self.units[at]
            for o in range(len(self.problem.vertices[v].options)):
                if o != self.state.numbers[v]:
                    yield [(v, o)], []
        for at in positions:
            yield from self._segments(at)
        for f, flow in enumerate(self.problem.flows):
            for wire in (0, *flow.wires):
                if wire != self.state.wires[f]:
                    yield [], [(f, wire)]

    def _positions(self) -> list[int]:
        """Return the places of units in random order, those on the busiest device first."""
        positions = list(range(len(self.units)))
        self.random.shuffle(positions)
        loads = self.state.loads()
        home = self.problem.physical_device
        busiest = max(range(len(self.problem.devices)), key=loads.__getitem__)
        positions.sort(key=lambda at: home(self.state.chosen[self.units[at]].device) != busiest)
        return positions

    def _boundaries(self) -> Iterator[Move]:
        """Yield changes of the units before and after the end of a segment to the device across it."""
        for at in range(1, len(self.units)):
            length = 1
            while length <= len(self.units):
                devices = [self.state.chosen[v].device for v in self.units[at - 1 : at + 1]]
                if devices[0] == devices[1]:
                    break
                yield self._all_to_device(self.units[max(0, at - length) : at], devices[1])
                yield self._all_to_device(self.units[at : at + length], devices[0])
                length *= 2

    def _groups(self) -> Iterator[Move]:
        """Yield changes of units that depend on each other: of one device, or of one format there."""
        for group in self.problem.together:
            units = [v for v in group if not self.problem.vertices[v].is_terminal]
            for device in range(len(self.problem.devices)):
                yield self._all_to_device(units, device)
        for v in self.units:
            vertex = self.problem.vertices[v]
            for o, option in enumerate(vertex.options if vertex.coupled_with else ()):
                kind = (option.format, option.device)
                coupled = [(u, self._options_of_kind(u, kind)) for u in vertex.coupled_with]
                yield [(v, o), *((u, found[0]) for u, found in coupled if found)], []

    def _options_of_kind(self, v: int, kind: tuple[int, int]) -> list[int]:
        options = enumerate(self.problem.vertices[v].options)
        return [o for o, option in options if (option.format, option.device) == kind]

    def _segments(self, at: int) -> Iterator[Move]:
        """Yield changes of consecutive units to a device or to a precision."""
        first = self.problem.vertices[self.units[at]].options
        for length in (2, 4, 8, 16, 64):
            units = self.units[at : at + length]
            for device in dict.fromkeys(o.device for o in first):
                yield self._all_to_device(units, device)
            for precision in dict.fromkeys(o.precision for o in first):
                yield [x for v in units for x in self._to_precision(v, precision)], []
            if at + length >= len(self.units):
                return

    def _all_to_device(self, units: Sequence[int], device: int) -> Move:
        return [x for v in units for x in self._to_device(v, device)], []

    def _to_device(self, v: int, device: int) -> list[tuple[int, int]]:
        """Return the option of the same precision there, or the quickest there."""
        options, precision = self.problem.vertices[v].options, self.state.chosen[v].precision
        there = [o for o, option in enumerate(options) if option.device == device]
        there.sort(key=lambda o: (options[o].precision != precision, options[o].seconds))
        return [(v, o) for o in there[:1]]

    def _to_precision(self, v: int, precision: str) -> list[tuple[int, int]]:
        wanted = (self.state.chosen[v].device, precision)
        options = enumerate(self.problem.vertices[v].options)
        return [(v, o) for o, x in options if (x.device, x.precision) == wanted][:1]


def _is_better(changed: Score, score: Score) -> bool:
    """Return whether the first difference of two scores that is more than rounding is a gain."""
    for a, b in zip(changed, score, strict=True):
        if a != b and not abs(a - b) <= 1e-12 * max(abs(a), abs(b)):
            return a < b
    return False
