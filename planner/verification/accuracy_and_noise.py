"""How far a plan's outputs are from the fp32 model's: noise, agreement of answers, accuracy."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from planner.errors import DataError
from planner.inputs.model_answers import names_class
from planner.plan.plan_record import Metrics
from planner.user_objects import Metric
from planner.verification.noise_bootstrap import noise_quantiles
from profiling.arrays import Array
from profiling.noise.noise_power import counted_outputs, output_errors, whole_number_outputs

GROUPS = 8  # of samples, over which a metric spreads
_FEWEST_GROUPS = 4  # fewer say nothing of a spread
Outputs = Mapping[str, Array]


class MetricsSum:
    """Adds up samples one at a time; outputs are kept only for a metric, which sees them all at once."""

    def __init__(self, metric: Metric | None = None) -> None:
        self._metric = metric
        self._kept: list[tuple[Outputs, Outputs]] = []
        self._powers: list[tuple[float, float]] = []  # of each sample's error and of the exact answer
        self._output_powers: dict[str, Array] = {}  # the same of each output, over all samples
        self._equal: dict[str, Array] = {}  # of each output of whole numbers: how many are equal, of how many
        self._largest = self._agree = 0.0
        self._indices = 0
        self._right = self._right_fp32 = self._count = self._answers = self._labelled = 0
        self._lost = self._won = 0

    def add(self, outputs: Outputs, reference: Outputs, label: int | None) -> None:
        """Add one sample.

        Parameters
        ----------
        outputs, reference
            The plan's and the fp32 model's, by name.
        label
            Class index; None if there is none.
        """
        powers = {}
        pairs = zip(counted_outputs(reference), output_errors(outputs, reference), strict=True)
        for name, (difference, exact) in pairs:
            powers[name] = np.array([np.square(difference).sum(), np.square(exact).sum()], dtype=np.float64)
            self._output_powers[name] = self._output_powers.get(name, 0.0) + powers[name]
            self._largest = max(self._largest, float(np.abs(difference).max(initial=0.0)))
        self._add_whole_numbers(outputs, reference)
        error_power, signal_power = sum(powers.values(), np.zeros(2))
        self._powers.append((float(error_power), float(signal_power)))
        if self._metric is not None:
            self._kept.append((outputs, reference))
        self._count += 1
        # Answers are those of the model's first output, as everywhere.
        first = next(iter(reference))
        if names_class(reference[first].dtype, reference[first].shape):
            self._add_answer(_answer(outputs[first]), _answer(reference[first]), label)

    def _add_whole_numbers(self, outputs: Outputs, reference: Outputs) -> None:
        names = whole_number_outputs(reference)
        for name in names:
            got, want = outputs[name], reference[name]
            equal = np.count_nonzero(got == want) if got.shape == want.shape else 0
            self._equal[name] = self._equal.get(name, 0) + np.array([equal, want.size])
        if len(names) == len(reference):
            self._indices += sum(reference[name].size for name in names)

    def _add_answer(self, got: int, want: int, label: int | None) -> None:
        self._answers += 1
        self._agree += got == want
        if label is not None:
            self._labelled += 1
            self._right += got == label
            self._right_fp32 += want == label
            self._lost += got != label and want == label
            self._won += got == label and want != label

    def result(self, labels: Sequence[Any] | None = None) -> Metrics:
        """Return the figures over all samples so far (at least one).

        Parameters
        ----------
        labels
            Of all samples, for the metric.
        """
        powers = np.array(self._powers)
        noise, standard_error = _noise(powers)
        if not noise and self._indices:
            standard_error = _of_one_wrong(self._indices)
        return Metrics(
            noise_relative_rms=noise,
            noise_standard_error=standard_error,
            noise_quantiles=noise_quantiles(powers),
            output_relative_rms={
                name: _relative_rms(error, signal) for name, (error, signal) in self._output_powers.items()
            },
            equal_values={name: _share(*counts) for name, counts in self._equal.items()},
            indices=self._indices,
            max_abs_error=self._largest,
            top1_agreement=self._agree / self._count if self._answers == self._count else None,
            accuracy=self._right / self._labelled if self._labelled else None,
            accuracy_fp32=self._right_fp32 / self._labelled if self._labelled else None,
            answers_lost=self._lost if self._labelled else None,
            answers_won=self._won if self._labelled else None,
            metric=self._judge(0, labels),
            metric_fp32=self._judge(1, labels),
            metric_drop_standard_error=self._drop_standard_error(labels),
            samples=self._count,
        )

    def _drop_standard_error(self, labels: Sequence[Any] | None) -> float | None:
        """Return how far the drop of the metric on other samples as many may be from that of these.

        It is that of a mean over random groups (Wolter, "Introduction to Variance Estimation", ch. 2), which
        asks the metric once more of each sample only.
        """
        groups = min(GROUPS, self._count)
        drops = []
        for group in range(groups):
            part = range(group, self._count, groups)
            try:
                metric, metric_fp32 = (self._judge(side, labels, part) for side in (0, 1))
            except DataError:  # a metric may say nothing of so few, such as pictures without an object
                continue
            if metric is not None and metric_fp32 is not None:
                drops.append(metric_fp32 - metric)
        if len(drops) < _FEWEST_GROUPS:
            return None
        return float(np.std(drops, ddof=1) / np.sqrt(len(drops)))

    def _judge(
        self, side: int, labels: Sequence[Any] | None, part: Sequence[int] | None = None
    ) -> float | None:
        if self._metric is None:
            return None
        rows = [pair[side] for pair in self._kept]
        if part is not None:
            rows = [rows[n] for n in part]
            labels = None if labels is None else [labels[n] for n in part]
        return self._metric(_joined(rows), labels)

    @property
    def fp32_outputs(self) -> Outputs:
        """The fp32 model's outputs of all samples, joined along the first axis; kept for a metric only."""
        return _joined([reference for _, reference in self._kept])


def _joined(rows: Sequence[Outputs]) -> Outputs:
    return {name: np.concatenate([np.atleast_1d(row[name]) for row in rows]) for name in rows[0]}


def _relative_rms(error: float, signal: float) -> float:
    return float(np.sqrt(error / signal)) if signal else float(error > 0)


def _share(equal: int, values: int) -> float:
    return float(equal / values) if values else 1.0


def _of_one_wrong(indices: int) -> float:
    """Return the standard error of noise where every index is right, but the next one need not be.

    Two of them, the margin that a budget on noise asks for, are the noise of one wrong index.
    """
    return float(np.sqrt(2 / indices) / 2)


def _noise(powers: Array) -> tuple[float, float]:
    """Return noise and its standard error, that of a ratio of sums (Cochran, "Sampling Techniques", ch. 6).

    Parameters
    ----------
    powers
        Shape [samples, 2]: squared error and squared exact answer.
    """
    error, signal = powers.sum(axis=0)
    power = error / signal if signal else float(error > 0)
    if not power or len(powers) == 1 or not np.isfinite(power):
        return float(np.sqrt(power)), 0.0
    residuals = powers[:, 0] - power * powers[:, 1]
    spread = np.sqrt(len(powers) / (len(powers) - 1) * np.square(residuals).sum()) / (signal or 1.0)
    return float(np.sqrt(power)), float(spread / (2 * np.sqrt(power)))


def _answer(output: Array) -> int:
    """Return the class that an output names: an index as it is, else the place of the largest score.

    Scores with a NaN among them name none: -1, which no label is.
    """
    if np.issubdtype(output.dtype, np.floating) and np.isnan(output).any():
        return -1
    return int(output.reshape(-1)[0] if output.size == 1 else np.argmax(output))
