"""Several models over request rates: the best plan up to each rate, and what no plan can serve.

More requests only shrink what is possible: a plan that is best at one rate stays so up to the rate at which
its busiest device or link works all the time that it may. So each solve gives a whole range of rates.
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from math import inf

from planner.comparison.plan_registry import summary_text
from planner.errors import UsageError
from planner.json_record import Record
from planner.plan.configuration import configuration_of
from planner.plan.plan_record import Cut, NoisyCosts
from planner.problem.cost_evaluation import evaluate, is_feasible
from planner.problem.placement_problem import Choice
from planner.problem.quantities import CostMetric, Quantity
from planner.problem.several_models import JointProblem
from planner.refinement.infeasibility_text import models_conflict_text
from planner.refinement.measured_models import JointSearchResult, MeasuredModels, search_noise_limits
from planner.refinement.models_assembly import busy_of_all
from planner.refinement.noise_limit_search import SearchState
from planner.refinement.plan_assembly import cuts_of, memory_of, objective_name
from planner.solver.infeasibility import find_conflict
from profiling.precision import Precision
from profiling.progress import Progress, silent

FORMAT = 1
_PERIOD = Quantity(CostMetric.PERIOD)
# Beyond the end of a plan's range the next one is looked for: farther than solvers' tolerances.
_STEP = 1e-4
_MOST_RANGES = 200


class ModelPlacement(Record, frozen=True, kw_only=True):
    """Where one of the models is, and what one of its requests costs."""

    model: str
    summary: str
    devices: tuple[str, ...]
    precisions: tuple[Precision, ...]
    cuts: tuple[Cut, ...]
    latency_s: float
    noise_relative_rms: float


class RatePlan(Record, frozen=True, kw_only=True):
    """A plan of all models.

    Parameters
    ----------
    most_requests_per_s
        Of all models, that it can serve; None without end.
    busiest
        The device or link that bounds it.
    latency_s, energy_j
        Means over the requests.
    """

    most_requests_per_s: float | None
    busiest: str
    objective: float
    latency_s: float
    energy_j: float | None
    memory_bytes: dict[str, int]
    models: tuple[ModelPlacement, ...]


class RateRange(Record, frozen=True, kw_only=True):
    """Requests per second of all models for which one plan is best, or for which there is none.

    Parameters
    ----------
    plan
        Number of the plan; None if there is none, for a `reason`.
    status, bound
        As the solver proved it at the lower end.
    """

    low: float
    high: float
    plan: int | None
    status: str
    bound: float | None
    reason: str = ""


class RateComparison(Record, frozen=True, kw_only=True):
    """The best plans of several models over request rates.

    Parameters
    ----------
    alone
        Each model planned as if it had the devices for itself; None where that breaks a budget.
    complete
        Whether the ranges reach the highest rate that was asked for.
    noisy_costs
        Devices whose costs are noisy: each `status` is for these.
    """

    format: int
    objective: str
    models: tuple[str, ...]
    shares: tuple[float, ...]
    utilisation: float
    plans: tuple[RatePlan, ...]
    ranges: tuple[RateRange, ...]
    alone: RatePlan | None
    complete: bool
    runtime_s: float
    noisy_costs: tuple[NoisyCosts, ...] = ()


def compare_rates(
    models: MeasuredModels, rates: Sequence[float], progress: Progress = silent
) -> RateComparison:
    """Return the best plans from the lowest to the highest of some rates of all models together.

    Raises
    ------
    UsageError
        If the models have weights instead of rates.
    """
    if models.several.requests_per_s is None:
        raise UsageError("--requests-per-s: give each model requests_per_s, which say their mix")
    begun = time.perf_counter()
    plans: list[RatePlan] = []
    ranges: list[RateRange] = []
    low, high = min(rates), max(rates)
    states = [SearchState()] * len(models.measured)
    while low <= high and len(ranges) < _MOST_RANGES:
        progress("comparing plans", len(ranges), len(ranges) + 1)
        at_rate = replace(models, several=models.several.at_requests_per_s(low))
        searched = search_noise_limits(at_rate, _joint(at_rate), states)
        states = list(searched.states)
        choice = searched.result.choice
        if choice is None or searched.unmet:
            ranges.append(_without_plan(at_rate, searched, low, high))
            break
        plan = rate_plan(at_rate, searched.joint, choice)
        most = plan.most_requests_per_s or inf
        ranges.append(
            RateRange(
                low=low,
                high=min(most, high),
                plan=len(plans),
                status=searched.result.status.value,
                bound=searched.result.bound,
            )
        )
        plans.append(plan)
        low = max(low, most) * (1 + _STEP)
    progress("comparing plans", len(ranges), len(ranges))
    return RateComparison(
        format=FORMAT,
        objective=objective_name(models.several.shared),
        models=models.several.names,
        shares=tuple(one.share for one in models.several.models),
        utilisation=models.several.utilisation,
        plans=tuple(plans),
        ranges=tuple(ranges),
        alone=_alone(models, states),
        complete=ranges[-1].high >= high,
        runtime_s=time.perf_counter() - begun,
        noisy_costs=models.noisy_costs,
    )


def _joint(models: MeasuredModels) -> JointProblem:
    return models.formulate(models.planning_problems(tuple(one.latency for one in models.measured)))


def _without_plan(models: MeasuredModels, searched: JointSearchResult, low: float, high: float) -> RateRange:
    """Return the rest of the rates, which no plan serves, and why."""
    reason = f"even without quantization noise: {'; '.join(searched.unmet)}"
    if not searched.unmet:
        noises = [one.noise_model.predict for one in models.measured]
        reason = models_conflict_text(models.several, find_conflict(searched.problem, models.options), noises)
    return RateRange(low=low, high=high, plan=None, status="infeasible", bound=None, reason=reason)


def rate_plan(models: MeasuredModels, joint: JointProblem, choice: Choice) -> RatePlan:
    """Return a choice as a plan of a comparison."""
    cost = evaluate(joint.problem, choice)
    busy = busy_of_all(joint.problem, cost)
    several = models.several
    return RatePlan(
        most_requests_per_s=several.utilisation / cost.period_s if cost.period_s else None,
        busiest=max(busy, key=busy.__getitem__, default=""),
        objective=cost.objective,
        latency_s=cost.latency_s,
        energy_j=sum(cost.energy_j) if several.shared.knows_energy else None,
        memory_bytes=memory_of(joint.problem, cost),
        models=tuple(_placement(models, joint, choice, model) for model in range(len(joint.parts))),
    )


def _placement(models: MeasuredModels, joint: JointProblem, choice: Choice, model: int) -> ModelPlacement:
    part, own, measured = joint.parts[model], joint.choice_of(model, choice), models.measured[model]
    cost, chosen = evaluate(part.problem, own), configuration_of(part.problem, own)
    graph = measured.prepared.models.graph
    cuts, precisions = cuts_of(part.problem, cost, graph.tensors), graph.counted_precisions(chosen.precisions)
    return ModelPlacement(
        model=part.name,
        summary=summary_text(chosen.devices, precisions, cuts),
        devices=chosen.devices,
        precisions=precisions,
        cuts=cuts,
        latency_s=cost.latency_s,
        noise_relative_rms=measured.noise_model.predict(cost.noise_power) ** 0.5,
    )


def _alone(models: MeasuredModels, states: Sequence[SearchState]) -> RatePlan | None:
    """Return the plan that planning one model after the other comes to; None if it breaks a budget."""
    joint = _joint(models)
    # As if each model had the devices, and all requests, for itself.
    shared = [
        limit
        for limit in joint.problem.limits
        if not limit.quantity.is_of_models and limit.quantity != _PERIOD
    ]
    choices = []
    for part, search, state in zip(joint.parts, models.searches, states, strict=True):
        own = tuple(limit for limit in part.problem.limits if limit.quantity.is_of_models)
        problem = replace(part.problem, limits=(*own, *shared), objective=joint.problem.objective)
        result = search.solve_and_try_out(problem, state).result
        if result.choice is None:
            return None
        choices.append(result.choice)
    choice = joint.joined(choices)
    free = joint.problem.with_limit(_PERIOD, None)
    kept = is_feasible(free, evaluate(free, choice))
    return rate_plan(models, joint, choice) if kept else None
