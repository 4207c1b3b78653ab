"""The plans to hold for a fleet in which only the bandwidth varies, or only the speed.

A plan's latency is then a line over x = 1/bandwidth, or over x = 1/speed. Dynamic programming over the lower
envelope of these lines finds the plans, and the solves' own bounds tell how good they are.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from math import inf

import numpy as np

from planner.comparison.bandwidth_traces import BandwidthDistribution
from planner.comparison.fleet.fleet_classes import FleetCell
from planner.comparison.fleet.fleet_selection import PortableChoice, Solve, cost_line
from planner.comparison.lower_envelope import CostLine, lower_envelope
from planner.comparison.plan_selection import select_plans
from planner.errors import SolverError
from planner.problem.placement_problem import PlacementProblem
from planner.scenario.fleet_schema import DeviceClassSpec


@dataclass(frozen=True, slots=True)
class Axis:
    """What alone varies.

    Parameters
    ----------
    values
        Cell -> its Mbit/s, or its speedup.
    at
        A value -> the class and the bandwidth of a cell that has it.
    """

    values: tuple[float, ...]
    at: Callable[[float], tuple[DeviceClassSpec, float | None]]


@dataclass(frozen=True, slots=True)
class AxisAnswer:
    """What is known of the plans along an axis.

    Parameters
    ----------
    plans
        The best one somewhere, as far as the solver found it.
    held
        The few of them with the least mean cost.
    bound
        No few plans have a mean cost below it, whether or not the solves were closed.
    """

    plans: tuple[PortableChoice, ...]
    held: tuple[PortableChoice, ...]
    bound: float


def axis_of(cells: Sequence[FleetCell]) -> Axis | None:
    """Return what alone varies from cell to cell; None where several things do."""
    first = cells[0]
    alike = {(c.device_class.profile, c.device_class.precisions, c.device_class.memory_mib) for c in cells}
    speeds, bandwidths = [c.device_class.speedup for c in cells], [c.bandwidth for c in cells]
    known = [bandwidth for bandwidth in bandwidths if bandwidth is not None]
    if len(alike) > 1:
        return None
    if len(set(speeds)) == 1 and len(known) == len(cells):
        return Axis(tuple(known), lambda value: (first.device_class, value))
    if len(set(bandwidths)) == 1:
        return Axis(
            tuple(speeds),
            lambda value: (first.device_class.model_copy(update={"speedup": value}), first.bandwidth),
        )
    return None


def solve_axis(
    shares: Sequence[tuple[float, float]],
    most: int,
    problem_at: Callable[[float], PlacementProblem],
    solve: Solve,
) -> AxisAnswer | None:
    """Return the plans to hold, `most` at most; None if the solver found no plan at some value.

    Parameters
    ----------
    shares
        (value, share) of cells, which all allow the same plans.
    problem_at
        x -> the problem there, whose costs are lines over x.
    """
    summed: dict[float, float] = {}
    for value, share in shares:
        summed[value] = summed.get(value, 0.0) + share
    lines = _SolvedLines(problem_at, solve)
    try:
        envelope = lower_envelope(lines.best, 1 / max(summed), 1 / min(summed))
    except SolverError:
        return None
    occurrence = BandwidthDistribution(tuple(summed), tuple(summed.values()), "the fleet")
    chosen = select_plans([piece.line for piece in envelope], occurrence, most)
    held = tuple(lines.plans[line.plan] for line in chosen.lines)
    xs, floors = zip(*sorted(lines.bounds.items()), strict=True)
    places = sorted((1 / value, share) for value, share in summed.items())
    bound = least_of_ranges(places, most, lambda x: float(np.interp(x, xs, floors)))
    return AxisAnswer(tuple(lines.plans), held, bound)


@dataclass(slots=True)
class _SolvedLines:
    """The best plan's line at each x that was solved, and what no plan is below there."""

    problem_at: Callable[[float], PlacementProblem]
    solve: Solve
    plans: list[PortableChoice] = field(default_factory=list)
    bounds: dict[float, float] = field(default_factory=dict)

    def best(self, x: float) -> CostLine[int]:
        """Return the line of the best plan that the solver found at x.

        Raises
        ------
        SolverError
            If it found none.
        """
        problem = self.problem_at(x)
        result = self.solve(problem)
        if result.choice is None:
            raise SolverError("a plan that is possible at one value is not at another one")
        plan = PortableChoice.of(problem, result.choice)
        if plan not in self.plans:
            self.plans.append(plan)
        self.bounds[x] = result.bound or 0.0
        return cost_line(plan, (x, problem), (2 * x, self.problem_at(2 * x)), self.plans.index(plan))


def least_of_ranges(
    places: Sequence[tuple[float, float]], most: int, floor: Callable[[float], float]
) -> float:
    """Return what no `most` lines, the best one at each place, cost less than in the mean over places.

    The best of few lines changes between ranges of places, and over a range a line costs what it costs at the
    range's mean x. So the least sum over all ways to cut the places into few ranges is a bound.

    Parameters
    ----------
    places
        (x, share), ascending.
    floor
        x -> what no line is below there. Known at some x, it may be taken as straight between them: the least
        of lines is concave.

    Examples
    --------
    >>> least_of_ranges([(1.0, 0.5), (3.0, 0.5)], 1, lambda x: min(x, 2.0))
    2.0
    >>> least_of_ranges([(1.0, 0.5), (3.0, 0.5)], 2, lambda x: min(x, 2.0))
    1.5
    """
    count = len(places)
    weights = list(accumulate((share for _, share in places), initial=0.0))
    moments = list(accumulate((share * x for x, share in places), initial=0.0))

    def of_range(start: int, end: int) -> float:
        weight = weights[end] - weights[start]
        return weight * floor((moments[end] - moments[start]) / weight)

    least = [inf if end else 0.0 for end in range(count + 1)]
    for _ in range(min(most, count)):
        least = [
            min([least[end], *(least[start] + of_range(start, end) for start in range(end))])
            for end in range(count + 1)
        ]
    return least[count]
