"""Whether a plan keeps its error budgets, how sure that is, and in what range other samples would put it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil, inf, isfinite, sqrt
from statistics import NormalDist

import msgspec

from planner.plan.plan_record import BudgetVerdict, Metrics, Plan
from planner.scenario.budget_schema import BudgetSpec
from planner.scenario.loader import parse_scenario
from planner.verification.accuracy_and_noise import GROUPS
from planner.verification.binomial_confidence import (
    difference_at_most,
    difference_bound,
    share_above,
    share_at_most,
    share_bounds,
    student_distribution,
    student_quantile,
)
from planner.verification.error_budgets import as_measured, is_kept
from planner.verification.noise_bootstrap import LEVELS, noise_at_most

CERTAIN = 0.95
"""What is less certain is told, with the number of samples that would make it so."""

_LEVEL = 0.025  # what an interval leaves out at each end
_ERRORS = 1.96  # standard errors around a value that hold 95 % of others
_MUCH = 1.25  # times the predicted error
_MOST_TIMES = 1e4  # the samples: more are no advice
_DOUBLINGS = 40  # halvings of the span in which their number is sought
_ALL_BUT = 0.999  # a certainty that is told as "more than"
_ONE_DECIMAL = 0.99
_OPEN = 10.0  # times a noise: an upper end beyond that is none
_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class _Evidence:
    """What samples say of a value.

    Parameters
    ----------
    at_most, above
        With which certainty the value of all such samples is at most a limit, or above it.
    interval
        Where it lies with 95 % confidence.
    tells
        Whether times as many samples that show the same would tell it to be on its side of a limit.
    """

    at_most: Callable[[float], float]
    above: Callable[[float], float]
    interval: tuple[float, float]
    tells: Callable[[float, float], bool]


def budget_verdicts(budget: BudgetSpec, metrics: Metrics) -> tuple[BudgetVerdict, ...]:
    """Return the verdict on every error budget."""
    return tuple(_verdict(*judged, metrics) for judged in as_measured(budget, metrics))


def plan_verdicts(plan: Plan) -> tuple[BudgetVerdict, ...]:
    """Return the verdicts of a plan's record, or those on what an older one has measured."""
    if plan.budget_verdicts or plan.measured is None:
        return plan.budget_verdicts
    return budget_verdicts(parse_scenario(bytes(plan.scenario)).budget, plan.measured)


def _verdict(name: str, limit: float, value: float, metrics: Metrics) -> BudgetVerdict:
    kept = is_kept(name, limit, value)
    plain = BudgetVerdict(
        budget=name, limit=limit, value=value if isfinite(value) else inf, kept=kept, samples=metrics.samples
    )
    if name == "max_abs_error" and kept:
        return msgspec.structs.replace(plain, beyond_share=share_bounds(0, metrics.samples, 1 - CERTAIN)[1])
    evidence = _evidence(name, value, metrics)
    if evidence is None:
        return plain
    # More agreement is better: of changed answers less is, as of all others.
    shares = name == "top1_agreement"
    most = 1 - limit if shares else limit
    low, high = evidence.interval
    certainty = (evidence.at_most if kept else evidence.above)(most)
    return msgspec.structs.replace(
        plain,
        certainty=certainty,
        low=1 - high if shares else low,
        high=1 - low if shares else high,
        more_samples=_more(evidence, most, metrics.samples) if certainty < CERTAIN else None,
    )


def _evidence(name: str, value: float, metrics: Metrics) -> _Evidence | None:
    if not isfinite(value):
        return None
    if name == "noise_relative_rms":
        return _of_noise(value, metrics)
    if name == "metric_drop":
        return _of_metric(value, metrics.metric_drop_standard_error, min(GROUPS, metrics.samples) - 1)
    if name in ("accuracy_drop", "top1_agreement") and metrics.top1_agreement is not None:
        changed = (1 - metrics.top1_agreement) * metrics.samples
        if name == "top1_agreement" or metrics.accuracy is None:
            return _of_share(changed, metrics.samples)
        return _of_drop(*_lost_and_won(value, changed, metrics), metrics.samples)
    return None


