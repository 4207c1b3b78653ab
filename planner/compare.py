"""Plans over bandwidths and budgets: measured once, re-priced and re-solved at each of them."""

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from itertools import product
from math import inf

import msgspec

from planner.baselines import Baseline, alone, baselines
from planner.basis import Basis
from planner.comparison import FORMAT, Comparison, Piece, PlanLine, Row
from planner.compose import Chosen, Question, chosen_by, cuts_of, memory_of, objective_name
from planner.envelope import Line, lower_envelope
from planner.errors import SolverError
from planner.evaluate import evaluate
from planner.ilp import SolveResult, solve
from planner.plan import Cut
from planner.problem import Choice, Measure, PlacementProblem, Quantity
from planner.scenario import Scenario
from planner.scenario_file import dump_scenario
from planner.solvers import SolverOptions
from planner.sweep import Bandwidths
from planner.tables import short_name, size_text
from profiling.cache import cache_key, cached
from profiling.folders import cache_folder
from profiling.progress import Progress, silent

LATENCY, NOISE = Quantity(Measure.LATENCY), Quantity(Measure.NOISE)
_CLASH = "the budgets cannot be kept together"
_MOST_CUTS = 2  # that a summary names
_GAP = 1e-7  # to which a plan has to be proved best, so that breakpoints are


@dataclass(frozen=True, slots=True)
class Sweep:
    """What is varied.

    Parameters
    ----------
    bandwidths
        None if only budgets are.
    budgets
        Key of a budget -> its values; several keys make a grid.
    """

    bandwidths: Bandwidths | None
    budgets: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def budget_sets(self) -> Iterator[dict[str, float]]:
        """Yield every combination of budgets."""
        for values in product(*self.budgets.values()):
            yield dict(zip(self.budgets, values, strict=True))


def compare(basis: Basis, sweep: Sweep, jobs: int = 1, progress: Progress = silent) -> Comparison:
    """Return the best plan at each bandwidth and budget of a sweep, and where it changes.

    Parameters
    ----------
    jobs
        Processes that solve rows' baselines side by side.
    """
    begun = time.perf_counter()
    search = _Search(basis, sweep)
    sets = list(sweep.budget_sets())
    pieces: list[Piece] = []
    rows: list[Row] = []
    for number, budgets in enumerate(sets):
        progress("comparing plans", number, len(sets))
        own, found = search.over_bandwidths(budgets)
        pieces += own
        rows += found
    progress("comparing plans", len(sets), len(sets))
    rows = list(_with_baselines(search, rows, jobs, progress))
    bandwidths = sweep.bandwidths
    return Comparison(
        format=FORMAT,
        objective=objective_name(basis.scenario),
        links=bandwidths.links if bandwidths else (),
        unit=bandwidths.unit if bandwidths else "",
        units=tuple(unit.name for unit in basis.prepared.models.graph.units),
        plans=tuple(search.plans.values()),
        pieces=tuple(pieces),
        rows=tuple(rows),
        solves=search.solves,
        runtime_s=time.perf_counter() - begun,
    )


