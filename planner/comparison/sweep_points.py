"""The points of a comparison: each one's problem, under the noise that its error budgets leave."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from math import inf

import msgspec
import onnxruntime as ort

from planner.comparison.bandwidth_values import Bandwidths
from planner.metrics.scenario_metric import metric_fingerprint
from planner.plan.configuration import Configuration
from planner.plan.plan_record import BudgetVerdict, Metrics, TooFewSamples
from planner.problem.placement_problem import PlacementProblem
from planner.problem.quantities import CostMetric, Quantity
from planner.refinement.measured_scenario import MeasuredScenario
from planner.refinement.noise_limit_search import SearchState, reduction_factor
from planner.refinement.planning_problem import PlanningProblem
from planner.scenario.loader import dump_scenario
from planner.scenario.schema import Scenario
from planner.verification.budget_margins import budget_verdicts
from planner.verification.error_budgets import doubtful_budgets, has_error_budget
from planner.verification.sample_size import too_few_to_tell
from profiling.on_device.processor import cpu_description
from profiling.records.cache import EntryKind, cached, entry_path

LATENCY, NOISE = Quantity(CostMetric.LATENCY), Quantity(CostMetric.NOISE)
# With these the same plans are not possible at every bandwidth, or their costs are no lines.
_MOVING = {CostMetric.MAKESPAN, CostMetric.PERIOD, CostMetric.ENERGY}


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


class UnreachableBudgetError(Exception):
    """Error budgets that even fp32 breaks, as a sentence: an answer, not a failure."""


class SweepPoints:
    """The problem at each bandwidth and set of budgets.

    Parameters
    ----------
    planning
        With other costs than the measured ones; None for those.
    limits
        Limits on noise that are known, by the budgets that they follow from; more of them are added.
    """

    def __init__(
        self,
        basis: MeasuredScenario,
        sweep: Sweep,
        planning: PlanningProblem | None = None,
        limits: "dict[str, _NoiseLimit] | None" = None,
    ) -> None:
        self.basis, self.sweep = basis, sweep
        self._planning = planning or basis.planning_problem(basis.latency)
        self._limits = {} if limits is None else limits

    def with_costs(self, planning: PlanningProblem) -> "SweepPoints":
        """Return the same points at other costs; limits on noise stay, and are not sought again."""
        return SweepPoints(self.basis, self.sweep, planning, self._limits)

    def problem(self, bandwidth: float | None, budgets: Mapping[str, float]) -> PlacementProblem:
        """Return the problem of a point.

        Raises
        ------
        UnreachableBudgetError
            If no plan keeps its error budgets.
        """
        planning = replace(self._planning, scenario=self.scenario(bandwidth, budgets))
        return planning.formulate().with_limit(NOISE, self._noise_limit(budgets))

    def scenario(self, bandwidth: float | None, budgets: Mapping[str, float]) -> Scenario:
        """Return the scenario of a point."""
        scenario = with_budgets(self.basis.scenario, budgets)
        if bandwidth is None or self.sweep.bandwidths is None:
            return scenario
        return self.sweep.bandwidths.scenario_at(scenario, bandwidth)

    def lower_noise_limit(self, budgets: Mapping[str, float], plans: Mapping[Configuration, float]) -> bool:
        """Lower the limit on noise if a plan does not keep the error budgets on held-back data.

        Parameters
        ----------
        plans
            Each with the sum of the noise powers of its tensors and units.

        Returns
        -------
        bool
            Whether it was lowered, so that points have to be solved again.
        """
        scenario = with_budgets(self.basis.scenario, budgets)
        budget = scenario.budget
        if not has_error_budget(budget):
            return False
        limits = []
        for chosen, summed in plans.items():
            metrics = self._held_back(chosen)
            # A plan without noise breaks a budget whatever the limit.
            if summed and any(True for _ in doubtful_budgets(budget, metrics)):
                limits.append(summed * reduction_factor(budget, metrics))
        if limits:
            self._limits[budget.model_dump_json()] = _NoiseLimit(min(limits))
        return bool(limits)

    def too_few_samples(
        self, budgets: Mapping[str, float], chosen: Configuration
    ) -> tuple[TooFewSamples, ...]:
        """Return what the held-back samples do not tell of a plan under some budgets."""
        budget = with_budgets(self.basis.scenario, budgets).budget
        return too_few_to_tell(budget, self._held_back(chosen)) if has_error_budget(budget) else ()

    def held_back_verdicts(
        self, budgets: Mapping[str, float], chosen: Configuration
    ) -> tuple[BudgetVerdict, ...]:
        """Return whether a plan keeps some error budgets on the held-back samples, and how sure that is."""
        budget = with_budgets(self.basis.scenario, budgets).budget
        return budget_verdicts(budget, self._held_back(chosen)) if has_error_budget(budget) else ()

    def _held_back(self, chosen: Configuration) -> Metrics:
        """Return the errors of a plan on held-back data, from the cache where they are known."""
        prepared = self.basis.prepared
        path = entry_path(
            EntryKind.HELD_BACK,
            _tightened,
            subject=prepared.subject.fingerprint,
            samples=prepared.held_back.fingerprint,
            schemes=repr(sorted((name, scheme.label) for name, scheme in prepared.schemes.items())),
            chosen=repr(chosen),
            metric=metric_fingerprint(self.basis.scenario),
            runtime=ort.__version__,
            processor=cpu_description(),
        )

        def make() -> Metrics:
            return self.basis.held_back_errors(chosen)

        return cached(path, Metrics, make)

    def has_lines(self, budgets: Mapping[str, float]) -> bool:
        """Return whether plans' costs are lines over 1/bandwidth, and the same plans possible everywhere."""
        problem = self.problem(None, budgets)
        limited = {limit.quantity.metric for limit in problem.limits}
        is_latency = [term.quantity for term in problem.objective] == [LATENCY]
        return is_latency and not limited & _MOVING and self._has_same_routes(budgets)

    def _has_same_routes(self, budgets: Mapping[str, float]) -> bool:
        """Return whether tensors take the same links at all bandwidths of the sweep.

        A route's seconds are a line over 1/bandwidth: one that is fastest at both ends is so between them.
        """
        if self.sweep.bandwidths is None:
            return True
        values = self.sweep.bandwidths.values
        slow, fast = (self.problem(end, budgets) for end in (min(values), max(values)))
        return all(
            [form.routes for form in one.forms] == [form.routes for form in other.forms]
            for one, other in zip(slow.flows, fast.flows, strict=True)
        )

    def _noise_limit(self, budgets: Mapping[str, float]) -> float | None:
        """Return the sum of noise with which the plan at the own bandwidth keeps the error budgets."""
        scenario = with_budgets(self.basis.scenario, budgets)
        errors = scenario.budget.model_dump_json()
        if errors not in self._limits:
            planning = replace(self._planning, scenario=scenario)
            self._limits[errors] = _tightened(self.basis, scenario, planning)
        noise_limit = self._limits[errors]
        if noise_limit.unmet:
            raise UnreachableBudgetError(f"even without quantization noise: {'; '.join(noise_limit.unmet)}")
        return noise_limit.summed


