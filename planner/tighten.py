"""Error budgets are not additive: lower the noise budget until held-back data keep them all."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from planner.evaluate import Cost, evaluate
from planner.ilp import SolveResult, solve
from planner.metrics import doubtful_budgets, has_error_budget
from planner.plan import Metrics, Round
from planner.problem import PlacementProblem
from planner.scenario import BudgetSpec
from planner.solvers import SolverOptions

_STEP = 0.5  # of noise power, where measurement does not say how far to go
_MARGIN = 0.95  # below what proportionality asks for, since noise is not quite additive
_MOST_ROUNDS = 24


@dataclass(frozen=True, slots=True)
class Tightened:
    """The last solve and every round; `unmet` tells what no noise budget could mend."""

    problem: PlacementProblem
    result: SolveResult
    rounds: tuple[Round, ...]
    unmet: tuple[str, ...] = ()


def tighten(
    problem: PlacementProblem,
    budget: BudgetSpec,
    options: SolverOptions,
    try_out: Callable[[SolveResult], Metrics],
) -> Tightened:
    """Solve, measure on held-back data, and solve again with less noise while a budget is broken.

    Parameters
    ----------
    try_out
        Builds the plan of a solve and returns its errors on the held-back data.
    """
    limit = None if budget.noise_relative_rms is None else budget.noise_relative_rms**2
    rounds: list[Round] = []
    while True:
        problem = replace(problem, noise_power=limit)
        result = solve(problem, options)
        if result.choice is None or not has_error_budget(budget):
            return Tightened(problem, result, tuple(rounds))
        cost = evaluate(problem, result.choice)
        metrics = try_out(result)
        broken = list(doubtful_budgets(budget, metrics))
        rounds.append(_round(limit, cost, metrics, broken))
        if not broken:
            return Tightened(problem, result, tuple(rounds))
        if cost.noise_power == 0 or len(rounds) == _MOST_ROUNDS:
            unmet = tuple(f"{name} {value:.6g} instead of {least:.6g}" for name, least, value in broken)
            return Tightened(problem, result, tuple(rounds), unmet)
        limit = _next_limit(cost.noise_power, budget, metrics, last=len(rounds) == _MOST_ROUNDS - 1)


def _next_limit(predicted: float, budget: BudgetSpec, metrics: Metrics, *, last: bool) -> float:
    if last:
        return 0.0
    factor = _STEP
    allowed = budget.noise_relative_rms
    if allowed is not None and metrics.noise_relative_rms > allowed:
        # Power grows with the square: aim where proportionality says the budget holds.
        factor = min(_MARGIN, _MARGIN * (allowed / metrics.noise_relative_rms) ** 2)
    return predicted * factor


def _round(
    limit: float | None,
    cost: Cost,
    metrics: Metrics,
    broken: list[tuple[str, float, float]],
) -> Round:
    return Round(
        noise_budget_rms=None if limit is None else limit**0.5,
        predicted_noise_rms=cost.noise_power**0.5,
        latency_s=cost.latency_s,
        held_back=metrics,
        broken=tuple(name for name, _, _ in broken),
    )
