"""What simpler ways to plan come to in each row of a comparison, on the same costs and budgets."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import inf

import msgspec

from planner.comparison.baselines import (
    ONE_DEVICE_MIXED,
    BaselineWork,
    solve_baseline_work,
    uniform_baselines,
)
from planner.comparison.comparison_record import Row
from planner.comparison.lower_envelope import CostLine
from planner.comparison.plan_registry import PlanRegistry
from planner.comparison.sweep_points import LATENCY, SweepPoints, UnreachableBudgetError
from planner.comparison.timed_sweep import ShownCosts
from planner.plan.configuration import configuration_of
from planner.problem.cost_evaluation import evaluate, is_feasible
from planner.problem.placement_problem import Choice, PlacementProblem
from planner.problem.quantities import CostMetric
from planner.problem.uniform_choices import (
    Baseline,
    Price,
    price_of,
    uniform_choices,
    with_cheapest_crossings,
)
from planner.solver.process_pool import process_map
from planner.solver.solve_cache import solve_cached
from planner.solver.solver_options import SolverOptions
from profiling.progress import Progress

_GAP = 1e-4  # of a baseline's own solves: a gain of less than that would not be told from none
_ROUNDING = 1e-9  # relative; a gain below it is the two sums' different order


def add_baselines(
    points: SweepPoints,
    rows: Sequence[Row],
    rivals: PlanRegistry,
    jobs: int,
    progress: Progress,
    shown: ShownCosts,
) -> Iterator[Row]:
    """Yield the rows with their baselines.

    Parameters
    ----------
    rivals
        Where the best baseline's plan of each row is registered.
    jobs
        Processes that solve side by side.
    shown
        What plans that were timed showed: a baseline that is one of them costs that.
    """
    options = replace(points.basis.options, gap=_GAP)
    uniform = _Uniform(points, rivals, options)
    problems = [_problem(points, row) for row in rows]
    work: list[BaselineWork] = [None if problem is None else (problem, options) for problem in problems]
    with process_map(min(jobs, len(rows))) as mapped:
        solved_by_row = mapped(solve_baseline_work, work)
        for number, (row, problem, solved) in enumerate(zip(rows, problems, solved_by_row, strict=True)):
            progress("comparing with baselines", number + 1, len(rows))
            if problem is None:
                yield row
                continue
            priced = (*uniform.best(row, problem), *solved)
            candidates = [_as_shown(baseline, row, problem, shown) for baseline in priced]
            best = min(candidates, key=lambda baseline: baseline.objective)
            plan = None
            if best.choice is not None:
                plan = shown.registered(best.choice, rivals, row.bandwidth, row.budgets).number
            yield msgspec.structs.replace(
                row,
                baselines={
                    baseline.name: baseline.objective if baseline.objective < inf else None
                    for baseline in candidates
                },
                baseline=best.name if plan is not None else "",
                baseline_plan=plan,
                joint_gain=_gain(row.objective, best.objective),
            )


def _problem(points: SweepPoints, row: Row) -> PlacementProblem | None:
    try:
        return points.problem(row.bandwidth, row.budgets)
    except UnreachableBudgetError:
        return None


def _as_shown(baseline: Baseline, row: Row, problem: PlacementProblem, shown: ShownCosts) -> Baseline:
    """Return a baseline that costs what it showed in place, if it was timed as a plan."""
    if baseline.choice is None:
        return baseline
    chosen = configuration_of(problem, baseline.choice)
    if not shown.timings.get(chosen):
        return baseline
    own = shown.points_of(chosen).problem(row.bandwidth, row.budgets)
    return replace(baseline, objective=evaluate(own, baseline.choice).objective)


def with_plan_on_one_device(row: Row, plans: PlanRegistry, rivals: PlanRegistry, shown: ShownCosts) -> Row:
    """Return a row whose baseline on one device is not above its plan, where all of that is on one device.

    The baseline was solved for at the costs that all plans showed together, the plan has its own.
    """
    if row.plan is None or row.objective is None or len(set(plans.lines[row.plan].devices)) > 1:
        return row
    known = row.baselines.get(ONE_DEVICE_MIXED)
    if ONE_DEVICE_MIXED not in row.baselines or (known is not None and known <= row.objective):
        return row
    found = {**row.baselines, ONE_DEVICE_MIXED: row.objective}
    least = min(value for value in found.values() if value is not None)
    changed = msgspec.structs.replace(row, baselines=found, joint_gain=_gain(row.objective, least))
    if least < row.objective:
        return changed
    own = shown.registered(plans.choices[row.plan], rivals, row.bandwidth, row.budgets)
    return msgspec.structs.replace(changed, baseline=ONE_DEVICE_MIXED, baseline_plan=own.number)


def _gain(objective: float | None, baseline: float) -> float | None:
    if objective is None or baseline == inf:
        return None
    gain = 1 - objective / baseline if baseline else 0.0
    return gain if abs(gain) > _ROUNDING else 0.0


class _Uniform:
    """Ways with one precision and at most one cut; where costs are lines, each is evaluated once."""

    def __init__(self, points: SweepPoints, rivals: PlanRegistry, options: SolverOptions) -> None:
        self._points, self._rivals, self._options = points, rivals, options
        self._choices: dict[str, tuple[tuple[str, Choice], ...]] = {}
        self._lines: dict[tuple[str, Choice], CostLine[None]] = {}

    def best(self, row: Row, problem: PlacementProblem) -> tuple[Baseline, ...]:
        """Return the best of each name in a row."""
        budgets = repr(row.budgets)
        if budgets not in self._choices:
            self._choices[budgets] = uniform_choices(problem)
        lines = row.bandwidth is not None and self._points.has_lines(row.budgets)
        cheapest = with_cheapest_crossings(problem)
        bound = self._on_lines(row, cheapest) if lines else price_of(cheapest)
        choices = self._choices[budgets]
        return uniform_baselines(problem, choices, bound, self._options, solver=solve_cached)

    def _on_lines(self, row: Row, problem: PlacementProblem) -> Price:
        allowed, free = problem.tightest_limit(CostMetric.LATENCY), problem.with_limit(LATENCY, None)
        scenario = self._points.scenario(row.bandwidth, row.budgets)
        budgets, x = repr(row.budgets), 1 / (row.bandwidth or 1.0)

        def price(choice: Choice) -> float:
            key = (budgets, choice)
            if key not in self._lines:
                cost = evaluate(free, choice)
                fixed_s, link_s = self._rivals.latency_line(cost, scenario)
                self._lines[key] = CostLine(fixed_s if is_feasible(free, cost) else inf, link_s, None)
            latency = self._lines[key].at(x)
            return latency if latency <= allowed else inf

        return price
