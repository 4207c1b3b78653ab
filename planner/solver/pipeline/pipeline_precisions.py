"""Options of less noise for units that stay on their devices, as far as a period leaves time for them."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from math import inf

from planner.problem.cost_evaluation import Cost, evaluate, is_feasible
from planner.problem.placement_problem import Choice, PlacementProblem
from planner.problem.quantities import CostMetric
from planner.problem.tensors import Flow
from planner.problem.units import Option

_PERIODS = 16  # tried between a period that is too short and one that is enough
_PRICES = 24  # tried per device, by bisection of their logarithm


def least_period_within_limits(problem: PlacementProblem, placed: Choice) -> Choice | None:
    """Return a plan that keeps the limits, with all units on their devices; None if none is found.

    Parameters
    ----------
    placed
        A plan of fast options, whose tensors between devices keep their formats.
    """
    cost = evaluate(problem, placed)
    if is_feasible(problem, cost):
        return placed
    stages = _Stages.of(problem, placed, cost)
    enough = max(stages.longest_s(), cost.period_s)
    best: Choice | None = None
    best_s, short, period_s = inf, cost.period_s, enough
    for _ in range(_PERIODS):
        choice = stages.within(period_s)
        found = evaluate(problem, choice)
        if not is_feasible(problem, found):
            short = period_s
        else:
            enough = period_s
            if found.period_s < best_s:
                best, best_s = choice, found.period_s
        if short >= enough:  # not even the most time is enough
            break
        period_s = (short + enough) / 2
    return best


def with_short_crossings(problem: PlacementProblem, placed: Choice) -> Choice:
    """Return the plan whose tensors between devices take the formats that cross fastest, where units can."""
    options = list(placed.options)
    for flow in problem.flows:
        devices = [problem.vertices[v].options[o].device for v, o in enumerate(options)]
        start, targets = devices[flow.producer], {devices[v] for v in flow.consumers}
        if targets == {start}:
            continue
        by_seconds = sorted(flow.formats, key=partial(_crossing_s, flow, start, targets))
        asked = {v: _fastest_of(problem, v, devices[v], by_seconds[0]) for v in flow.quantizers}
        for v, option in asked.items():
            if option is not None and None not in asked.values():
                options[v] = option
    return replace(placed, options=tuple(options))


def _crossing_s(flow: Flow, start: int, targets: set[int], tensor_format: int) -> float:
    return max(flow.forms[tensor_format].seconds(start, target) for target in targets)


def _fastest_of(problem: PlacementProblem, vertex: int, device: int, tensor_format: int) -> int | None:
    """Return the number of a vertex's fastest option of a format on a device; None if it has none."""
    options = problem.vertices[vertex].options
    here = [n for n, o in enumerate(options) if (o.device, o.format) == (device, tensor_format)]
    return min(here, key=lambda n: options[n].seconds, default=None)


@dataclass(frozen=True, slots=True)
class _Stages:
    """Units by device, and what loads a device besides.

    Parameters
    ----------
    movable
        Device -> vertices that may take another option there: those without a tensor from or to a device
        other than their own.
    overhead_s, held_bytes
        Device -> seconds besides those vertices, and bytes.
    """

    problem: PlacementProblem
    placed: Choice
    movable: dict[int, list[int]]
    overhead_s: dict[int, float]
    held_bytes: dict[int, float]

    @classmethod
    def of(cls, problem: PlacementProblem, placed: Choice, cost: Cost) -> "_Stages":
        chosen = [v.options[o] for v, o in zip(problem.vertices, placed.options, strict=True)]
        fixed = {v for v, vertex in enumerate(problem.vertices) if vertex.is_terminal}
        for flow in problem.flows:
            if {chosen[v].device for v in flow.consumers} != {chosen[flow.producer].device}:
                fixed |= {flow.producer, *flow.consumers, *flow.quantizers}
        movable: dict[int, list[int]] = defaultdict(list)
        overhead, held = dict(enumerate(cost.busy_s)), dict(enumerate(cost.memory_bytes))
        for v, option in enumerate(chosen):
            if v not in fixed:
                movable[option.device].append(v)
                overhead[option.device] -= option.seconds
                held[problem.physical_device(option.device)] -= option.weight_bytes
        return cls(problem, placed, dict(movable), overhead, held)

    def longest_s(self) -> float:
        """Return a period that leaves time for the options of least noise."""
        return max(self._load(device, inf)[0] for device in self.movable) if self.movable else 0.0

    def within(self, period_s: float) -> Choice:
        """Return the plan of little noise whose devices are loaded no longer, as far as can be foreseen."""
        options = list(self.placed.options)
        for device in self.movable:
            for v, option in self._options(device, self._price(device, period_s)):
                options[v] = self.problem.vertices[v].options.index(option)
        return replace(self.placed, options=tuple(options))

    def _price(self, device: int, period_s: float) -> float:
        """Return the highest price of noise at which a device keeps the period and its memory."""
        room = self.problem.tightest_limit(CostMetric.MEMORY, self.problem.physical_device(device))

        def fits(price: float) -> bool:
            seconds, size = self._load(device, price)
            return seconds <= period_s and size <= room

        if fits(inf):
            return inf
        low, high = -30.0, 30.0
        for _ in range(_PRICES):
            middle = (low + high) / 2
            low, high = (middle, high) if fits(10.0**middle) else (low, middle)
        return float(10.0**low)

    def _load(self, device: int, price: float) -> tuple[float, float]:
        """Return seconds and bytes of a device."""
        options = [option for _, option in self._options(device, price)]
        held = self.held_bytes[self.problem.physical_device(device)]
        seconds = self.overhead_s[device] + sum(o.seconds for o in options)
        return seconds, held + sum(o.weight_bytes for o in options)

    def _options(self, device: int, price: float) -> Iterator[tuple[int, Option]]:
        """Yield each movable vertex of a device, and its best option there."""
        for v in self.movable[device]:
            here = [o for o in self.problem.vertices[v].options if o.device == device]
            if price == inf:
                yield v, min(here, key=lambda o: (o.noise_power, o.seconds))
            else:
                yield v, min(here, key=lambda o: o.seconds + price * o.noise_power)