class _Search:
    """The plans met so far, and the problem of each point."""

    def __init__(self, basis: Basis, sweep: Sweep) -> None:
        self._basis, self._sweep = basis, sweep
        self._question = basis.ask(basis.latency)
        self._limits: dict[str, float | None] = {}  # by the budgets that they follow from
        self.plans: dict[Chosen, PlanLine] = {}
        self._choices: dict[Choice, None] = {}
        self.solves = 0

    def over_bandwidths(self, budgets: Mapping[str, float]) -> tuple[list[Piece], list[Row]]:
        """Return where each plan is best under some budgets, and a row per bandwidth."""
        bandwidths = self._sweep.bandwidths
        if bandwidths is None:
            return [], [self._row(None, budgets)]
        values = bandwidths.values
        if len(values) == 1 or not self._has_lines(budgets):
            return [], [self._row(value, budgets) for value in values]
        try:
            # Over x = 1 / bandwidth a plan's latency is a line.
            found = lower_envelope(lambda x: self._line(1 / x, budgets), 1 / values[-1], 1 / values[0])
        except _NoPlanError as exc:
            return [], [_no_row(value, budgets, str(exc)) for value in values]
        pieces = [
            Piece(budgets=dict(budgets), low=1 / one.high, high=1 / one.low, plan=one.line.plan)
            for one in reversed(found)
        ]
        return pieces, [self._row_of(value, budgets, pieces) for value in values]

    def problem(self, bandwidth: float | None, budgets: Mapping[str, float]) -> PlacementProblem:
        """Return the problem of a point, with the limit on noise that its error budgets come to."""
        scenario = self.scenario(bandwidth, budgets)
        return self._at(scenario).formulate().limited(NOISE, self._noise_limit(budgets))

    def scenario(self, bandwidth: float | None, budgets: Mapping[str, float]) -> Scenario:
        """Return the scenario of a point."""
        scenario = with_budgets(self._basis.scenario, budgets)
        if bandwidth is None or self._sweep.bandwidths is None:
            return scenario
        return self._sweep.bandwidths.scenario_at(scenario, bandwidth)

    def _at(self, scenario: Scenario) -> Question:
        return replace(self._question, scenario=scenario)

    def _noise_limit(self, budgets: Mapping[str, float]) -> float | None:
        """Return the sum of noise with which the plan at the own bandwidth keeps the error budgets."""
        scenario = with_budgets(self._basis.scenario, budgets)
        errors = scenario.budget.model_dump_json()
        if errors not in self._limits:
            self._limits[errors] = _tightened(self._basis, scenario, self._at(scenario))
        return self._limits[errors]

    def _has_lines(self, budgets: Mapping[str, float]) -> bool:
        """Return whether plans' costs are lines, and the same plans possible at every bandwidth."""
        problem = self.problem(None, budgets)
        moving = {Measure.MAKESPAN, Measure.PERIOD, Measure.ENERGY}
        limited = {limit.quantity.measure for limit in problem.limits}
        return [term.quantity for term in problem.objective] == [LATENCY] and not limited & moving

    def _line(self, bandwidth: float, budgets: Mapping[str, float]) -> Line[int]:
        problem = self.problem(bandwidth, budgets).limited(LATENCY, None)
        result = self._solve(problem)
        if result.choice is None:
            raise _NoPlanError(_CLASH)
        plan = self._remember(problem, result.choice, bandwidth)
        return Line(plan.fixed_s, plan.link_s, plan.number)

    def _solve(self, problem: PlacementProblem) -> SolveResult:
        self.solves += 1
        result = solve(problem, self.options, list(self._choices))
        if result.choice is not None:
            self._choices[result.choice] = None
        return result

    @property
    def options(self) -> SolverOptions:
        """How points are solved."""
        return replace(self._basis.options, gap=_GAP)

    def _remember(self, problem: PlacementProblem, choice: Choice, bandwidth: float | None) -> PlanLine:
        """Return the plan of a choice, noted down if it is new."""
        chosen = chosen_by(problem, choice)
        if chosen not in self.plans:
            cost = evaluate(problem, choice)
            cuts = cuts_of(problem, cost)
            bandwidths = self._sweep.bandwidths
            moving = 0.0
            if bandwidths is not None and bandwidth is not None:
                moving = bandwidths.seconds_times_value(self._basis.scenario, cost.traffic_bytes)
            self.plans[chosen] = PlanLine(
                number=len(self.plans),
                summary=_summary(chosen, cuts),
                devices=chosen.devices,
                precisions=chosen.precisions,
                cuts=cuts,
                fixed_s=cost.latency_s - (moving / bandwidth if bandwidth else 0.0),
                link_s=moving,
                noise_relative_rms=self._basis.law.power(cost.noise_power) ** 0.5,
                energy_j=sum(cost.energy_j) if self._basis.scenario.knows_energy else None,
                memory_bytes=memory_of(problem, cost),
            )
        return self.plans[chosen]

    def _row(self, bandwidth: float | None, budgets: Mapping[str, float]) -> Row:
        """Return a point solved by itself."""
        problem = self.problem(bandwidth, budgets)
        try:
            result = self._solve(problem)
        except SolverError as exc:
            return _no_row(bandwidth, budgets, str(exc), "unsolved")
        if result.choice is None:
            return _no_row(bandwidth, budgets, _CLASH)
        plan = self._remember(problem, result.choice, bandwidth)
        return Row(
            bandwidth=bandwidth,
            budgets=dict(budgets),
            status=result.status.value,
            plan=plan.number,
            objective=result.objective,
            bound=result.bound,
            baselines={},
            joint_gain=None,
        )

    def _row_of(self, bandwidth: float, budgets: Mapping[str, float], pieces: Sequence[Piece]) -> Row:
        """Return a point whose best plan is known from the pieces."""
        at = min(pieces, key=lambda one: max(one.low - bandwidth, bandwidth - one.high))
        plan = list(self.plans.values())[at.plan]
        latency = plan.fixed_s + plan.link_s / bandwidth
        allowed = with_budgets(self._basis.scenario, budgets).latency_s or inf
        if latency > allowed:
            return _no_row(bandwidth, budgets, f"the least latency is {latency * 1e3:.6g} ms")
        return Row(
            bandwidth=bandwidth,
            budgets=dict(budgets),
            status="optimal",
            plan=plan.number,
            objective=latency,
            bound=latency * (1 - _GAP),
            baselines={},
            joint_gain=None,
        )


