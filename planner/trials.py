"""The plans of a comparison built and measured, each one once: errors, the chain, and seconds in place."""

from collections.abc import Callable
from dataclasses import replace

import msgspec

from planner.build import deliverable_of
from planner.catalogue import Catalogue
from planner.comparison import PlanLine, Row, Trial
from planner.evaluate import evaluate
from planner.in_place import time_in_place
from planner.loop import refined
from planner.metrics import broken_budgets
from planner.plan import Measured
from planner.points import Points, with_budgets
from planner.scenario_file import dump_scenario
from planner.verify import verify
from profiling.cache import cache_key, cached, samples_hash
from profiling.folders import cache_folder
from profiling.progress import Progress


def tried_out(
    points: Points, plans: Catalogue, rivals: Catalogue, progress: Progress
) -> tuple[list[PlanLine], list[PlanLine]]:
    """Return both catalogues' plans with what measuring them showed; of rivals the seconds alone."""
    trials = _Trials(points, progress, len(plans.lines) + len(rivals.lines))
    own = [trials.of(plans, line, verified=True) for line in plans.lines]
    return own, [trials.of(rivals, line, verified=False) for line in rivals.lines]


def judged(row: Row, points: Points, plans: list[PlanLine], rivals: list[PlanLine]) -> Row:
    """Return a row with its plan's and its best baseline's measured latency, and the budgets that break."""
    broken: tuple[str, ...] = ()
    trial = None if row.plan is None else plans[row.plan].trial
    if trial is not None and trial.measured is not None:
        budget = with_budgets(points.basis.scenario, row.budgets).budget
        broken = tuple(
            f"{name} is {value:.6g}, budget {limit:.6g}"
            for name, limit, value in broken_budgets(budget, trial.measured)
        )
    return msgspec.structs.replace(
        row,
        measured_s=_measured_s(plans, row.plan, row.bandwidth),
        baseline_measured_s=_measured_s(rivals, row.baseline_plan, row.bandwidth),
        broken=broken,
    )


def _measured_s(lines: list[PlanLine], number: int | None, bandwidth: float | None) -> float | None:
    if number is None:
        return None
    line, trial = lines[number], lines[number].trial
    if trial is None or trial.fixed_s is None:
        return None
    return line.latency_s(bandwidth) - line.fixed_s + trial.fixed_s


class _Trials:
    """Builds plans and measures them, or takes what an earlier run measured from the cache."""

    def __init__(self, points: Points, progress: Progress, total: int) -> None:
        self._points, self._progress, self._total = points, progress, total
        self._done = 0
        bandwidths = points.sweep.bandwidths
        scenario = points.basis.scenario
        self._scenario = bandwidths.scenario_at(scenario, 1.0) if bandwidths else scenario
        self._evaluation = samples_hash(points.basis.prepared.evaluation.samples)

    def of(self, plans: Catalogue, line: PlanLine, *, verified: bool) -> PlanLine:
        """Return a plan with its trial."""
        self._progress("measuring plans", self._done, self._total)
        key = cache_key(
            subject=self._points.basis.prepared.subject.fingerprint,
            chosen=repr(plans.chosen[line.number]),
            scenario=dump_scenario(self._scenario),
            evaluation=self._evaluation,
            costs=repr(sorted(self._points.basis.latency.items())),
            verified=verified,
        )
        measure: Callable[[], Trial] = lambda: self._measure(plans, line.number, verified=verified)  # noqa: E731
        trial = cached(cache_folder() / f"trial-{key}.json", Trial, measure)
        self._done += 1
        self._progress("measuring plans", self._done, self._total)
        return msgspec.structs.replace(line, trial=trial)

    def _measure(self, plans: Catalogue, number: int, *, verified: bool) -> Trial:
        basis = self._points.basis
        prepared, chosen = basis.prepared, plans.chosen[number]
        built = basis.build(chosen)
        measured: Measured | None = None
        if verified:
            deliverable = deliverable_of(prepared, built)
            measured = verify(deliverable, prepared.evaluation, prepared.runtime, prepared.metric)
        found = time_in_place(prepared, built, chosen)
        if not found:
            return Trial(measured=measured, fixed_s=None)
        question = replace(basis.ask(refined(basis.latency, found)), scenario=self._scenario)
        cost = evaluate(question.formulate(), plans.choices[number])
        return Trial(measured=measured, fixed_s=plans.line_of(cost, self._scenario)[0])
