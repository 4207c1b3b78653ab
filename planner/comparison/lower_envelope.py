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
class Line(Generic[T]):
    """A plan, and its cost as intercept + slope x."""

    intercept: float
    slope: float
    plan: T

    def at(self, x: float) -> float:
        """Return the cost at x."""
        return self.intercept + self.slope * x

    def as_good_as(self, other: "Line[T]", x: float) -> bool:
        """Return whether it costs no more at x, but for what solvers leave open."""
        return self.at(x) <= other.at(x) + CLOSE * abs(other.at(x))


@dataclass(frozen=True, slots=True)
class Piece(Generic[T]):
    """A range in which a line is best."""

    low: float
    high: float
    line: Line[T]


def lower_envelope(best: Callable[[float], Line[T]], low: float, high: float) -> tuple[Piece[T], ...]:
    """Return the best lines from `low` to `high` in order, each with its range.

    Parameters
    ----------
    best
        The line with the least cost at some x, found anew at each call.
    """
    starts = list(_starts(best, (low, best(low)), (high, best(high))))
    ends = [*(x for x, _ in starts[1:]), high]
    return tuple(Piece(x, end, line) for (x, line), end in zip(starts, ends, strict=True))


def _starts(
    best: Callable[[float], Line[T]], left: tuple[float, Line[T]], right: tuple[float, Line[T]]
) -> Iterator[tuple[float, Line[T]]]:
    """Yield (x, line) where each best line begins, given the best ones at both ends."""
    todo = [(left, right)]
    last: Line[T] | None = None
    while todo:
        (x0, one), (x1, other) = todo.pop()
        if one.as_good_as(other, x1):
            found = [(x0, one)]
        elif other.as_good_as(one, x0):
            found = [(x0, other)]
        else:
            x = (other.intercept - one.intercept) / (one.slope - other.slope)
            middle = best(x)
            if not one.as_good_as(middle, x):
                todo += [((x, middle), (x1, other)), ((x0, one), (x, middle))]
                continue
            found = [(x0, one), (x, other)]
        for start, line in found:
            if last is None or (line.intercept, line.slope) != (last.intercept, last.slope):
                last = line
                yield start, line
