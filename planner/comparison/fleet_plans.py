"""The plans to hold for a fleet, and the rule that picks one of them for a class and a bandwidth."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from math import inf, sqrt

from planner.comparison.bandwidth_traces import BandwidthDistribution
from planner.comparison.fleet_classes import FleetCell, FleetProblems, common_noise_limit, fleet_cells
from planner.comparison.fleet_records import FleetPlans, FleetRow, FleetRule
from planner.comparison.fleet_selection import (
    CandidatePool,
    CellAnswer,
    FleetSelection,
    PortableChoice,
    cost_in,
)
from planner.comparison.lower_envelope import CostLine, lower_envelope
from planner.comparison.plan_registry import PlanRegistry
from planner.comparison.plan_selection import select_plans
from planner.comparison.sweep_points import LATENCY, NOISE, UnreachableBudgetError
from planner.errors import ScenarioError, SolverError
from planner.plan.configuration import configuration_of
from planner.problem.cost_evaluation import evaluate
from planner.problem.placement_problem import PlacementProblem
from planner.problem.quantities import CostMetric
from planner.refinement.measured_scenario import MeasuredScenario
from planner.scenario.fleet_schema import DeviceClassSpec, FleetSpec
from planner.solver.result import OPTIMAL_GAP, SolveResult
from planner.solver.solve_cache import solve_cached, warm_cache
from profiling.progress import Progress

_CLASH = "the budgets cannot be kept together"
_NONE_HELD = "no plan that is held is possible here"
_GAP = 1e-7
_MOST_ROUNDS = 12  # in which the limit on noise may fall, each time for all cells
_WIDEST = (1e-5, 1e10)  # Mbit/s, beyond what a scenario may say


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
        for cell in cells:
            try:
                problems.append(self._problems.problem(cell.device_class, cell.bandwidth))
                reasons.append("")
            except (UnreachableBudgetError, ScenarioError) as exc:
                problems.append(None)
                reasons.append(str(exc))
        possible = [problem for problem in problems if problem is not None]
        self._noise_limit = common_noise_limit(possible)
        limited = [None if p is None else p.with_limit(NOISE, self._noise_limit) for p in problems]
        warm_cache([problem for problem in limited if problem is not None], self._options, self._jobs)
        answers = []
        for n, problem in enumerate(limited):
            progress("planning classes at bandwidths", n, len(cells))
            answer = CellAnswer(None, inf, 0.0) if problem is None else self._answer(problem)
            if answer.plan is None and not reasons[n]:
                reasons[n] = _CLASH
            answers.append(answer)
        progress("planning classes at bandwidths", len(cells), len(cells))
        return _Solved(cells, tuple(limited), tuple(answers), tuple(reasons))

    def _answer(self, problem: PlacementProblem) -> CellAnswer:
        result = self._solve(problem)
        if result.choice is None or result.objective is None:
            return CellAnswer(None, inf, 0.0)
        plan = PortableChoice.of(problem, result.choice)
        return CellAnswer(plan, result.objective, result.bound or 0.0)

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
        held = self._best_on_one_axis(solved, most)
        if held is not None:
            selection = pool.fixed(solved.answers, held)
            return replace(selection, bound=selection.mean * (1 - _GAP))
        return pool.select(solved.answers, list(_groups(solved)), most, self._options)

    def _group_problem(self, cells: Sequence[FleetCell]) -> PlacementProblem | None:
        """Return the problem of the mean latency of some cells; None with costs that have no such mean."""
        found = self._problems.group_class(cells) if self._has_lines(cells[0].device_class) else None
        if found is None:
            return None
        with suppress(UnreachableBudgetError, ScenarioError):
            # A limit on latency is each cell's own, and no limit on the mean.
            problem = self._problems.problem(*found).with_limit(LATENCY, None)
            return problem.with_limit(NOISE, self._noise_limit)
        return None

    def _has_lines(self, device_class: DeviceClassSpec) -> bool:
        return self._problems.points(device_class).has_lines({})

    def _best_on_one_axis(self, solved: _Solved, most: int) -> list[PortableChoice] | None:
        """Return the plans to hold where only the bandwidth varies, or only the speed; None elsewhere.

        A plan's latency is then a line over 1/bandwidth, or over 1/speed, and dynamic programming over the
        lower envelope of these lines is exact.
        """
        axis = _axis_of(solved.cells)
        if axis is None or not self._same_plans_everywhere(solved):
            return None
        values, at = axis
        shares: dict[float, float] = {}
        for value, cell in zip(values, solved.cells, strict=True):
            shares[value] = shares.get(value, 0.0) + cell.share
        if len(shares) == 1:
            return [plan for plan in [solved.answers[0].plan] if plan is not None]

        def problem_at(x: float) -> PlacementProblem:
            return self._problems.problem(*at(1 / x)).with_limit(NOISE, self._noise_limit)

        plans: list[PortableChoice] = []

        def best(x: float) -> CostLine[int]:
            problem = problem_at(x)
            result = self._solve(problem)
            if result.choice is None:
                raise SolverError("a plan that is possible at one bandwidth is not at another one")
            plan = PortableChoice.of(problem, result.choice)
            if plan not in plans:
                plans.append(plan)
            return _line(plan, (x, problem), (2 * x, problem_at(2 * x)), plans.index(plan))

        envelope = lower_envelope(best, 1 / max(shares), 1 / min(shares))
        occurrence = BandwidthDistribution(tuple(shares), tuple(shares.values()), "the fleet")
        chosen = select_plans([piece.line for piece in envelope], occurrence, most)
        return [plans[line.plan] for line in chosen.lines]

    def _same_plans_everywhere(self, solved: _Solved) -> bool:
        """Return whether costs are lines, and what is possible in one cell is possible in all."""
        problems = [problem for problem in solved.problems if problem is not None]
        return (
            all(answer.plan is not None for answer in solved.answers)
            and self._has_lines(solved.cells[0].device_class)
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
        registry = self._registered(solved, selection)
        rules = tuple(self._rules(solved, selection))
        rows = []
        for c, (cell, answer) in enumerate(zip(solved.cells, solved.answers, strict=True)):
            costs = selection.costs[c]
            least = min(costs, default=inf)
            possible = answer.plan is not None
            rows.append(
                FleetRow(
                    device_class=cell.device_class.name,
                    bandwidth=cell.bandwidth,
                    share=cell.share,
                    plan=costs.index(least) if least < inf else None,
                    objective=least if least < inf else None,
                    best=answer.objective if possible else None,
                    bound=answer.bound if possible else None,
                    reason=solved.reasons[c] or ("" if least < inf else _NONE_HELD),
                )
            )
        served = [row for row in rows if row.objective is not None]
        weight = sum(row.share for row in served)
        free = sum(row.share * (row.best or 0.0) for row in served) / weight if served else None
        mean = selection.mean if served else None
        gap = None if mean is None else (mean - selection.bound) / mean if mean else 0.0
        return FleetPlans(
            device=self._fleet.device,
            links=self._problems.links,
            most=most,
            status="infeasible"
            if gap is None
            else "optimal"
            if gap <= OPTIMAL_GAP and len(served) == len([row for row in rows if row.best is not None])
            else "feasible",
            mean_objective=mean,
            bound=selection.bound if served else None,
            gap=gap,
            free_objective=free,
            regret=max(0.0, mean / free - 1) if mean is not None and free else 0.0 if served else None,
            served=weight,
            candidates=selection.candidates,
            rows=tuple(rows),
            rule=rules,
        ), registry

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

    def _rules(self, solved: _Solved, selection: FleetSelection) -> Iterator[FleetRule]:
        """Yield which plan a class runs from which bandwidth to which, slow links first."""
        for device_class in self._fleet.classes:
            own = [c for c, cell in enumerate(solved.cells) if cell.device_class.name == device_class.name]
            ranges = self._ranges(device_class, solved, selection, own)
            yield from (
                FleetRule(device_class=device_class.name, low=low, high=high, plan=plan)
                for low, high, plan in ranges
            )

    def _ranges(
        self,
        device_class: DeviceClassSpec,
        solved: _Solved,
        selection: FleetSelection,
        own: Sequence[int],
    ) -> list[tuple[float | None, float | None, int]]:
        served = [c for c in own if min(selection.costs[c], default=inf) < inf]
        if not served:
            return []
        if solved.cells[own[0]].bandwidth is None or not self._has_lines(device_class):
            return _nearest_ranges(solved.cells, selection, served)
        problem = self._problems.problem(device_class, 1.0).with_limit(LATENCY, None)
        half = self._problems.problem(device_class, 0.5).with_limit(LATENCY, None)
        held = {k: plan for k, plan in enumerate(selection.plans) if selection.costs[served[-1]][k] < inf}
        lines = [_line(plan, (1.0, problem), (2.0, half), k) for k, plan in held.items()]
        lines = [line for line in lines if line.intercept < inf]
        low, high = (1 / value for value in reversed(_WIDEST))
        pieces = lower_envelope(lambda x: min(lines, key=lambda one: one.at(x)), low, high)
        ends = [None, *(1 / piece.low for piece in pieces[1:]), None]
        return [
            (slow, fast, piece.line.plan)
            for piece, (fast, slow) in reversed(list(zip(pieces, pairwise(ends), strict=True)))
        ]


def _nearest_ranges(
    cells: Sequence[FleetCell], selection: FleetSelection, served: Sequence[int]
) -> list[tuple[float | None, float | None, int]]:
    """Return ranges of bandwidths in which the plan of the nearest bandwidth runs."""
    ranges: list[tuple[float | None, float | None, int]] = []
    low: float | None = None
    for c, after in zip(served, [*served[1:], None], strict=True):
        row, bandwidth = selection.costs[c], cells[c].bandwidth
        next_bandwidth = None if after is None else cells[after].bandwidth
        high = None if bandwidth is None or next_bandwidth is None else sqrt(bandwidth * next_bandwidth)
        plan = row.index(min(row))
        if ranges and ranges[-1][2] == plan:
            ranges[-1] = (ranges[-1][0], high, plan)
        else:
            ranges.append((low, high, plan))
        low = high
    return ranges


def _line(
    plan: PortableChoice,
    at: tuple[float, PlacementProblem],
    beyond: tuple[float, PlacementProblem],
    number: int,
) -> CostLine[int]:
    """Return a plan's cost as a line through two points."""
    (x0, here), (x1, there) = at, beyond
    first, second = cost_in(here, plan), cost_in(there, plan)
    slope = 0.0 if first == inf else (second - first) / (x1 - x0)
    return CostLine(first - slope * x0, slope, number)


_Axis = tuple[list[float], Callable[[float], tuple[DeviceClassSpec, float | None]]]


def _axis_of(cells: Sequence[FleetCell]) -> _Axis | None:
    """Return what alone varies: its value in each cell, and the class and bandwidth at a value."""
    first = cells[0]
    alike = {(c.device_class.profile, c.device_class.precisions, c.device_class.memory_mib) for c in cells}
    speeds, bandwidths = [c.device_class.speedup for c in cells], [c.bandwidth for c in cells]
    known = [bandwidth for bandwidth in bandwidths if bandwidth is not None]
    if len(alike) > 1:
        return None
    if len(set(speeds)) == 1 and len(known) == len(cells):
        return known, lambda value: (first.device_class, value)
    if len(set(bandwidths)) == 1:
        return speeds, lambda value: (
            first.device_class.model_copy(update={"speedup": value}),
            first.bandwidth,
        )
    return None


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
