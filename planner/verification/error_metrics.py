"""How far a plan's outputs are from the fp32 model's, and which budgets they break."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import nan, prod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from planner.errors import DataError
from planner.plan.records import Metrics
from planner.scenario.schema import BudgetSpec
from planner.user_objects import Metric
from profiling.graph.unit_graph import Tensor
from profiling.noise.measure_noise import output_errors
from profiling.runtime.session import Array

Outputs = Mapping[str, Array]
_NOISE_ERRORS = 2.0  # standard errors of margin on noise; a plan is searched for that just keeps its budget
_PICTURE = 4  # dimensions of an array with pixels behind the channels
_NARROW_BYTES = 2
_ROUNDING = 1e-12  # 0.854 - 0.834 is a little above 0.02


class MetricsSum:
    """Adds up samples one at a time; outputs are kept only for a metric, which sees them all at once."""

    def __init__(self, metric: Metric | None = None) -> None:
        self._metric = metric
        self._kept: list[tuple[Outputs, Outputs]] = []
        self._powers: list[tuple[float, float]] = []  # of each sample's error and of the exact answer
        self._largest = self._agree = 0.0
        self._right = self._right_fp32 = self._count = self._answers = self._labelled = 0

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
        self._count += 1
        first = next(iter(reference))
        if names_class(reference[first].dtype, reference[first].shape):
            self._add_answer(_answer(outputs[first]), _answer(reference[first]), label)

    def _add_answer(self, got: int, want: int, label: int | None) -> None:
        self._answers += 1
        self._agree += got == want
        if label is not None:
            self._labelled += 1
            self._right += got == label
            self._right_fp32 += want == label

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
            top1_agreement=self._agree / self._count if self._answers == self._count else None,
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


def class_count(dtype: DTypeLike, shape: Sequence[int]) -> int | None:
    """Return the number of classes that an output has scores of; None if it has none.

    Scores are one row of at least two numbers, along the last axis or, as `[1, C, 1, 1]`, along the channels
    of a single pixel. Integers of up to 16 bits are quantized scores; wider ones are counts or indices.
    """
    kind = np.dtype(dtype)
    narrow = kind.kind in "iu" and kind.itemsize <= _NARROW_BYTES
    count = prod(shape)
    along = shape[1] if len(shape) >= _PICTURE and shape[1] == count else shape[-1] if shape else 1
    return count if (kind.kind == "f" or narrow) and count == along > 1 else None


def names_class(dtype: DTypeLike, shape: Sequence[int]) -> bool:
    """Return whether an output names one class, so that answers can be equal or right.

    It does by scores, or as the index itself: one whole number of 32 or 64 bits, or a truth value, as an
    ArgMax or a comparison at the model's end gives it. Detections, maps and single measures name none.
    """
    kind = np.dtype(dtype)
    is_index = kind.kind == "b" or (kind.kind in "iu" and kind.itemsize > _NARROW_BYTES)
    return class_count(dtype, shape) is not None or (is_index and prod(shape) == 1)


def _answer(output: Array) -> int:
    """Return the class that an output names: an index as it is, else the place of the largest score."""
    return int(output.reshape(-1)[0] if output.size == 1 else np.argmax(output))


def check_answers(budget: BudgetSpec, output: Tensor) -> None:
    """Refuse budgets on answers of a model whose first output names no class.

    Raises
    ------
    DataError
        That says what the output is, and which budgets suit it.
    """
    asked = [key for key in ("top1_agreement", "accuracy_drop") if getattr(budget, key) is not None]
    if asked and not names_class(output.dtype, output.shape):
        raise DataError(
            f"budget.{asked[0]}: the model's first output {output.name!r}, {output.dtype} "
            f"{list(output.shape)}, names no class: it is neither one row of class scores nor a class index; "
            "set budget.noise_relative_rms or budget.max_abs_error, or metric with budget.metric_drop"
        )


def broken_budgets(budget: BudgetSpec, metrics: Metrics) -> Iterator[tuple[str, float, float]]:
    """Yield (budget, its limit, what was measured) of every error budget that does not hold."""
    return (one for one in as_measured(budget, metrics) if not is_kept(*one))


def doubtful_budgets(budget: BudgetSpec, metrics: Metrics) -> Iterator[tuple[str, float, float]]:
    """Yield the budgets that do not hold, or that so few samples cannot show to hold."""
    return (one for one in with_margin(budget, metrics) if not is_kept(*one))


def as_measured(budget: BudgetSpec, metrics: Metrics) -> Iterator[tuple[str, float, float]]:
    """Yield (budget, its limit, what was measured) of every error budget.

    Without labels an accuracy drop is judged by the share of changed answers, which bounds it.
    """
    return _values(budget, metrics, errors=0.0)


def with_margin(budget: BudgetSpec, metrics: Metrics) -> Iterator[tuple[str, float, float]]:
    """Yield the same with what other samples as many may show.

    Noise is taken two standard errors worse than measured, shares one: with k changed answers among n
    samples that is sqrt(k) / n, the spread of a rare count (Poisson).
    """
    return _values(budget, metrics, errors=1.0)


def is_kept(name: str, limit: float, value: float) -> bool:
    """Return whether a value is within its budget."""
    return value >= limit - _ROUNDING if name == "top1_agreement" else value <= limit + _ROUNDING


def _values(budget: BudgetSpec, metrics: Metrics, errors: float) -> Iterator[tuple[str, float, float]]:
    # Answers that cannot be compared keep no budget.
    agreement = nan if metrics.top1_agreement is None else metrics.top1_agreement
    changed = 1 - agreement
    spread = errors * (changed / metrics.samples) ** 0.5
    noise = cautious_noise(metrics) if errors else metrics.noise_relative_rms
    drop = changed
    if metrics.accuracy is not None and metrics.accuracy_fp32 is not None:
        drop = metrics.accuracy_fp32 - metrics.accuracy
    worse = None
    if metrics.metric is not None and metrics.metric_fp32 is not None:
        worse = metrics.metric_fp32 - metrics.metric
    judged = (
        ("noise_relative_rms", budget.noise_relative_rms, noise),
        ("max_abs_error", budget.max_abs_error, metrics.max_abs_error),
        ("accuracy_drop", budget.accuracy_drop, drop + spread),
        ("metric_drop", budget.metric_drop, worse),
        ("top1_agreement", budget.top1_agreement, agreement - spread),
    )
    for name, limit, value in judged:
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
