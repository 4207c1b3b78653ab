"""A closed loop for comparisons: plans are timed in place, and points solved again with what they showed.

In the end each plan costs what it showed itself, as in `plan SCENARIO`, and the best of the plans that were
timed is taken at each point.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import msgspec

from planner.comparison.breakpoints import Breakpoints
from planner.comparison.comparison_record import BestPlanRange, PlanSummary, Row
from planner.comparison.plan_registry import PlanRegistry
from planner.comparison.solved_sweep import SolvedSweep, in_order_of_bandwidth, solve_sweep
from planner.comparison.sweep_points import Sweep, SweepPoints
from planner.plan.configuration import Configuration, configuration_of
from planner.problem.cost_evaluation import evaluate, is_feasible
from planner.problem.placement_problem import Choice
from planner.refinement.closed_loop import corrected
from planner.refinement.loop_state import MOST_ROUNDS
from planner.refinement.measured_scenario import MeasuredScenario
from planner.refinement.ties import COARSEST
from planner.solver.result import SolveStatus
from profiling.latency.plan_timing import PlanTiming
from profiling.progress import Progress
from profiling.records.profile import LatencyProfile

_Timings = Mapping[str, PlanTiming]


@dataclass(frozen=True, slots=True)
class ShownCosts:
    """The costs that plans showed.

    Parameters
    ----------
    points
        Those of a comparison, at the costs that all plans showed together.
    latency
        Device -> its profile, corrected by all plans that were timed, one after another.
    timings
        Plan -> what it showed on each device that runs here.
    """

    points: SweepPoints
    latency: Mapping[str, LatencyProfile]
    timings: Mapping[Configuration, _Timings] = field(default_factory=dict)

    @classmethod
    def of(cls, points: SweepPoints) -> "ShownCosts":
        """Return the costs before a plan was timed."""
        return cls(points, points.basis.latency)

    def with_timing(self, chosen: Configuration, timings: _Timings) -> "ShownCosts":
        """Return the costs after one more plan was timed."""
        measured = self.points.basis
        latency = corrected(self.latency, timings, measured.latency)
        points = self.points.with_costs(measured.planning_problem(latency))
        return ShownCosts(points, latency, {**self.timings, chosen: timings})

    def points_of(self, chosen: Configuration) -> SweepPoints:
        """Return the points at the costs that a plan showed itself; of one not timed, as all showed."""
        timings = self.timings.get(chosen)
        if not timings:
            return self.points
        measured = self.points.basis
        latency = corrected(self.latency, timings, measured.latency)
        return self.points.with_costs(measured.planning_problem(latency))

    def registered(
        self,
        choice: Choice,
        plans: PlanRegistry,
        bandwidth: float | None,
        budgets: Mapping[str, float],
    ) -> PlanSummary:
        """Return a choice's plan, registered at the costs that it showed itself if it was timed.

        Parameters
        ----------
        bandwidth, budgets
            Of the point whose problem was solved.
        """
        points, problem = self.points, self.points.problem(bandwidth, budgets)
        chosen = configuration_of(problem, choice)
        is_timed = bool(self.timings.get(chosen))
        if is_timed:
            points = self.points_of(chosen)
            problem = points.problem(bandwidth, budgets)
        return plans.register(problem, choice, points.scenario(bandwidth, budgets), is_timed=is_timed)


@dataclass(frozen=True, slots=True)
class TimedSweep:
    """A solved sweep whose plans cost what they showed, and these costs."""

    solved: SolvedSweep
    costs: ShownCosts


def solve_and_time(measured: MeasuredScenario, sweep: Sweep, jobs: int, progress: Progress) -> TimedSweep:
    """Solve a sweep, time its plans and solve again, until no new plan is found or three rounds were made.

    Where no device runs here, nothing is timed and the first solve stands.
    """
    costs = ShownCosts.of(SweepPoints(measured, sweep))
    candidates = _Candidates()
    solved = solve_sweep(costs.points, jobs, progress)
    solves = solved.solves
    for _ in range(MOST_ROUNDS):
        candidates.add(solved)
        new = [chosen for chosen in solved.plans.chosen if chosen not in costs.timings]
        if not new:
            break
        for number, chosen in enumerate(new):
            progress("timing plans", number, len(new))
            costs = costs.with_timing(chosen, measured.timings(chosen))
        progress("timing plans", len(new), len(new))
        if not any(costs.timings.values()):
            return TimedSweep(solved, costs)
        solved = solve_sweep(costs.points, jobs, progress)
        solves += solved.solves
    repriced = _Repricing(costs, solved, candidates).result()
    return TimedSweep(replace(in_order_of_bandwidth(repriced), solves=solves), costs)


class _Candidates:
    """The plans that were best somewhere, by the budgets under which they were."""

    def __init__(self) -> None:
        self._found: dict[str, dict[Configuration, Choice]] = {}

    def add(self, solved: SolvedSweep) -> None:
        chosen, choices = solved.plans.chosen, solved.plans.choices
        for budgets in solved.points.sweep.budget_sets():
            for number in solved.plans_under(budgets):
                self._found.setdefault(repr(budgets), {})[chosen[number]] = choices[number]

    def under(self, budgets: Mapping[str, float]) -> dict[Configuration, Choice]:
        return self._found.get(repr(dict(budgets)), {})


class _Repricing:
    """Ranges and rows among plans that were timed, each at its own costs."""

    def __init__(self, costs: ShownCosts, solved: SolvedSweep, candidates: _Candidates) -> None:
        self.costs, self.solved, self.candidates = costs, solved, candidates
        self.points = costs.points
        self.plans = PlanRegistry(self.points)
        self._own: dict[Configuration, SweepPoints] = {}

    def result(self) -> SolvedSweep:
        """Return the ranges and rows."""
        pieces: list[BestPlanRange] = []
        rows: list[Row] = []
        for budgets in self.points.sweep.budget_sets():
            ranges = [piece for piece in self.solved.pieces if piece.budgets == budgets]
            solved_rows = [row for row in self.solved.rows if row.budgets == budgets]
            if ranges:
                found, own_rows = self._on_lines(budgets)
                pieces += found
                rows += [_with_bound(own, by) for own, by in zip(own_rows, solved_rows, strict=True)]
            else:
                rows += [self._row(row) for row in solved_rows]
        return SolvedSweep(self.points, self.plans, pieces, rows, self.solved.solves)

    def _on_lines(self, budgets: Mapping[str, float]) -> tuple[list[BestPlanRange], list[Row]]:
        bandwidths = self.points.sweep.bandwidths
        at = None if bandwidths is None else bandwidths.values[0]
        lines = [
            self._registered(chosen, choice, at, budgets)
            for chosen, choice in self.candidates.under(budgets).items()
        ]
        return Breakpoints(self.points, self.plans).among(lines, budgets)

    def _row(self, row: Row) -> Row:
        """Return a point that was solved by itself, with the best of the plans that were timed."""
        if row.plan is None:
            return row
        costs = {}
        for chosen, choice in self.candidates.under(row.budgets).items():
            problem = self._points_of(chosen).problem(row.bandwidth, row.budgets)
            cost = evaluate(problem, choice)
            if is_feasible(problem, cost):
                costs[chosen] = cost.objective
        solved = self.solved.plans.chosen[row.plan]
        best = min(costs, key=lambda chosen: costs[chosen], default=solved)
        choice = self.candidates.under(row.budgets).get(best, self.solved.plans.choices[row.plan])
        plan = self._registered(best, choice, row.bandwidth, row.budgets)
        own = msgspec.structs.replace(row, plan=plan.number, objective=costs.get(best, row.objective))
        return _with_bound(own, row)

    def _registered(
        self, chosen: Configuration, choice: Choice, bandwidth: float | None, budgets: Mapping[str, float]
    ) -> PlanSummary:
        """Return a plan's summary at the costs that it showed itself."""
        points = self._points_of(chosen)
        problem, scenario = points.problem(bandwidth, budgets), points.scenario(bandwidth, budgets)
        return self.plans.register(problem, choice, scenario, is_timed=bool(self.costs.timings.get(chosen)))

    def _points_of(self, chosen: Configuration) -> SweepPoints:
        if chosen not in self._own:
            self._own[chosen] = self.costs.points_of(chosen)
        return self._own[chosen]


def _with_bound(row: Row, solved: Row) -> Row:
    """Return a row with what was proved under the costs that all plans showed together."""
    if row.objective is None or solved.bound is None:
        return row
    bound = min(solved.bound, row.objective)
    proves = row.objective <= bound * (1 + COARSEST)  # less than that timing does not tell
    status = solved.status if proves else SolveStatus.FEASIBLE.value
    return msgspec.structs.replace(row, bound=bound, status=status)
