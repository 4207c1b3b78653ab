"""Pareto fronts by epsilon-constraints: plans that no other plan beats in every respect.

Between two neighbours on the front lies a box that may hold more: it is split by solving for the first
quantity under a limit on the second, until enough points are known or every box is proved empty (the box
algorithm of Hamacher, Pedersen and Ruzika, "Finding representative systems for discrete bicriterion
optimization problems", Operations Research Letters 35, 2007). A third quantity is limited at several levels.
Each point is solved for once per quantity, so that among equals in the first it is the least in the next.
"""

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from math import sqrt

from planner.problem.cost_evaluation import evaluate
from planner.problem.placement_problem import Choice, PlacementProblem
from planner.problem.quantities import ObjectiveTerm, Quantity

Solver = Callable[[PlacementProblem], Choice | None]
_CLOSE = 1e-5  # values nearer than that, relatively, are one: above what solvers leave open
_EQUAL = 2e-6  # relative; what solvers take for equal
# Boxes that are a smaller part of the front are searched from their upper end: halving them would go on until
# they are empty, one solve there either finds the neighbour or proves that there is none.
_NARROW = 0.02
_SOLVES = 4  # per point, at most: proving boxes empty may take more solves than finding points
_TWO = 2  # quantities of a front that is a curve


@dataclass(frozen=True, slots=True)
class Corner:
    """A plan on the front, and its value of each quantity."""

    values: tuple[float, ...]
    choice: Choice


@dataclass(frozen=True, slots=True)
class Front:
    """Corners by the first quantity; `complete` if there are no others."""

    corners: tuple[Corner, ...]
    complete: bool


def pareto_front(problem: PlacementProblem, axes: Sequence[Quantity], most: int, solver: Solver) -> Front:
    """Return plans that are best in that whatever is better in one quantity is worse in another.

    Parameters
    ----------
    axes
        Two or three quantities to be small.
    most
        Points to find, two at least; they are spread over the front.
    solver
        Returns the best choice; None if there is none.
    """
    return _Explorer(problem, axes, solver).front(most)


@dataclass(order=True, frozen=True, slots=True)
class _Box:
    """Where points may lie: right of and below `left`, left of `right`, and above `low`."""

    # The larger the box, the earlier; the number decides between equals, which cannot be compared.
    rank: tuple[float, int]
    left: Corner = field(compare=False)
    right: Corner = field(compare=False)
    low: float = field(compare=False)
    high: float = field(compare=False)


class _Explorer:
    def __init__(self, problem: PlacementProblem, axes: Sequence[Quantity], solver: Solver) -> None:
        for axis in axes:
            # A budget on an axis would cut the front off.
            problem = problem.with_limit(axis, None)
        self._problem, self._axes, self._solver = problem, tuple(axes), solver
        self._numbers = count()

    def front(self, most: int) -> Front:
        ends = [self._least(self._problem, first) for first in range(len(self._axes))]
        extremes = [end for end in ends if end is not None]
        if len(extremes) < len(ends):
            return Front((), complete=True)
        if len(self._axes) == _TWO:
            between, complete = self._between(extremes[0], extremes[1], most, self._problem)
        else:
            between, complete = self._levels(extremes, most), False
        return Front(tuple(_undominated([*extremes, *between])), complete)

    def _least(self, problem: PlacementProblem, first: int) -> Corner | None:
        """Return what is least in one quantity, then in the others in turn."""
        corner = None
        for axis in (first, *(a for a in range(len(self._axes)) if a != first)):
            choice = self._solver(replace(problem, objective=(ObjectiveTerm(self._axes[axis]),)))
            if choice is None:
                return corner
            corner = self._corner(choice)
            limit = min(corner.values[axis] * (1 + _EQUAL), _limit_on(problem, self._axes[axis]))
            problem = problem.with_limit(self._axes[axis], limit)
        return corner

    def _levels(self, extremes: Sequence[Corner], most: int) -> list[Corner]:
        """Return points under several limits on the third quantity."""
        levels = max(2, round(most**0.5))
        third = [corner.values[_TWO] for corner in extremes]
        low, high = min(third), max(third)
        corners: list[Corner] = []
        for level in range(levels):
            limit = _middle(low, high, (level + 1) / levels) * (1 + _CLOSE)
            problem = self._problem.with_limit(self._axes[_TWO], limit)
            ends = [self._least(problem, axis) for axis in (0, 1)]
            if ends[0] is not None and ends[1] is not None:
                corners += [ends[0], ends[1]]
                corners += self._between(ends[0], ends[1], max(2, most // levels), problem)[0]
        return corners

    def _between(
        self, left: Corner, right: Corner, most: int, problem: PlacementProblem
    ) -> tuple[list[Corner], bool]:
        """Return points between two ends, and whether there are no others."""
        corners = [left, right]
        boxes = list(self._box(left, right, right.values[1], left.values[1]))
        solves = 0
        while boxes and len(corners) < most and solves < _SOLVES * most:
            box = heapq.heappop(boxes)
            span = box.high**0.5 - box.low**0.5
            narrow = span < _NARROW * (left.values[1] ** 0.5 - right.values[1] ** 0.5)
            limit = box.high * (1 - _CLOSE) if narrow else _middle(box.low, box.high)
            solves += 1
            corner = self._least(problem.with_limit(self._axes[1], limit), 0)
            if corner is None or corner.values[0] >= box.right.values[0] * (1 - _CLOSE):
                parts = [(box.left, box.right, limit, box.high)]  # nothing better below the limit
            else:
                corners.append(corner)
                parts = [(box.left, corner, limit, box.high), (corner, box.right, box.low, corner.values[1])]
            for args in parts:
                for box_in_part in self._box(*args):
                    heapq.heappush(boxes, box_in_part)
        return corners, not boxes

    def _box(self, left: Corner, right: Corner, low: float, high: float) -> Iterator[_Box]:
        """Yield the box if it can hold anything."""
        width = right.values[0] - left.values[0]
        if width > _CLOSE * right.values[0] and high - low > _CLOSE * high * _TWO:
            yield _Box((-width * (high**0.5 - low**0.5), next(self._numbers)), left, right, low, high)

    def _corner(self, choice: Choice) -> Corner:
        cost = evaluate(self._problem, choice)
        return Corner(tuple(cost.value(axis) for axis in self._axes), choice)


def _limit_on(problem: PlacementProblem, quantity: Quantity) -> float:
    return problem.tightest_limit(quantity.metric, quantity.of)


def _middle(low: float, high: float, share: float = 0.5) -> float:
    """Return what lies between; roots are spread evenly, since noise power ranges over magnitudes."""
    return (sqrt(low) + share * (sqrt(high) - sqrt(low))) ** 2


def _undominated(corners: Sequence[Corner]) -> Iterator[Corner]:
    """Yield the corners that no other one beats, by the first quantity, equal ones once."""
    minimal: list[Corner] = []
    for candidate in sorted(corners, key=lambda corner: corner.values):
        if not any(_as_good(other, candidate) for other in minimal):
            minimal.append(candidate)
    for candidate in minimal:
        if not any(other is not candidate and _as_good(other, candidate) for other in minimal):
            yield candidate


def _as_good(first: Corner, second: Corner) -> bool:
    return all(a <= b * (1 + _CLOSE) for a, b in zip(first.values, second.values, strict=True))