class _NoPlanError(Exception):
    """The budgets that vary leave no plan at any bandwidth."""


def with_budgets(scenario: Scenario, budgets: Mapping[str, float]) -> Scenario:
    """Return a scenario with other budgets: `noise_relative_rms`, `accuracy_drop` or `memory_mib.DEVICE`."""
    budget = scenario.budget
    for key, value in budgets.items():
        name, _, device = key.partition(".")
        changed = {**budget.memory_mib, device: value} if device else value
        budget = budget.model_copy(update={name: changed})
    return scenario.model_copy(update={"budget": budget})


class _NoiseLimit(msgspec.Struct, frozen=True):
    """The greatest sum of noise with which error budgets were seen to hold; None if there are none."""

    summed: float | None


def _tightened(basis: Basis, scenario: Scenario, question: Question) -> float | None:
    """Return the limit on summed noise at the scenario's own bandwidth; None without error budgets."""

    def make() -> _NoiseLimit:
        own = replace(basis, prepared=replace(basis.prepared, scenario=scenario))
        problem = question.formulate()
        limit = own.tightening(problem).solve(problem).problem.limit(Measure.NOISE)
        return _NoiseLimit(None if limit == inf else limit)

    key = cache_key(
        subject=basis.prepared.subject.fingerprint,
        scenario=dump_scenario(scenario),
        costs=repr(question.costs),
        gain=basis.law.gain,
        knee=basis.law.knee,
    )
    return cached(cache_folder() / f"limit-{key}.json", _NoiseLimit, make).summed


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
        baselines={},
        joint_gain=None,
        reason=reason,
    )


def _summary(chosen: Chosen, cuts: Sequence[Cut]) -> str:
    """Return what a person calls a plan."""
    used = list(dict.fromkeys(chosen.devices))
    if len(used) == 1:
        return f"all on {used[0]}"
    ends = [f"{short_name(cut.tensor)} ({cut.wire}, {size_text(cut.size_bytes)})" for cut in cuts]
    more = f" and {len(ends) - _MOST_CUTS} more" if len(ends) > _MOST_CUTS else ""
    return f"{' > '.join(used)}, over the links {', '.join(ends[:_MOST_CUTS])}{more}"


def _with_baselines(search: _Search, rows: Sequence[Row], jobs: int, progress: Progress) -> Iterator[Row]:
    """Yield the rows with what simpler ways to plan come to."""
    work = [(search.problem(row.bandwidth, row.budgets), replace(search.options, gap=1e-4)) for row in rows]
    with ProcessPoolExecutor(jobs) if jobs > 1 else nullcontext() as pool:
        mapped = map(_baselines, work) if pool is None else pool.map(_baselines, work)
        for number, (row, found) in enumerate(zip(rows, mapped, strict=True)):
            progress("comparing with baselines", number + 1, len(rows))
            known = {one.name: one.objective if one.objective < inf else None for one in found}
            yield _joined(row, known)


def _joined(row: Row, known: dict[str, float | None]) -> Row:
    best = min((value for value in known.values() if value is not None), default=None)
    gain = None if best is None or row.objective is None else 1 - row.objective / best
    return msgspec.structs.replace(row, baselines=known, joint_gain=gain)


def _baselines(work: tuple[PlacementProblem, SolverOptions]) -> tuple[Baseline, ...]:
    problem, _ = work
    return (*alone(problem), *baselines(*work))
