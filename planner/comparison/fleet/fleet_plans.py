"""The plans to hold for a fleet: cells solved, plans chosen and checked, and the record of all that."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from math import inf

from planner.comparison.fleet.fleet_axis import AxisAnswer, axis_of, solve_axis
from planner.comparison.fleet.fleet_classes import FleetCell, FleetProblems, common_noise_limit, fleet_cells
from planner.comparison.fleet.fleet_records import FleetPlans, FleetRow
from planner.comparison.fleet.fleet_rules import fleet_rules
from planner.comparison.fleet.fleet_selection import (
    CandidatePool,
    CellAnswer,
    FleetSelection,
    PortableChoice,
)
from planner.comparison.plan_registry import PlanRegistry
from planner.comparison.sweep_points import LATENCY, NOISE, UnreachableBudgetError
from planner.errors import ScenarioError, SolverError
from planner.plan.configuration import configuration_of
from planner.problem.cost_evaluation import evaluate
from planner.problem.placement_problem import PlacementProblem
from planner.problem.quantities import CostMetric
from planner.refinement.measured_scenario import MeasuredScenario
from planner.scenario.fleet_schema import FleetSpec
from planner.solver.result import OPTIMAL_GAP, SolveResult
from planner.solver.solve_cache import solve_cached, warm_cache
from profiling.progress import Progress

_CLASH = "the budgets cannot be kept together"
_NONE_HELD = "no plan that is held is possible here"
_GAP = 1e-7
_MOST_ROUNDS = 12  # in which the limit on noise may fall, each time for all cells
_NOTHING, _UNKNOWN = CellAnswer(None, inf, 0.0, is_infeasible=True), CellAnswer(None, inf, 0.0)


@dataclass(frozen=True, slots=True)
class _Solved:
    """A fleet's cells and their problems; None and a reason where no plan can be."""

    cells: tuple[FleetCell, ...]
    problems: tuple[PlacementProblem | None, ...]
    answers: tuple[CellAnswer, ...]
    reasons: tuple[str, ...]


