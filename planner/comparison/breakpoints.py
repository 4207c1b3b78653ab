"""The best plan at each point of a comparison, and the ranges of bandwidths in which it stays the same."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from math import inf

import msgspec

from planner.comparison.comparison_record import BestPlanRange, PlanSummary, Row
from planner.comparison.lower_envelope import CostLine, EnvelopePiece, lower_envelope
from planner.comparison.plan_registry import PlanRegistry
from planner.comparison.sweep_points import LATENCY, SweepPoints, UnreachableBudgetError, with_budgets
from planner.errors import SolverError
from planner.formatting import MILLI
from planner.problem.placement_problem import PlacementProblem
from planner.scenario.budget_schema import BudgetSpec
from planner.solver.result import SolveResult
from planner.solver.solve_cache import solve_cached, warm_cache

_NOT_KEPT = "no plan was found that keeps the error budgets on held-back data, too"
_MOST_ROUNDS = 12  # in which the limit on noise may fall, each time for all bandwidths
_GAP = 1e-7  # below the 1e-6 within which lines count as equal: a wider one could hide a breakpoint


class Breakpoints:
    """Solves points, and knows from the ranges between them what needs no solving.

    Parameters
    ----------
    plans
        Where plans are noted down.
    """

    def __init__(self, points: SweepPoints, plans: PlanRegistry) -> None:
        self._points, self._plans = points, plans
        self._options = replace(points.basis.options, gap=_GAP)
        self.solves = 0

    def warm_cache(self, sets: Sequence[Mapping[str, float]], jobs: int) -> None:
        """Solve side by side what is surely asked for: points, and the ends of ranges."""
        problems: list[PlacementProblem] = []
        for budgets in sets:
            with suppress(UnreachableBudgetError):
                problems += self._needed_problems(budgets)
        warm_cache(problems, self._options, jobs)

    def _needed_problems(self, budgets: Mapping[str, float]) -> list[PlacementProblem]:
        bandwidths = self._points.sweep.bandwidths
        if bandwidths is None:
            return [self._points.problem(None, budgets)]
        if len(bandwidths.values) == 1 or not self._points.has_lines(budgets):
            return [self._points.problem(value, budgets) for value in bandwidths.values]
        ends = (bandwidths.values[-1], bandwidths.values[0])
        return [self._unlimited_problem(value, budgets) for value in ends]

    def _unlimited_problem(self, bandwidth: float, budgets: Mapping[str, float]) -> PlacementProblem:
        """Return the problem whose best plan's line is looked for."""
        return self._points.problem(bandwidth, budgets).with_limit(LATENCY, None)

    def over_bandwidths(self, budgets: Mapping[str, float]) -> tuple[list[BestPlanRange], list[Row]]:
        """Return where each plan is best under some budgets, and a row per bandwidth.

        All of these plans keep the error budgets on held-back data: while one does not, the limit on noise
        falls for all. Where that never ends, no row has a plan.
        """
        for _ in range(_MOST_ROUNDS):
            before = len(self._plans.lines)
            ranges, rows = self._over_bandwidths(budgets)
            used = {*(best.plan for best in ranges), *(row.plan for row in rows if row.plan is not None)}
            noise = {self._plans.chosen[plan]: self._plans.summed_noise(plan) for plan in used}
            if not self._points.lower_noise_limit(budgets, noise):
                return ranges, rows
            self._plans.discard(before)
        return [], [_no_row(row.bandwidth, budgets, _NOT_KEPT, "unsolved") for row in rows]

    def _over_bandwidths(self, budgets: Mapping[str, float]) -> tuple[list[BestPlanRange], list[Row]]:
        bandwidths = self._points.sweep.bandwidths
        values = bandwidths.values if bandwidths else (None,)
        try:
            if bandwidths is None or len(values) == 1 or not self._points.has_lines(budgets):
                return [], [self._solved_row(value, budgets) for value in values]
            # Over x = 1 / bandwidth a plan's latency is a line.
            low, high = 1 / bandwidths.values[-1], 1 / bandwidths.values[0]
            envelope = lower_envelope(lambda x: self._line(1 / x, budgets), low, high)
        except (UnreachableBudgetError, _NoPlanError) as exc:
            return [], [_no_row(value, budgets, str(exc)) for value in values]
        return self._in_ranges(envelope, bandwidths.values, budgets)

    def among(
        self, plans: Sequence[PlanSummary], budgets: Mapping[str, float]
    ) -> tuple[list[BestPlanRange], list[Row]]:
        """Return where each of some registered plans is the best of them, and a row per bandwidth."""
        bandwidths = self._points.sweep.bandwidths
        if bandwidths is None:
            raise ValueError("no bandwidth varies")
        lines = [CostLine(plan.fixed_s, plan.link_s, plan.number) for plan in plans]
        low, high = 1 / bandwidths.values[-1], 1 / bandwidths.values[0]
        envelope = lower_envelope(lambda x: min(lines, key=lambda line: line.at(x)), low, high)
        return self._in_ranges(envelope, bandwidths.values, budgets)

    def _in_ranges(
        self,
        envelope: Sequence[EnvelopePiece[int]],
        bandwidths: Sequence[float],
        budgets: Mapping[str, float],
    ) -> tuple[list[BestPlanRange], list[Row]]:
        ranges = [
            BestPlanRange(budgets=dict(budgets), low=1 / best.high, high=1 / best.low, plan=best.line.plan)
            for best in reversed(envelope)
        ]
        rows = [self._row_from_ranges(value, budgets, ranges) for value in bandwidths]
        allowed = with_budgets(self._points.basis.scenario, budgets).latency_s or inf
        return [
            within for best in ranges if (within := self._within_latency(best, allowed)) is not None
        ], rows

    def _within_latency(self, best: BestPlanRange, allowed: float) -> BestPlanRange | None:
        """Return the part of a range in which a request takes no longer than is allowed."""
        plan = self._plans.lines[best.plan]
        if plan.latency_s(best.low) <= allowed:
            return best
        if plan.latency_s(best.high) > allowed:
            return None
        return msgspec.structs.replace(best, low=plan.link_s / (allowed - plan.fixed_s))

    def _line(self, bandwidth: float, budgets: Mapping[str, float]) -> CostLine[int]:
        problem = self._unlimited_problem(bandwidth, budgets)
        result = self._solve(problem)
        if result.choice is None:
            raise _NoPlanError(self._clash_text(budgets))
        plan = self._plans.register(problem, result.choice, self._points.scenario(bandwidth, budgets))
        return CostLine(plan.fixed_s, plan.link_s, plan.number)

    def _solve(self, problem: PlacementProblem) -> SolveResult:
        self.solves += 1
        return solve_cached(problem, self._options, self._plans.choices)

    def _clash_text(self, budgets: Mapping[str, float]) -> str:
        """Return which budgets leave no plan."""
        return clash_text(with_budgets(self._points.basis.scenario, budgets).budget)

    def _solved_row(self, bandwidth: float | None, budgets: Mapping[str, float]) -> Row:
        """Return a point solved by itself."""
        problem = self._points.problem(bandwidth, budgets)
        try:
            result = self._solve(problem)
        except SolverError as exc:
            return _no_row(bandwidth, budgets, str(exc), "unsolved")
        if result.choice is None:
            return _no_row(bandwidth, budgets, self._clash_text(budgets))
        plan = self._plans.register(problem, result.choice, self._points.scenario(bandwidth, budgets))
        return Row(
            bandwidth=bandwidth,
            budgets=dict(budgets),
            status=result.status.value,
            plan=plan.number,
            objective=result.objective,
            bound=result.bound,
        )

    def _row_from_ranges(
        self, bandwidth: float, budgets: Mapping[str, float], ranges: Sequence[BestPlanRange]
    ) -> Row:
        """Return a point whose best plan is known from the pieces."""
        nearest = min(ranges, key=lambda best: max(best.low - bandwidth, bandwidth - best.high))
        plan = self._plans.lines[nearest.plan]
        latency = plan.latency_s(bandwidth)
        allowed = with_budgets(self._points.basis.scenario, budgets).latency_s or inf
        if latency > allowed:
            budget = f"budget.latency_ms: {allowed * MILLI:g} ms cannot be kept"
            return _no_row(bandwidth, budgets, f"{budget}; the least latency is {latency * MILLI:.6g} ms")
        return Row(
            bandwidth=bandwidth,
            budgets=dict(budgets),
            status="optimal",
            plan=plan.number,
            objective=latency,
            bound=latency * (1 - _GAP),
        )


def clash_text(budget: BudgetSpec) -> str:
    """Return which budgets cannot be kept together, by their keys."""
    set_keys = budget.model_dump(exclude_none=True, exclude_defaults=True)
    keys = [
        f"budget.{key}.{part}" if part else f"budget.{key}"
        for key, value in set_keys.items()
        for part in (value if isinstance(value, dict) else ("",))
    ]
    if not keys:
        return "no placement is possible; plan SCENARIO says why"
    if len(keys) == 1:
        return f"{keys[0]} cannot be kept"
    return f"the budgets cannot be kept together: {', '.join(keys)}; plan SCENARIO says which of them"


class _NoPlanError(Exception):
    """The budgets that vary leave no plan at any bandwidth."""


def _no_row(
    bandwidth: float | None, budgets: Mapping[str, float], reason: str, status: str = "infeasible"
) -> Row:
    return Row(
        bandwidth=bandwidth,
        budgets=dict(budgets),
        status=status,
        plan=None,
        objective=None,
        bound=None,
        reason=reason,
    )
