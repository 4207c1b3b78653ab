"""How far a plan's outputs are from the fp32 model's, and which budgets they break."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from planner.plan import Metrics
from planner.scenario import BudgetSpec
from planner.user_code import Metric
from profiling.noise import output_errors
from profiling.session import Array

Outputs = Mapping[str, Array]
_NOISE_ERRORS = 2.0  # standard errors of margin on noise; a plan is searched for that just keeps its budget
_ROUNDING = 1e-12  # 0.854 - 0.834 is a little above 0.02


class MetricsSum:
    """Adds up samples one at a time; outputs are kept only for a metric, which sees them all at once."""

    def __init__(self, metric: Metric | None = None) -> None:
        self._metric = metric
        self._kept: list[tuple[Outputs, Outputs]] = []
        self._powers: list[tuple[float, float]] = []  # of each sample's error and of the exact answer
        self._largest = self._agree = 0.0
        self._right = self._right_fp32 = self._count = self._labelled = 0

    def add(self, outputs: Outputs, reference: Outputs, label: int | None) -> None:
        """Take in one sample."""
        error = signal = 0.0
        for difference, exact in output_errors(outputs, reference):
            error += float(np.square(difference).sum())
            signal += float(np.square(exact).sum())
            self._largest = max(self._largest, float(np.abs(difference).max(initial=0.0)))
        self._powers.append((error, signal))
        if self._metric is not None:
            self._kept.append((outputs, reference))
        first = next(iter(reference))
        got, want = _answer(outputs[first]), _answer(reference[first])
        self._count += 1
        self._agree += float(np.mean(got == want))
        if label is not None:
            self._labelled += 1
            self._right += bool((got == label).all())
            self._right_fp32 += bool((want == label).all())

    def result(self, labels: Sequence[Any] | None = None) -> Metrics:
        """Return the figures over all samples so far (at least one).

        Parameters
        ----------
        labels
            Of all samples, for the metric.
        """
        noise, standard_error = _noise(np.array(self._powers))
        return Metrics(
            noise_relative_rms=noise,
            noise_standard_error=standard_error,
            max_abs_error=self._largest,
            top1_agreement=self._agree / self._count,
            accuracy=self._right / self._labelled if self._labelled else None,
            accuracy_fp32=self._right_fp32 / self._labelled if self._labelled else None,
            metric=self._judge(0, labels),
            metric_fp32=self._judge(1, labels),
            samples=self._count,
        )

    def _judge(self, side: int, labels: Sequence[Any] | None) -> float | None:
        if self._metric is None:
            return None
        rows = [pair[side] for pair in self._kept]
        joined = {name: np.concatenate([np.atleast_1d(row[name]) for row in rows]) for name in rows[0]}
        return self._metric(joined, labels)


def _noise(powers: Array) -> tuple[float, float]:
    """Return noise and its standard error, that of a ratio of sums (Cochran, "Sampling Techniques", ch. 6).

    Parameters
    ----------
    powers
        Shape [samples, 2]: squared error and squared exact answer.
    """
    error, signal = powers.sum(axis=0)
    power = error / signal if signal else float(error > 0)
    if not power or len(powers) == 1:
        return float(np.sqrt(power)), 0.0
    off = powers[:, 0] - power * powers[:, 1]
    spread = np.sqrt(len(powers) / (len(powers) - 1) * np.square(off).sum()) / (signal or 1.0)
    return float(np.sqrt(power)), float(spread / (2 * np.sqrt(power)))


def cautious_noise(metrics: Metrics) -> float:
    """Return the noise that more samples will hardly exceed: two standard errors above what these show."""
    return metrics.noise_relative_rms + _NOISE_ERRORS * metrics.noise_standard_error


def _answer(output: Array) -> Array:
    """Return the class that an output names: an index as it is, else the place of the largest score."""
    if not np.issubdtype(output.dtype, np.floating):
        return output
    scores = output.reshape(-1) if output.size == max(output.shape, default=1) else output
    return np.asarray(np.argmax(scores, axis=-1))


def broken_budgets(budget: BudgetSpec, metrics: Metrics) -> Iterator[tuple[str, float, float]]:
    """Yield (budget, its limit, what was measured) of every error budget that does not hold.

    Without labels an accuracy drop is judged by the share of changed answers, which bounds it.
    """
    return _broken(budget, metrics, errors=0.0)


def doubtful_budgets(budget: BudgetSpec, metrics: Metrics) -> Iterator[tuple[str, float, float]]:
    """Yield the budgets that do not hold, or that so few samples cannot show to hold.

    Noise is taken two standard errors worse than measured, shares one: with k changed answers among n
    samples that is sqrt(k) / n, the spread of a rare count (Poisson).
    """
    return _broken(budget, metrics, errors=1.0)


def _broken(budget: BudgetSpec, metrics: Metrics, errors: float) -> Iterator[tuple[str, float, float]]:
    changed = 1 - metrics.top1_agreement
    spread = errors * (changed / metrics.samples) ** 0.5
    noise = cautious_noise(metrics) if errors else metrics.noise_relative_rms
    drop = changed
    if metrics.accuracy is not None and metrics.accuracy_fp32 is not None:
        drop = metrics.accuracy_fp32 - metrics.accuracy
    worse = None
    if metrics.metric is not None and metrics.metric_fp32 is not None:
        worse = metrics.metric_fp32 - metrics.metric
    upper = (
        ("noise_relative_rms", budget.noise_relative_rms, noise),
        ("max_abs_error", budget.max_abs_error, metrics.max_abs_error),
        ("accuracy_drop", budget.accuracy_drop, drop + spread),
        ("metric_drop", budget.metric_drop, worse),
    )
    for name, limit, value in upper:
        if limit is not None and value is not None and not value <= limit + _ROUNDING:
            yield name, limit, value
    least, agreement = budget.top1_agreement, metrics.top1_agreement - spread
    if least is not None and not agreement >= least - _ROUNDING:
        yield "top1_agreement", least, agreement


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
