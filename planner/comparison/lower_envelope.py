"""Where the best of finitely many plans changes, when each one's cost is a line over the same quantity.

The least of lines is concave. So a line that is best at both ends of a range is best all through it, and
where two ends have different lines, their intersection either is a breakpoint or shows a third line. Solving
there until nothing new appears finds every breakpoint and proves that there are no others (Eisner and
Severance, "Mathematical techniques for efficient record segmentation in large shared databases", Journal of
the ACM 23, 1976).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
CLOSE = 1e-6  # lines whose values differ by less, relatively, are equally good


@dataclass(frozen=True, slots=True)
class CostLine(Generic[T]):
    """A plan, and its cost as intercept + slope x.

    Examples
    --------
    >>> CostLine(2.0, 0.5, "plan").at(4.0)
    4.0
    """

    intercept: float
    slope: float
    plan: T

    def at(self, x: float) -> float:
        """Return the cost at x."""
        return self.intercept + self.slope * x

    def as_good_as(self, other: "CostLine[T]", x: float) -> bool:
        """Return whether it costs no more at x, but for what solvers leave open."""
        return self.at(x) <= other.at(x) + CLOSE * abs(other.at(x))


@dataclass(frozen=True, slots=True)
class EnvelopePiece(Generic[T]):
    """A range in which a line is best."""

    low: float
    high: float
    line: CostLine[T]


def lower_envelope(
    best: Callable[[float], CostLine[T]], low: float, high: float
) -> tuple[EnvelopePiece[T], ...]:
    """Return the best lines from `low` to `high` in order, each with its range.

    Parameters
    ----------
    best
        x -> the line with the least cost there; each call may solve a problem.

    Examples
    --------
    >>> lines = [CostLine(0.0, 2.0, "steep"), CostLine(1.0, 1.0, "flat"), CostLine(9.0, 1.0, "worse")]
    >>> ranges = lower_envelope(lambda x: min(lines, key=lambda line: line.at(x)), 0.0, 4.0)
    >>> [(range.low, range.high, range.line.plan) for range in ranges]
    [(0.0, 1.0, 'steep'), (1.0, 4.0, 'flat')]
    """
    starts = list(_starts(best, (low, best(low)), (high, best(high))))
    ends = [*(x for x, _ in starts[1:]), high]
    return tuple(EnvelopePiece(x, end, line) for (x, line), end in zip(starts, ends, strict=True))


def _starts(
    best: Callable[[float], CostLine[T]], left: tuple[float, CostLine[T]], right: tuple[float, CostLine[T]]
) -> Iterator[tuple[float, CostLine[T]]]:
    """Yield (x, line) where each best line begins, given the best ones at both ends."""
    todo = [(left, right)]
    last: CostLine[T] | None = None
    while todo:
        (x0, left_line), (x1, right_line) = todo.pop()
        if left_line.as_good_as(right_line, x1):
            starts = [(x0, left_line)]
        elif right_line.as_good_as(left_line, x0):
            starts = [(x0, right_line)]
        else:
            x = (right_line.intercept - left_line.intercept) / (left_line.slope - right_line.slope)
            middle = best(x)
            if not left_line.as_good_as(middle, x):
                # The left half is on top, so that starts come out in order.
                todo += [((x, middle), (x1, right_line)), ((x0, left_line), (x, middle))]
                continue
            starts = [(x0, left_line), (x, right_line)]
        for start, line in starts:
            # Equal lines of different plans are one range.
            if last is None or (line.intercept, line.slope) != (last.intercept, last.slope):
                last = line
                yield start, line
