"""Which error budgets a plan keeps, as measured and with a margin for few samples."""

from collections.abc import Iterable, Iterator
from math import nan

from planner.plan.plan_record import Metrics
from planner.scenario.budget_schema import BudgetSpec

# Standard errors of margin on noise. The search looks for a plan that just keeps its budget on held-back
# data: without a margin about every other such plan would break it on the evaluation data.
_NOISE_ERRORS = 2.0
_ROUNDING = 1e-12  # 0.854 - 0.834 is a little above 0.02


def cautious_noise(metrics: Metrics) -> float:
    """Return the relative rms noise that more samples will hardly exceed: two standard errors above these."""
    return metrics.noise_relative_rms + _NOISE_ERRORS * metrics.noise_standard_error


def broken_budgets(budget: BudgetSpec, metrics: Metrics) -> Iterator[tuple[str, float, float]]:
    """Yield (budget, its limit, what was measured) of every error budget that does not hold."""
    return (judged for judged in as_measured(budget, metrics) if not is_kept(*judged))


def doubtful_budgets(budget: BudgetSpec, metrics: Metrics) -> Iterator[tuple[str, float, float]]:
    """Yield the budgets that do not hold, or that so few samples cannot show to hold."""
    return (judged for judged in with_margin(budget, metrics) if not is_kept(*judged))


def as_measured(budget: BudgetSpec, metrics: Metrics) -> Iterator[tuple[str, float, float]]:
    """Yield (budget, its limit, what was measured) of every error budget.

    Without labels an accuracy drop is judged by the share of changed answers, which bounds it.
    """
    return _limits_and_values(budget, metrics, errors=0.0)


def with_margin(budget: BudgetSpec, metrics: Metrics) -> Iterator[tuple[str, float, float]]:
    """Yield the same with what other samples as many may show.

    Noise is taken two standard errors worse than measured, shares one: with k changed answers among n
    samples that is sqrt(k) / n, the spread of a rare count (Poisson).
    """
    return _limits_and_values(budget, metrics, errors=1.0)


def is_kept(name: str, limit: float, value: float) -> bool:
    """Return whether a value is within its budget; more agreement is better, of all others less.

    Examples
    --------
    >>> is_kept("top1_agreement", 0.98, 0.99), is_kept("accuracy_drop", 0.02, 0.854 - 0.834)
    (True, True)
    """
    return value >= limit - _ROUNDING if name == "top1_agreement" else value <= limit + _ROUNDING


def _limits_and_values(
    budget: BudgetSpec, metrics: Metrics, errors: float
) -> Iterator[tuple[str, float, float]]:
    # Answers that cannot be compared keep no budget: nothing is at least, or at most, nan.
    agreement = nan if metrics.top1_agreement is None else metrics.top1_agreement
    changed = 1 - agreement
    spread = errors * (changed / metrics.samples) ** 0.5
    noise = cautious_noise(metrics) if errors else metrics.noise_relative_rms
    drop = changed
    if metrics.accuracy is not None and metrics.accuracy_fp32 is not None:
        drop = metrics.accuracy_fp32 - metrics.accuracy
    metric_drop = None
    if metrics.metric is not None and metrics.metric_fp32 is not None:
        metric_drop = metrics.metric_fp32 - metrics.metric
    rows = (
        ("noise_relative_rms", budget.noise_relative_rms, noise),
        ("max_abs_error", budget.max_abs_error, metrics.max_abs_error),
        ("accuracy_drop", budget.accuracy_drop, drop + spread),
        ("metric_drop", budget.metric_drop, metric_drop),
        ("top1_agreement", budget.top1_agreement, agreement - spread),
    )
    for name, limit, value in rows:
        if limit is not None and value is not None:
            yield name, limit, value


def has_error_budget(budget: BudgetSpec) -> bool:
    """Return whether any budget depends on the outputs."""
    limits: Iterable[float | None] = (
        budget.noise_relative_rms,
        budget.max_abs_error,
        budget.accuracy_drop,
        budget.top1_agreement,
        budget.metric_drop,
    )
    return any(limit is not None for limit in limits)
