"""A conflict of budgets in the scenario's own keys and units."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Context
from math import isclose

import networkx as nx

from planner.costs.resource_budgets import BudgetUnit, unit_of
from planner.devices.cost_origins import costs_name
from planner.problem.quantities import CostMetric, Limit, Quantity
from planner.scenario.schema import Scenario
from planner.scenario.several_models import SeveralModels
from planner.solver.infeasibility import Conflict, LimitRelaxation, conflict_sentence

_DIGITS = 4  # of a budget that would do, rounded to its safe side
_ERRORS = ("noise_relative_rms", "max_abs_error", "top1_agreement", "accuracy_drop", "metric_drop")
_ROUNDING = 1e-6
_PERIOD = Quantity(CostMetric.PERIOD)


def conflict_text(scenario: Scenario, conflict: Conflict, noise: Callable[[float], float]) -> str:
    """Return why there is no plan.

    Parameters
    ----------
    noise
        Noise power that a sum of noise powers comes to.
    """
    budgets = [_limit_text(scenario, relaxation, noise) for relaxation in conflict.relaxations]
    ways = [way for relaxation in conflict.relaxations if (way := _way_text(scenario, relaxation, noise))]
    sentence = conflict_sentence(budgets, ways, minimal=conflict.minimal, causes=conflict.causes)
    return f"infeasible at {costs_name(scenario)}: {sentence}{_way_back_text(scenario)}"


def _way_back_text(scenario: Scenario) -> str:
    """Return which devices can compute nothing since no link leads on to the sink, if there are some."""
    links = nx.DiGraph((link.source, link.target) for link in scenario.links)
    links.add_nodes_from(device.name for device in scenario.devices)
    to_sink = nx.ancestors(links, scenario.sink) | {scenario.sink}
    stuck = sorted((nx.descendants(links, scenario.source) | {scenario.source}) - to_sink)
    if not stuck:
        return ""
    return (
        f"; no link leads from {' or '.join(stuck)} to the sink {scenario.sink!r}, so nothing can run there"
    )


def models_conflict_text(
    several: SeveralModels, conflict: Conflict, noises: Sequence[Callable[[float], float]]
) -> str:
    """Return why there is no plan for several models.

    Parameters
    ----------
    noises
        Model -> noise power that a sum of noise powers comes to.
    """
    budgets, ways = [], []
    for relaxation in conflict.relaxations:
        budget, way = _texts_of_models(several, relaxation, noises)
        budgets.append(budget)
        ways += [way] if way else []
    sentence = conflict_sentence(budgets, ways, minimal=conflict.minimal, causes=conflict.causes)
    return f"infeasible at the measured costs: {sentence}"


def _texts_of_models(
    several: SeveralModels, relaxation: LimitRelaxation, noises: Sequence[Callable[[float], float]]
) -> tuple[str, str | None]:
    """Return a limit as a person reads it, and what would do in its place."""
    limit, least = relaxation.limit, relaxation.least
    rate, model = several.requests_per_s, limit.quantity.model
    if rate is not None and limit.quantity == _PERIOD and isclose(limit.at_most, several.utilisation / rate):
        way = f"{_round_down(several.utilisation / least):.10g} requests per s" if least else None
        return f"{rate:.4g} requests per s at most {several.utilisation:.0%} of the time", way
    if model is None:
        shared = several.shared
        return _limit_text(shared, relaxation, noises[0]), _way_text(shared, relaxation, noises[0])
    one = several.models[model]
    # In the joint problem a model's costs count by its share of the requests.
    own_limit = Limit(replace(limit.quantity, model=None), limit.at_most / one.share)
    own = replace(relaxation, limit=own_limit, least=None if least is None else least / one.share)
    way = _way_text(one.scenario, own, noises[model])
    text = _limit_text(one.scenario, own, noises[model])
    return f"{one.name}: {text}", way and f"{one.name}: {way}"


def _limit_text(scenario: Scenario, relaxation: LimitRelaxation, noise: Callable[[float], float]) -> str:
    unit = unit_of(scenario, relaxation.limit.quantity)
    value = _in_unit(unit, relaxation, relaxation.limit.at_most, noise)
    if _is_derived(scenario, relaxation, noise):
        budgets = [name for name in _ERRORS if getattr(scenario.budget, name) is not None]
        return f"{' and '.join(budgets)} (which leave {value:.4g} of noise on held-back data)"
    return unit.text(f"{value:.4g}")


def _way_text(scenario: Scenario, relaxation: LimitRelaxation, noise: Callable[[float], float]) -> str | None:
    if relaxation.least is None or _is_derived(scenario, relaxation, noise):
        return None
    unit = unit_of(scenario, relaxation.limit.quantity)
    value = _in_unit(unit, relaxation, relaxation.least, noise)
    least = relaxation.limit.quantity.metric is CostMetric.PERIOD  # a throughput has to fall
    enough = _round_down(value) if least else _round_up(value)
    return unit.text(f"{enough:.10g}") + ("" if relaxation.proved else " (or closer to the budget)")


def _is_derived(scenario: Scenario, relaxation: LimitRelaxation, noise: Callable[[float], float]) -> bool:
    """Return whether a limit on noise is what trying out plans left, and not what the user wrote."""
    if relaxation.limit.quantity.metric is not CostMetric.NOISE:
        return False
    written = scenario.budget.noise_relative_rms
    if written is None:
        return any(getattr(scenario.budget, name) is not None for name in _ERRORS)
    return float(noise(relaxation.limit.at_most) ** 0.5) < written * (1 - _ROUNDING)


def _in_unit(
    unit: BudgetUnit, relaxation: LimitRelaxation, value: float, noise: Callable[[float], float]
) -> float:
    """Return a value of a limited quantity in a budget's unit."""
    return unit.in_unit(noise(value) if relaxation.limit.quantity.metric is CostMetric.NOISE else value)


def _round_up(value: float) -> float:
    """Return a short number that is hardly greater."""
    return _shortened(value, ROUND_CEILING)


def _round_down(value: float) -> float:
    """Return a short number that is hardly less."""
    return _shortened(value, ROUND_FLOOR)


def _shortened(value: float, rounding: str) -> float:
    # By its shortest text: in binary, 1.1 is a little more, and rounded up would be 1.101.
    return float(Context(prec=_DIGITS, rounding=rounding).create_decimal(repr(float(value))))