def _lost_and_won(drop: float, changed: float, metrics: Metrics) -> tuple[float, float]:
    """Return how many right answers were lost and won; as many of both as can be where it is not known."""
    if metrics.answers_lost is not None and metrics.answers_won is not None:
        return metrics.answers_lost, metrics.answers_won
    fewer = drop * metrics.samples
    return max((changed + fewer) / 2, fewer, 0.0), max((changed - fewer) / 2, -fewer, 0.0)


def _of_share(count: float, samples: int) -> _Evidence:
    def tells(times: float, limit: float) -> bool:
        more, all_of = times * count, times * samples
        return max(share_at_most(limit, more, all_of), share_above(limit, more, all_of)) >= CERTAIN

    return _Evidence(
        lambda limit: share_at_most(limit, count, samples),
        lambda limit: share_above(limit, count, samples),
        share_bounds(count, samples, _LEVEL),
        tells,
    )


def _of_drop(lost: float, won: float, samples: int) -> _Evidence:
    def tells(times: float, limit: float) -> bool:
        counts = (times * lost, times * won)
        return (
            difference_bound(*counts, times * samples, 1 - CERTAIN) <= limit
            or difference_bound(*counts[::-1], times * samples, 1 - CERTAIN) <= -limit
        )

    return _Evidence(
        lambda limit: difference_at_most(limit, lost, won, samples),
        lambda limit: difference_at_most(-limit, won, lost, samples),
        (-difference_bound(won, lost, samples, _LEVEL), difference_bound(lost, won, samples, _LEVEL)),
        tells,
    )


def _of_noise(value: float, metrics: Metrics) -> _Evidence | None:
    if metrics.indices == metrics.samples and metrics.noise_standard_error:
        return _of_index_noise(value, metrics.samples)
    quantiles = metrics.noise_quantiles
    if not quantiles:
        found = _of_metric(value, metrics.noise_standard_error or None, max(metrics.samples - 1, 1))
        return _not_negative(found)

    def at_most(limit: float) -> float:
        return noise_at_most(limit, quantiles)

    def tells(times: float, limit: float) -> bool:
        certainty = at_most(limit)
        # A standard error falls with the root of the number of samples.
        least, most = LEVELS[0], LEVELS[-1]
        errors = NormalDist().inv_cdf(min(max(certainty, least), most))
        side = errors if value <= limit else -errors
        return side * sqrt(times) >= NormalDist().inv_cdf(CERTAIN)

    low, high = (quantiles[LEVELS.index(level)] for level in (_LEVEL, 1 - _LEVEL))
    return _Evidence(at_most, lambda limit: 1 - at_most(limit), (low, high), tells)


def _of_index_noise(value: float, samples: int) -> _Evidence:
    """Return what noise says where each sample has one index: half its power is the share of wrong ones."""
    shares = _of_share(samples * value**2 / 2, samples)
    low, high = shares.interval
    return _Evidence(
        lambda limit: shares.at_most(limit**2 / 2),
        lambda limit: shares.above(limit**2 / 2),
        (sqrt(2 * low), sqrt(2 * high)),
        lambda times, limit: shares.tells(times, limit**2 / 2),
    )


def _of_metric(value: float, error: float | None, freedom: int) -> _Evidence | None:
    """Return what a value says whose standard error is known, by Student's t."""
    if not error or freedom < 1:
        return None

    def at_most(limit: float) -> float:
        return student_distribution((limit - value) / error, freedom)

    def tells(times: float, limit: float) -> bool:
        return abs(limit - value) / error * sqrt(times) >= student_quantile(CERTAIN, freedom)

    half = student_quantile(1 - _LEVEL, freedom) * error
    return _Evidence(at_most, lambda limit: 1 - at_most(limit), (value - half, value + half), tells)