def with_budgets(scenario: Scenario, budgets: Mapping[str, float]) -> Scenario:
    """Return a scenario with other budgets: a key of its error budgets, or `memory_mib.DEVICE`."""
    budget = scenario.budget
    for key, value in budgets.items():
        name, _, device = key.partition(".")
        changed = {**budget.memory_mib, device: value} if device else value
        budget = budget.model_copy(update={name: changed})
    return scenario.model_copy(update={"budget": budget})


class _NoiseLimit(msgspec.Struct, frozen=True):
    """The greatest sum of noise powers with which error budgets were seen to hold; None if there are none.

    `unmet` says which budgets no limit makes hold.
    """

    summed: float | None
    unmet: tuple[str, ...] = ()


def _tightened(basis: MeasuredScenario, scenario: Scenario, planning: PlanningProblem) -> _NoiseLimit:
    """Return the limit on summed noise at the scenario's own bandwidth."""

    def make() -> _NoiseLimit:
        varied = replace(basis, prepared=replace(basis.prepared, scenario=scenario))
        problem = planning.formulate()
        search_result = varied.noise_limit_search.solve_and_try_out(problem, SearchState())
        limit = search_result.problem.tightest_limit(CostMetric.NOISE)
        return _NoiseLimit(None if limit == inf else limit, search_result.unmet)

    path = entry_path(
        EntryKind.NOISE_LIMIT,
        _tightened,
        subject=basis.prepared.subject.fingerprint,
        samples=basis.prepared.held_back.fingerprint,
        metric=metric_fingerprint(scenario),
        runtime=ort.__version__,
        processor=cpu_description(),
        scenario=dump_scenario(scenario),
        costs=repr(planning.costs),
        gain=basis.noise_model.gain,
        knee=basis.noise_model.knee,
        exponent=basis.noise_model.exponent,
    )
    return cached(path, _NoiseLimit, make)