class FleetPlanner:
    """Chooses the plans that are held for a measured scenario's fleet.

    Parameters
    ----------
    jobs
        Processes that solve cells side by side.
    """

    def __init__(self, measured: MeasuredScenario, fleet: FleetSpec, jobs: int) -> None:
        self._measured, self._fleet, self._jobs = measured, fleet, jobs
        self._problems = FleetProblems(measured, fleet)
        self._options = replace(measured.options, gap=_GAP)
        self._noise_limit: float | None = None
        self.solves = 0

    def plan(self, most: int, progress: Progress) -> tuple[FleetPlans, PlanRegistry]:
        """Return at most `most` plans with the least mean objective, and where they are registered.

        All of them keep the error budgets on held-back data: while one does not, the limit on noise falls
        for the whole fleet.
        """
        for _ in range(_MOST_ROUNDS):
            solved = self._solved_cells(progress)
            selection = self._selection(solved, most)
            if not self._lowered(solved, selection):
                break
        return self._record(most, solved, selection)

    def _solved_cells(self, progress: Progress) -> _Solved:
        cells = fleet_cells(self._fleet)
        problems: list[PlacementProblem | None] = []
        reasons: list[str] = []
        failed: set[int] = set()
        for cell in cells:
            try:
                problems.append(self._problems.problem(cell.device_class, cell.bandwidth))
                reasons.append("")
            except (UnreachableBudgetError, ScenarioError) as exc:
                problems.append(None)
                reasons.append(str(exc))
            except SolverError as exc:  # while it searched for the limit on noise
                problems.append(None)
                reasons.append(_one_line(exc))
                failed.add(len(reasons) - 1)
        possible = [problem for problem in problems if problem is not None]
        self._noise_limit = common_noise_limit(possible)
        limited = [None if p is None else p.with_limit(NOISE, self._noise_limit) for p in problems]
        warm_cache([problem for problem in limited if problem is not None], self._options, self._jobs)
        answers = []
        for n, problem in enumerate(limited):
            progress("planning classes at bandwidths", n, len(cells))
            answer, reason = _UNKNOWN if n in failed else _NOTHING, reasons[n]
            if problem is not None:
                answer, reason = self._answer(problem)
            answers.append(answer)
            reasons[n] = reason
        progress("planning classes at bandwidths", len(cells), len(cells))
        return _Solved(cells, tuple(limited), tuple(answers), tuple(reasons))

    def _answer(self, problem: PlacementProblem) -> tuple[CellAnswer, str]:
        """Return the best plan of a cell, or why there is none."""
        try:
            result = self._solve(problem)
        except SolverError as exc:
            return _UNKNOWN, _one_line(exc)
        if result.choice is None or result.objective is None:
            return _NOTHING, _CLASH
        plan = PortableChoice.of(problem, result.choice)
        return CellAnswer(plan, result.objective, result.bound or 0.0), ""

    def _solve(self, problem: PlacementProblem) -> SolveResult:
        self.solves += 1
        return solve_cached(problem, self._options)

    def _selection(self, solved: _Solved, most: int) -> FleetSelection:
        pool = CandidatePool(
            solved.problems,
            [cell.share for cell in solved.cells],
            self._solve,
            lambda group: self._group_problem([solved.cells[c] for c in group]),
        )
        for answer in solved.answers:
            if answer.plan is not None:
                pool.add(answer.plan)
        axis = self._solved_axis(solved, most)
        if axis is None:
            return pool.select(solved.answers, list(_groups(solved)), most, self._options)
        selection = pool.fixed(solved.answers, axis.held).with_bound(axis.bound)
        if selection.gap > OPTIMAL_GAP:
            # Solves ended before they were closed: other candidates may be better.
            for plan in axis.plans:
                pool.add(plan)
            selection = pool.select(solved.answers, list(_groups(solved)), most, self._options)
        return selection.with_bound(axis.bound)

    def _group_problem(self, cells: Sequence[FleetCell]) -> PlacementProblem | None:
        """Return the problem of the mean latency of some cells; None with costs that have no such mean."""
        has_lines = self._problems.has_lines(cells[0].device_class)
        found = self._problems.group_class(cells) if has_lines else None
        if found is None:
            return None
        with suppress(UnreachableBudgetError, ScenarioError):
            # A limit on latency is each cell's own, and no limit on the mean.
            problem = self._problems.problem(*found).with_limit(LATENCY, None)
            return problem.with_limit(NOISE, self._noise_limit)
        return None

    def _solved_axis(self, solved: _Solved, most: int) -> AxisAnswer | None:
        """Return the plans to hold where only the bandwidth varies, or only the speed; None elsewhere."""
        axis = axis_of(solved.cells)
        if axis is None or not self._same_plans_everywhere(solved):
            return None

        def problem_at(x: float) -> PlacementProblem:
            return self._problems.problem(*axis.at(1 / x)).with_limit(NOISE, self._noise_limit)

        shares = [(value, cell.share) for value, cell in zip(axis.values, solved.cells, strict=True)]
        return solve_axis(shares, most, problem_at, self._solve)

    def _same_plans_everywhere(self, solved: _Solved) -> bool:
        """Return whether costs are lines, and what is possible in one cell is possible in all."""
        problems = [problem for problem in solved.problems if problem is not None]
        return (
            all(answer.plan is not None for answer in solved.answers)
            and self._problems.has_lines(solved.cells[0].device_class)
            and all(problem.tightest_limit(CostMetric.LATENCY) == inf for problem in problems)
        )

    def _lowered(self, solved: _Solved, selection: FleetSelection) -> bool:
        """Return whether a plan broke an error budget on held-back data, so that cells are solved again."""
        lowered = False
        for cell, problem in _classes(solved):
            points = self._problems.points(cell.device_class)
            noise = {}
            for plan in selection.plans:
                choice = plan.in_problem(problem)
                if choice is not None:
                    noise[configuration_of(problem, choice)] = evaluate(problem, choice).noise_power
            lowered |= points.lower_noise_limit({}, noise)
        return lowered

    def _record(
        self, most: int, solved: _Solved, selection: FleetSelection
    ) -> tuple[FleetPlans, PlanRegistry]:
        rows = tuple(_row(c, solved, selection) for c in range(len(solved.cells)))
        served = [row for row in rows if row.objective is not None]
        weight = sum(row.share for row in served)
        free = sum(row.share * (row.best or 0.0) for row in served) / weight if served else None
        mean = selection.mean if served else None
        return FleetPlans(
            device=self._fleet.device,
            links=self._problems.links,
            most=most,
            status=_status(rows, solved, selection),
            mean_objective=mean,
            bound=selection.bound if served else None,
            gap=selection.gap if served else None,
            free_objective=free,
            regret=max(0.0, mean / free - 1) if mean is not None and free else 0.0 if served else None,
            served=weight,
            candidates=selection.candidates,
            rows=rows,
            rule=tuple(fleet_rules(self._fleet.classes, solved.cells, selection, self._problems)),
        ), self._registered(solved, selection)

    def _registered(self, solved: _Solved, selection: FleetSelection) -> PlanRegistry:
        """Return the plans under their numbers, each with its costs in the cell that it serves most."""
        first = solved.cells[0].device_class
        registry = PlanRegistry(self._problems.points(first))
        for k, plan in enumerate(selection.plans):
            own = [
                c
                for c, row in enumerate(selection.costs)
                if row[k] == min(row) and row[k] < inf and solved.problems[c] is not None
            ]
            cell = max(own, key=lambda c: solved.cells[c].share)
            problem, device_class = solved.problems[cell], solved.cells[cell].device_class
            choice = None if problem is None else plan.in_problem(problem)
            if problem is not None and choice is not None:
                scenario = self._problems.points(device_class).scenario(solved.cells[cell].bandwidth, {})
                registry.register(problem, choice, scenario)
        return registry