def _not_negative(evidence: _Evidence | None) -> _Evidence | None:
    """Return the same of a value that cannot be below 0."""
    return evidence and replace(evidence, interval=(max(0.0, evidence.interval[0]), evidence.interval[1]))


def _more(evidence: _Evidence, limit: float, samples: int) -> int | None:
    """Return how many more samples that show the same would be enough; None if no number would."""
    low, high = 1.0, _MOST_TIMES
    if not evidence.tells(high, limit):
        return None
    for _ in range(_DOUBLINGS):
        middle = sqrt(low * high)
        low, high = (low, middle) if evidence.tells(middle, limit) else (middle, high)
    return max(1, ceil((high - 1) * samples - _ROUNDING))


def verdict_clause(verdict: BudgetVerdict) -> str:
    """Return whether a budget is kept, and how sure that is.

    Examples
    --------
    >>> one = BudgetVerdict(budget="accuracy_drop", limit=0.02, value=0.01, kept=True, samples=400)
    >>> verdict_clause(msgspec.structs.replace(one, certainty=0.974))
    'kept with 97 % certainty'
    >>> verdict_clause(msgspec.structs.replace(one, certainty=0.71, more_samples=420))
    'kept, but with 71 % certainty: about 420 more samples would say'
    """
    word = "kept" if verdict.kept else "broken"
    if verdict.certainty is None:
        if verdict.beyond_share is None:
            return word
        return (
            f"kept on these samples; of all such, at most {_percent_up(verdict.beyond_share)} "
            "break it (95 % confidence)"
        )
    told = certainty_text(verdict.certainty)
    if verdict.certainty >= CERTAIN:
        return f"{word} with {told} certainty"
    more = verdict.more_samples
    advice = (
        "no number of samples that show the same would say"
        if more is None
        else "one more sample would say"
        if more == 1
        else f"about {more} more samples would say"
    )
    return f"{word}, but with {told} certainty: {advice}"


def interval_text(verdict: BudgetVerdict) -> str:
    """Return between what the value of all such samples lies with 95 % confidence; "" where nobody knows.

    Examples
    --------
    >>> one = BudgetVerdict(budget="noise_relative_rms", limit=0.02, value=0.01, kept=True, samples=8)
    >>> interval_text(msgspec.structs.replace(one, low=0.009, high=0.012))
    '0.0090 to 0.0120'
    >>> interval_text(msgspec.structs.replace(one, low=0.004, high=3e4))
    '0.0040 or more'
    """
    if verdict.low is None or verdict.high is None:
        return ""
    low, high = (budget_value_text(verdict.budget, end) for end in (verdict.low, verdict.high))
    # Some samples limit noise from below alone.
    is_open = verdict.budget == "noise_relative_rms" and verdict.high > _OPEN * verdict.value
    return f"{low} or more" if is_open else f"{low} to {high}"


def budget_value_text(budget: str, value: float) -> str:
    """Return the value of an error budget as people read it.

    Examples
    --------
    >>> budget_value_text("top1_agreement", 0.985), budget_value_text("accuracy_drop", 0.01)
    ('98.50%', '0.0100')
    """
    return f"{value:.2%}" if budget == "top1_agreement" else f"{value:.4f}"


def certainty_text(certainty: float) -> str:
    """Return a certainty in percent, never rounded up.

    Examples
    --------
    >>> [certainty_text(one) for one in (0.5, 0.9699, 0.9955, 0.9995, 0.001)]
    ['50 %', '96 %', '99.5 %', 'more than 99.9 %', 'less than 1 %']
    """
    if certainty >= _ALL_BUT:
        return "more than 99.9 %"
    if certainty >= _ONE_DECIMAL:
        return f"{int(1000 * certainty + _ROUNDING) / 10:.1f} %"
    percent = int(100 * certainty + _ROUNDING)
    return f"{percent} %" if percent else "less than 1 %"


def _percent_up(share: float) -> str:
    return f"{ceil(1000 * share) / 10:g} %"


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
