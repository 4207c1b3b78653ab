"""How far a plan's outputs are from the fp32 model's, and which budgets they break."""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from planner.plan import Metrics
from planner.scenario import BudgetSpec
from profiling.session import Array

Outputs = Mapping[str, Array]
_ROUNDING = 1e-12  # 0.854 - 0.834 is a little above 0.02


class MetricsSum:
    """Adds up samples one at a time, so that outputs need not be kept."""

    def __init__(self) -> None:
        self._error = self._signal = self._largest = 0.0
        self._agree = self._right = self._right_fp32 = self._count = self._labelled = 0

    def add(self, outputs: Outputs, reference: Outputs, label: int | None) -> None:
        """Take in one sample."""
        for name, exact in reference.items():
            if np.issubdtype(exact.dtype, np.floating):
                difference = outputs[name].astype(np.float64) - exact.astype(np.float64)
                self._error += float(np.square(difference).sum())
                self._signal += float(np.square(exact.astype(np.float64)).sum())
                self._largest = max(self._largest, float(np.abs(difference).max(initial=0.0)))
        first = next(iter(reference))
        got, want = (int(np.argmax(side[first])) for side in (outputs, reference))
        self._count += 1
        self._agree += got == want
        if label is not None:
            self._labelled += 1
            self._right += got == label
            self._right_fp32 += want == label

    def result(self) -> Metrics:
        """Return the figures over all samples so far (at least one)."""
        power = self._error / self._signal if self._signal else float(self._error > 0)
        return Metrics(
            noise_relative_rms=float(np.sqrt(power)),
            max_abs_error=self._largest,
            top1_agreement=self._agree / self._count,
            accuracy=self._right / self._labelled if self._labelled else None,
            accuracy_fp32=self._right_fp32 / self._labelled if self._labelled else None,
            samples=self._count,
        )


def broken_budgets(budget: BudgetSpec, metrics: Metrics) -> Iterator[tuple[str, float, float]]:
    """Yield (budget, its limit, what was measured) of every error budget that does not hold.

    Without labels an accuracy drop is judged by the share of changed answers, which bounds it.
    """
    return _broken(budget, metrics, errors=0.0)


def doubtful_budgets(budget: BudgetSpec, metrics: Metrics) -> Iterator[tuple[str, float, float]]:
    """Yield the budgets that do not hold, or that so few samples cannot show to hold.

    Shares are taken one standard error worse than measured: with k changed answers among n samples
    that is sqrt(k) / n, the spread of a rare count (Poisson).
    """
    return _broken(budget, metrics, errors=1.0)


def _broken(budget: BudgetSpec, metrics: Metrics, errors: float) -> Iterator[tuple[str, float, float]]:
    changed = 1 - metrics.top1_agreement
    spread = errors * (changed / metrics.samples) ** 0.5
    drop = changed
    if metrics.accuracy is not None and metrics.accuracy_fp32 is not None:
        drop = metrics.accuracy_fp32 - metrics.accuracy
    upper = (
        ("noise_relative_rms", budget.noise_relative_rms, metrics.noise_relative_rms),
        ("max_abs_error", budget.max_abs_error, metrics.max_abs_error),
        ("accuracy_drop", budget.accuracy_drop, drop + spread),
    )
    for name, limit, value in upper:
        if limit is not None and value > limit + _ROUNDING:
            yield name, limit, value
    least, agreement = budget.top1_agreement, metrics.top1_agreement - spread
    if least is not None and agreement < least - _ROUNDING:
        yield "top1_agreement", least, agreement


def has_error_budget(budget: BudgetSpec) -> bool:
    """Return whether any budget depends on the outputs."""
    limits: Iterable[float | None] = (
        budget.noise_relative_rms,
        budget.max_abs_error,
        budget.accuracy_drop,
        budget.top1_agreement,
    )
    return any(limit is not None for limit in limits)
