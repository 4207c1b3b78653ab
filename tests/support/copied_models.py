"""Copies of a measured scenario as several models that are planned together."""

from dataclasses import replace

from planner.refinement.measured_models import MeasuredModels, search_noise_limits
from planner.refinement.measured_scenario import MeasuredScenario
from planner.refinement.noise_limit_search import SearchState
from planner.scenario.budget_schema import BudgetSpec
from planner.scenario.several_models import ModelScenario, SeveralModels


def models_of(
    basis: MeasuredScenario,
    *shares: float,
    memory_mib: float | None,
    requests_per_s: float | None,
    noises: tuple[float, ...] = (),
) -> MeasuredModels:
    """Return one copy per share.

    Parameters
    ----------
    memory_mib
        Of the camera, for all copies.
    noises
        Each copy's budget on noise; by default the scenario's.
    """
    budget = basis.scenario.budget.model_copy(update={"memory_mib": {}})
    own = [budget.model_copy(update={"noise_relative_rms": x}) for x in noises] or [budget] * len(shares)
    scenarios = [basis.scenario.model_copy(update={"budget": one}) for one in own]
    measured = tuple(
        replace(basis, prepared=replace(basis.prepared, scenario=scenario)) for scenario in scenarios
    )
    memory = {} if memory_mib is None else {"camera": memory_mib}
    shared = basis.scenario.model_copy(update={"budget": BudgetSpec(memory_mib=memory)})
    parts = tuple(
        ModelScenario(f"m{n}", share, scenario)
        for n, (share, scenario) in enumerate(zip(shares, scenarios, strict=True))
    )
    return MeasuredModels(SeveralModels(parts, shared, requests_per_s), measured)


def searched_at(models: MeasuredModels, rate: float):
    """Return the best plan at a number of requests per second."""
    at_rate = MeasuredModels(models.several.at_requests_per_s(rate), models.measured)
    latencies = tuple(one.latency for one in models.measured)
    joint = at_rate.formulate(at_rate.planning_problems(latencies))
    return search_noise_limits(at_rate, joint, [SearchState()] * len(models.measured))
