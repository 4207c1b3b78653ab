"""From summed noise to noise: a law fitted on mixed models, since noise adds up only where it is small.

Summed over quantized tensors and units, noise power counts every source as if it were alone. Together they
saturate (a softmax cannot be more wrong than wrong), they err alike or against each other, which changes
with how many there are, and single sources are measured on fewer samples. All of it is in
N(s) = gain t / (1 + t / knee) with t = s^exponent, which is monotone: a budget on noise stays one on the sum.
All powers are relative to that of the fp32 model's outputs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec
import numpy as np

from planner.costs.device_costs import DeviceCosts
from planner.costs.whole_model import WholeModelPredictor
from planner.scenario.schema import Scenario
from profiling.graph.operator_graph import OperatorGraph
from profiling.precision import Precision

_KNEES = np.geomspace(1e-3, 1e3, 121)  # relative to the median of the measured sums: 20 steps a decade
_EXPONENTS = (1.0, *(1 + sign * step / 50 for step in range(1, 16) for sign in (-1, 1)))  # 0.7 to 1.3
_EXPONENT_COST = 2.0  # an exponent 0.1 off 1 counts as one point 20 % off
_ROUNDING = 1e-9  # of equally good laws the first, plainest one is taken
_LEAST_POINTS = 3  # two numbers need more points than two; with fewer the sum itself is taken


@dataclass(frozen=True, slots=True)
class NoiseModel:
    """N(s) = gain t / (1 + t / knee), t = s^exponent; an infinite knee and exponent 1 are proportionality.

    Examples
    --------
    >>> law = NoiseModel(gain=2.0, knee=1.0)
    >>> law.predict(1.0), law.invert(1.0), law.invert(2.0)
    (1.0, 1.0, inf)
    >>> law.calibrated(summed=1.0, power=0.5).predict(1.0)
    0.5
    """

    gain: float = 1.0
    knee: float = float("inf")
    exponent: float = 1.0

    def predict(self, summed: float) -> float:
        """Return the noise power of a plan whose sources sum to `summed`."""
        grown = float(summed**self.exponent)
        return self.gain * grown / (1 + grown / self.knee)

    def invert(self, power: float) -> float:
        """Return the greatest sum whose noise is `power`; infinite where no sum gets that far."""
        rest = self.gain - power / self.knee
        return float((power / rest) ** (1 / self.exponent)) if rest > 0 else float("inf")

    def calibrated(self, summed: float, power: float) -> "NoiseModel":
        """Return the law with another gain, under which sources that sum to `summed` make `power`."""
        expected = self.predict(summed)
        return replace(self, gain=self.gain * power / expected) if expected and power else self


class CalibrationPoint(msgspec.Struct, frozen=True):
    """A mixed model: its quantized units, their sources' summed noise power, and the measured power."""

    mix: Mapping[int, Precision]
    summed: float
    measured: float


class CalibrationPoints(msgspec.Struct, frozen=True):
    """What a law is fitted on."""

    points: tuple[CalibrationPoint, ...]


def fit_noise_model(points: Sequence[CalibrationPoint]) -> NoiseModel:
    """Return the law with the least sum of absolute errors in the logarithm, which outliers move little.

    An exponent other than 1 has to earn its place: its distance from 1 counts as errors of points do, so that
    few points, or points with nearly the same sum, leave it at 1.
    """
    pairs = [(point.summed, point.measured) for point in points if point.summed > 0 and point.measured > 0]
    if len(pairs) < _LEAST_POINTS:
        return NoiseModel()
    summed, measured = np.log(np.asarray(pairs)).T
    knees = (*(_KNEES * np.exp(np.median(summed))), float("inf"))
    best, law = float("inf"), NoiseModel()
    for exponent in _EXPONENTS:
        for knee in np.power(knees, exponent):
            # For these two given, the median of the ratios is the gain with the least sum of absolute errors.
            ratios = measured - exponent * summed + np.log1p(np.exp(exponent * summed) / knee)
            gain = float(np.median(ratios))
            error = float(np.abs(ratios - gain).sum()) + _EXPONENT_COST * abs(exponent - 1)
            if error < best - _ROUNDING:
                best, law = error, NoiseModel(float(np.exp(gain)), float(knee), float(exponent))
    return law


def summed_with(
    alone: Scenario,
    graph: OperatorGraph,
    costs: Mapping[str, DeviceCosts],
    points: Sequence[CalibrationPoint],
) -> tuple[CalibrationPoint, ...]:
    """Return the mixed models, with what other powers of their sources sum to."""
    whole = WholeModelPredictor(alone, graph, costs)
    return tuple(
        CalibrationPoint(point.mix, whole.cost(point.mix).noise_power, point.measured) for point in points
    )
