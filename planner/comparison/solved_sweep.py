"""The best plan at each point of a sweep, and the ranges in which plans stay the best."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from planner.comparison.breakpoints import Breakpoints
from planner.comparison.comparison_record import BestPlanRange, Row
from planner.comparison.plan_registry import PlanRegistry
from planner.comparison.sweep_points import SweepPoints
from profiling.progress import Progress


@dataclass(frozen=True, slots=True)
class SolvedSweep:
    """What the points of a sweep were solved to.

    Parameters
    ----------
    plans
        Those of ranges and rows, numbered in the order of bandwidth.
    pieces
        The ranges; none where plans' costs are no lines over 1/bandwidth.
    solves
        Programs that were solved.
    """

    points: SweepPoints
    plans: PlanRegistry
    pieces: Sequence[BestPlanRange]
    rows: Sequence[Row]
    solves: int

    def plans_under(self, budgets: Mapping[str, float]) -> Iterator[int]:
        """Yield the numbers of the plans that are best somewhere under some budgets, each once."""
        ranges = [piece.plan for piece in self.pieces if piece.budgets == budgets]
        met = [row.plan for row in self.rows if row.budgets == budgets and row.plan is not None]
        yield from dict.fromkeys((*ranges, *met))


def solve_sweep(points: SweepPoints, jobs: int, progress: Progress) -> SolvedSweep:
    """Solve the points of a sweep.

    Parameters
    ----------
    jobs
        Processes that solve side by side.
    """
    plans = PlanRegistry(points)
    ranges = Breakpoints(points, plans)
    sets = list(points.sweep.budget_sets())
    ranges.warm_cache(sets, jobs)
    pieces: list[BestPlanRange] = []
    rows: list[Row] = []
    for number, budgets in enumerate(sets):
        progress("comparing plans", number, len(sets))
        ranges_here, rows_here = ranges.over_bandwidths(budgets)
        pieces += ranges_here
        rows += rows_here
    progress("comparing plans", len(sets), len(sets))
    return in_order_of_bandwidth(SolvedSweep(points, plans, pieces, rows, ranges.solves))


def in_order_of_bandwidth(solved: SolvedSweep) -> SolvedSweep:
    """Return ranges and rows with plans numbered as one meets them, from the lowest bandwidth up.

    Plans that are best nowhere within the budgets are forgotten.
    """
    pieces, rows, plans = solved.pieces, solved.rows, solved.plans
    met = [*(piece.plan for piece in pieces), *(row.plan for row in rows if row.plan is not None)]
    numbers = plans.renumber(met)
    plans.discard(len(set(met)))
    return SolvedSweep(
        solved.points,
        plans,
        [replace(piece, plan=numbers[piece.plan]) for piece in pieces],
        [row if row.plan is None else replace(row, plan=numbers[row.plan]) for row in rows],
        solved.solves,
    )
