"""How far a plan is from its error budgets, and in what range other samples would put it."""

from collections.abc import Iterator
from dataclasses import dataclass

from planner.plan.plan_record import Metrics, Plan
from planner.scenario.budget_schema import BudgetSpec
from planner.verification.error_budgets import as_measured

_ERRORS = 1.96  # standard errors around a value that hold 95 % of others
_MUCH = 1.25  # times the predicted error
_NONE_SEEN = 3.0  # of n samples none: with 95 % confidence the share is below 3 / n


@dataclass(frozen=True, slots=True)
class ErrorMargin:
    """An error budget, what was measured, and where the value of all such samples lies with 95 % confidence.

    Parameters
    ----------
    interval
        None where the samples say nothing of it.
    """

    budget: str
    limit: float
    value: float
    interval: tuple[float, float] | None


def error_margins(budget: BudgetSpec, metrics: Metrics) -> Iterator[ErrorMargin]:
    """Yield the margin of every error budget."""
    for name, limit, value in as_measured(budget, metrics):
        yield ErrorMargin(name, limit, value, _interval(name, value, metrics))


def _interval(name: str, value: float, metrics: Metrics) -> tuple[float, float] | None:
    if name in ("accuracy_drop", "top1_agreement"):
        return _of_answers(name, value, metrics)
    errors = {
        "noise_relative_rms": metrics.noise_standard_error or None,
        "metric_drop": metrics.metric_drop_standard_error,
    }
    error = errors.get(name)
    if error is None:
        return None
    low = value - _ERRORS * error
    return (low if name == "metric_drop" else max(low, 0.0)), value + _ERRORS * error


def _of_answers(name: str, value: float, metrics: Metrics) -> tuple[float, float] | None:
    """Return where a share lies that only answers can change which differ from the fp32 model's."""
    if metrics.top1_agreement is None:
        return None
    if name == "top1_agreement":
        return share_interval(value, metrics.samples)
    changed = 1 - metrics.top1_agreement
    if changed * metrics.samples < 1 / 2:
        return -_NONE_SEEN / metrics.samples, _NONE_SEEN / metrics.samples
    # Each changed answer loses a right one, wins one, or neither: the mean square is at most their share.
    error = (max(changed - value**2, 0.0) / metrics.samples) ** 0.5
    return value - _ERRORS * error, value + _ERRORS * error


def share_interval(share: float, samples: int) -> tuple[float, float]:
    """Return where a share of all such samples lies with 95 % confidence, by Wilson's score interval.

    Examples
    --------
    >>> low, high = share_interval(0.9, 100)
    >>> round(low, 3), round(high, 3), round(share_interval(1.0, 100)[0], 3)
    (0.826, 0.945, 0.963)
    """
    z2 = _ERRORS**2
    middle = (share + z2 / (2 * samples)) / (1 + z2 / samples)
    half = _ERRORS / (1 + z2 / samples) * (share * (1 - share) / samples + z2 / (4 * samples**2)) ** 0.5
    return max(middle - half, 0.0), min(middle + half, 1.0)


def larger_error_text(plan: Plan) -> str:
    """Return in one sentence that the error is larger than predicted, by more than by chance; else ""."""
    if plan.predicted is None or plan.measured is None or not plan.predicted.noise_relative_rms:
        return ""
    predicted, measured = plan.predicted.noise_relative_rms, plan.measured.noise_relative_rms
    surely = measured - _ERRORS * plan.measured.noise_standard_error
    if measured <= _MUCH * predicted or surely <= predicted:
        return ""
    return (
        f"the relative RMS error is {measured / predicted:.2g} times the predicted one: prediction adds up "
        "what single tensors and units showed on calibration samples. Budgets are judged by what was "
        "measured; more calibration samples may bring the two together"
    )