def _one_line(error: SolverError) -> str:
    return "; ".join(map(str, error.args))


def _row(c: int, solved: _Solved, selection: FleetSelection) -> FleetRow:
    """Return what is known of a cell."""
    cell, answer, costs = solved.cells[c], solved.answers[c], selection.costs[c]
    least = min(costs, default=inf)
    # A plan that was found elsewhere may be better than a cell's own one, whose solve ran out of time.
    best = min(answer.objective, least)
    is_served = least < inf
    return FleetRow(
        device_class=cell.device_class.name,
        bandwidth=cell.bandwidth,
        share=cell.share,
        plan=costs.index(least) if is_served else None,
        objective=least if is_served else None,
        best=best if best < inf else None,
        bound=min(answer.bound, best) if best < inf else None,
        reason=solved.reasons[c] or ("" if is_served else _NONE_HELD),
    )


def _status(rows: Sequence[FleetRow], solved: _Solved, selection: FleetSelection) -> str:
    """Return whether the plans are proved to be the best ones, for all cells that plans can serve."""
    left_out = [
        answer
        for row, answer in zip(rows, solved.answers, strict=True)
        if row.plan is None and not answer.is_infeasible
    ]
    if all(row.plan is None for row in rows):
        return "unknown" if left_out else "infeasible"
    return "optimal" if selection.gap <= OPTIMAL_GAP and not left_out else "feasible"


def _groups(solved: _Solved) -> Iterator[list[int]]:
    """Yield all cells that any plan can serve, those of each class and those of each bandwidth."""
    possible = [c for c, answer in enumerate(solved.answers) if answer.plan is not None]
    if possible:
        yield possible
    for key in ("device_class", "bandwidth"):
        values = [getattr(solved.cells[c], key) for c in possible]
        for n, value in enumerate(values):
            if value not in values[:n]:
                yield [c for c, own in zip(possible, values, strict=True) if own == value]


def _classes(solved: _Solved) -> Iterator[tuple[FleetCell, PlacementProblem]]:
    """Yield one cell and its problem of each class that has one."""
    seen: set[str] = set()
    for cell, problem in zip(solved.cells, solved.problems, strict=True):
        if problem is not None and cell.device_class.name not in seen:
            seen.add(cell.device_class.name)
            yield cell, problem
