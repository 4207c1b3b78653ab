"""A first plan within the limits: segments at prices that exceeded limits raise, then repair."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import exp, inf

import networkx as nx

from planner.problem.cost_evaluation import Cost, evaluate, is_feasible
from planner.problem.placement_problem import Choice, PlacementProblem
from planner.problem.quantities import CostMetric, Quantity
from planner.problem.unit_dag import dependency_graph
from planner.problem.units import Vertex
from planner.solver.heuristics.device_segments import DeviceSegments
from planner.solver.heuristics.local_search import LocalSearch
from planner.solver.heuristics.prices import LoadShares, Prices
from planner.solver.heuristics.segment_boundaries import mean_seconds

_SEGMENT_ROUNDS = 150  # of prices per order of units
_ROUNDS_AFTER = 30  # without a better plan, once there is one
_ONE_DEVICE_SHARE = 0.2  # of the time
_LOAD_ROUNDS = 14  # of bounds on the load of each segment
_ROUNDS_OF_LOAD = 8  # of prices at each of them
_SEGMENT_SHARE = 0.4  # of the time for one order of units
_REPAIRED = 6  # starts that are repaired
_REPAIR_ROUNDS = 40


def construct(problem: PlacementProblem, deadline: float, clock: Callable[[], float]) -> Choice | None:
    """Return a plan within all limits, None if none was found until the deadline."""
    search = _PlanSearch(problem, deadline, clock)
    search.try_one_device()
    for order in _topological_orders(problem):
        search.try_segments(order)
        if search.best is not None:
            return search.best
    return search.repair()


@dataclass(frozen=True, slots=True)
class _Rounds:
    """How many prices are tried, how many without a better plan once there is one, and the bound on loads."""

    most: int
    idle: int
    most_load_s: float = inf


class _PlanSearch:
    """The best plan so far, and the choices that came closest to one."""

    def __init__(self, problem: PlacementProblem, deadline: float, clock: Callable[[], float]) -> None:
        self.problem, self.deadline, self.clock = problem, deadline, clock
        self.best: Choice | None = None
        self.least = inf
        self.period_s = inf  # the least of any choice so far
        self.closest: list[tuple[float, float, int, Choice]] = []

    def try_one_device(self) -> None:
        """Try as many units as can be on one device, in one precision."""
        begun = self.clock()
        until = begun + _ONE_DEVICE_SHARE * (self.deadline - begun)
        for choice in _on_one_device(self.problem):
            self._try(choice)  # the first one always: it is the fastest device's
            if self.clock() >= until:
                return

    def try_segments(self, order: Sequence[int]) -> None:
        """Try segments along an order of units, and raise the prices of what exceeds its limit."""
        begun = self.clock()
        until = begun + _SEGMENT_SHARE * (self.deadline - begun)
        if not order or begun >= until:
            return
        segments, search = DeviceSegments(self.problem, order), _PriceSearch(self.problem)
        if any(quantity.metric is CostMetric.PERIOD for quantity in self.problem.quantities):
            self._adapt_prices(segments, search, until, _Rounds(_SEGMENT_ROUNDS, 0))
            self._lower_loads(segments, search, until)
        self._adapt_prices(segments, search, until, _Rounds(_SEGMENT_ROUNDS, _ROUNDS_AFTER))

    def _adapt_prices(
        self, segments: DeviceSegments, search: "_PriceSearch", until: float, rounds: "_Rounds"
    ) -> None:
        idle = 0
        for _ in range(rounds.most):
            if self.clock() >= until or idle > rounds.idle:
                return
            choice = segments.cheapest(search.prices(), rounds.most_load_s)
            if choice is None:
                search.nothing_fits()
                continue
            before = self.least
            search.learn(self._try(choice))
            idle = 0 if self.best is None or self.least < before else idle + 1

    def _lower_loads(self, segments: DeviceSegments, search: "_PriceSearch", until: float) -> None:
        """Try segments within a bound of their seconds, halfway between failure and success."""
        low, high = 0.0, self.period_s
        for _ in range(_LOAD_ROUNDS):
            before, bound = self.least, (low + high) / 2
            if self.clock() >= until:
                return
            self._adapt_prices(segments, search, until, _Rounds(_ROUNDS_OF_LOAD, 1, bound))
            if self.least < before:
                high = min(bound, self.period_s)
            else:
                low = bound

    def repair(self) -> Choice | None:
        """Return a plan that changes of single units make of one that comes close."""
        starts = sorted(self.closest)[:_REPAIRED]
        searches: list[LocalSearch] = []
        for rounds in range(_REPAIR_ROUNDS):
            for number, (_, _, _, choice) in enumerate(starts):
                if self.clock() >= self.deadline:
                    return None
                if rounds == 0:
                    searches.append(LocalSearch(self.problem, choice, self.deadline, self.clock, number))
                found = searches[number].repair()
                if found is not None:
                    return found
        return None

    def _try(self, choice: Choice) -> Cost:
        cost = evaluate(self.problem, choice)
        self.period_s = min(self.period_s, cost.period_s)
        if is_feasible(self.problem, cost):
            if self.best is None or cost.objective < self.least:
                self.best, self.least = choice, cost.objective
        elif self.best is None:
            excess = _excess(self.problem, cost)
            self.closest.append((excess, cost.objective, len(self.closest), choice))
        return cost


def _excess(problem: PlacementProblem, cost: Cost) -> float:
    """Return how far a cost is beyond the limits and rules."""
    over = sum(max(0.0, _ratio(cost.value(x.quantity), x.at_most)) for x in problem.limits)
    return over + len(cost.violations) + (cost.order is None) + (cost.latency_s == inf)


def _ratio(value: float, at_most: float) -> float:
    """Return by which part of a limit a value is above it, at most 10."""
    return min(10.0, (value - at_most) / at_most if at_most > 0 else float(value > 0) * 10.0)


class _PriceSearch:
    """Prices of limits, each of which rises while its limit is exceeded, in steps that adapt to it."""

    def __init__(self, problem: PlacementProblem) -> None:
        self.problem = problem
        self.scale: float | None = None
        self.loads = LoadShares(problem)
        self.weights = [0.0] * len(problem.limits)
        self.steps = [1.0] * len(problem.limits)
        self.exceeded = [False] * len(problem.limits)

    def prices(self) -> Prices:
        """Return the prices now."""
        weights: list[tuple[Quantity, float]] = [(t.quantity, t.weight) for t in self.problem.objective]
        for limit, weight in zip(self.problem.limits, self.weights, strict=True):
            weights.append((limit.quantity, weight * (self.scale or 1.0) / (limit.at_most or 1e-9)))
        return Prices(self.problem, weights, self.loads)

    def learn(self, cost: Cost) -> None:
        """Raise the prices of limits that a plan exceeds, and lower the others."""
        self.loads.learn(cost)
        if self.scale is None:
            self.scale = cost.objective if 0 < cost.objective < inf else 1.0
        for number, limit in enumerate(self.problem.limits):
            self._learn(number, exceeded=not cost.value(limit.quantity) <= limit.at_most * (1 + 1e-9))

    def nothing_fits(self) -> None:
        """Raise the prices of memory."""
        for number, limit in enumerate(self.problem.limits):
            if limit.quantity.metric is CostMetric.MEMORY:
                self._learn(number, exceeded=True)

    def _learn(self, number: int, *, exceeded: bool) -> None:
        weight, step = self.weights[number], self.steps[number]
        if weight == 0:
            self.weights[number] = 0.05 if exceeded else 0.0
        else:
            step = min(1.0, step * 1.5) if exceeded == self.exceeded[number] else max(0.02, step / 2)
            self.weights[number] = min(1e6, max(1e-6, weight * exp(step if exceeded else -step)))
        self.steps[number], self.exceeded[number] = step, exceeded


def _topological_orders(problem: PlacementProblem) -> Iterator[list[int]]:
    """Yield orders of the units: branch after branch, then level by level."""
    graph = dependency_graph(problem)
    yield _topological_order(graph, -1)
    yield _topological_order(graph, 0)


def _topological_order(graph: nx.DiGraph, take: int) -> list[int]:
    waiting = dict(graph.in_degree())
    free = sorted((v for v, count in waiting.items() if count == 0), reverse=take == -1)
    order = []
    while free:
        v = free.pop(take)
        order.append(v)
        for reader in sorted(graph.successors(v), reverse=take == -1):
            waiting[reader] -= 1
            if waiting[reader] == 0:
                free.append(reader)
    return order


def _on_one_device(problem: PlacementProblem) -> Iterator[Choice]:
    """Yield choices with as many units as can on one device, in one precision."""
    precisions = dict.fromkeys(o.precision for v in problem.vertices if not v.is_terminal for o in v.options)
    devices = sorted(
        range(len(problem.devices)), key=lambda d: mean_seconds(problem, d)
    )  # the fast are large
    pairs = [(d, p) for d in devices for p in precisions]
    choices = (Choice(tuple(_closest(v, d, p) for v in problem.vertices)) for d, p in pairs)
    yield from dict.fromkeys(choices)


def _closest(vertex: Vertex, device: int, precision: str) -> int:
    options = vertex.options
    return min(
        range(len(options)),
        key=lambda o: (options[o].device != device, options[o].precision != precision, options[o].seconds),
    )
