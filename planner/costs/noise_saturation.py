"""From summed noise to noise: a law fitted on mixed models, since noise adds up only where it is small.

Summed over quantized tensors and units, noise power counts every source as if it were alone. Together they
saturate (a softmax cannot be more wrong than wrong), they err alike or against each other, which changes
with how many there are, and single sources are measured on fewer samples. All of it is in
N(s) = gain t / (1 + t / knee) with t = s^exponent, which is monotone: a budget on noise stays one on the sum.
All powers are relative to that of the fp32 model's outputs.
"""

from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice, pairwise

import msgspec
import numpy as np

from planner.costs.device_costs import DeviceCosts
from planner.costs.whole_model import WholeModelPredictor
from planner.deployment.rebuild import rebuild
from planner.scenario.schema import Scenario
from profiling.arrays import Feeds
from profiling.graph.operator_graph import OperatorGraph
from profiling.noise.noise_power import noise_power
from profiling.on_device.create_session import Optimization
from profiling.precision import Precision
from profiling.progress import Progress, silent
from profiling.quantization.calibration import Calibration
from profiling.runtime.open_session import run_samples, runtime_for
from profiling.stage_session import open_stage

_MODELS = 16  # mixed models that are measured: enough for what sources count for in company
_SHORTEST, _LONGEST = (
    3,
    20,
)  # units that neighbour each other and are in one precision, in the mean of a model
_MOST_SHARE, _LEAST_SHARE = 1 / 2, 1 / 64  # of the noise of everything in int8, in models with few units
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


@dataclass(frozen=True, slots=True)
class TrialSetup:
    """How a device quantizes, at which graph optimization this machine gives its numbers, how much is tried.

    Parameters
    ----------
    models
        How many mixed models are built at most.
    """

    calibration: Calibration
    level: Optimization = Optimization.DEFAULT
    models: int = _MODELS


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


def measure_calibration_points(
    alone: Scenario,
    graph: OperatorGraph,
    costs: Mapping[str, DeviceCosts],
    trial: TrialSetup,
    samples: Sequence[Feeds],
    progress: Progress = silent,
) -> CalibrationPoints:
    """Build mixed models from few to all units quantized and measure their noise on all samples.

    Parameters
    ----------
    alone, costs
        The scenario on one device, from `single_device_scenario`, and that device's costs.
    samples
        Each of them is run once per mixed model.
    """
    whole = WholeModelPredictor(alone, graph, costs)
    runtime = runtime_for(len(samples))
    exact = list(run_samples(open_stage(graph.fp32_model, runtime), samples))
    points = []
    mixes = list(islice(_mixes(alone, graph, whole, costs[alone.source], trial.models), trial.models))
    for number, mix in enumerate(mixes):
        mixed = rebuild(graph, trial.calibration.at(mix), trial.calibration.ranges)
        summed = whole.cost(mix).noise_power
        measured = noise_power(run_samples(open_stage(mixed, runtime, trial.level), samples), exact)
        points.append(CalibrationPoint(mix, summed, measured))
        progress("noise of mixed models", number + 1, len(mixes))
    return CalibrationPoints(tuple(points))


def _mixes(
    alone: Scenario, graph: OperatorGraph, whole: WholeModelPredictor, costs: DeviceCosts, models: int
) -> Iterator[dict[int, Precision]]:
    """Yield mixes: all units in int8, pairs that share out the units, and some with less and less noise.

    In pairs each source counts as often as any other, and beside half of the others, as it does in plans.
    """
    kinds = alone.rounded_precisions
    able = [unit.index for unit in graph.units if any(unit.can_be(kind) for kind in kinds)]
    in_int8 = [unit.index for unit in graph.units if unit.can_be(Precision.INT8)]
    everything = graph.resolve_precisions(dict.fromkeys(in_int8, Precision.INT8))
    rng = np.random.default_rng(0)  # the same models in every run, whose measurements are cached

    def in_runs(length: float) -> Iterator[dict[int, Precision]]:
        for run in _runs(able, length, rng):
            wanted = kinds[rng.integers(len(kinds))]
            yield {
                unit: next(kind for kind in (wanted, *kinds) if graph.units[unit].can_be(kind))
                for unit in run
            }

    def wanted_mixes() -> Iterator[dict[int, Precision]]:
        yield everything  # where noise saturates most
        pairs = models // 4
        for length in np.geomspace(_LONGEST, _SHORTEST, pairs):
            runs = list(in_runs(length))
            yield from (dict(ChainMap(*half)) for half in (runs[::2], runs[1::2]))
        others = models - 1 - 2 * pairs
        most = whole.cost(everything).noise_power
        lengths = np.geomspace(_LONGEST, _SHORTEST, others)
        for share, length in zip(np.geomspace(_MOST_SHARE, _LEAST_SHARE, others), lengths, strict=True):
            take_if_below = _noise_counter(graph, costs, most * share)
            units = ChainMap(*in_runs(length)).items()
            yield {unit: precision for unit, precision in units if take_if_below(unit, precision)}

    yield from filter(None, map(graph.resolve_precisions, wanted_mixes()))


def _runs(units: Sequence[int], length: float, rng: np.random.Generator) -> list[Sequence[int]]:
    """Cut units into runs, as plans have them, in random order: errors of neighbours are not independent.

    Parameters
    ----------
    length
        Of a run in the mean; at most a quarter of all units, so that there are some.
    """
    chance = max(1 / length, 4 / max(len(units), 1))
    starts = [n for n in range(1, len(units)) if rng.random() < chance]
    runs = [units[begin:end] for begin, end in pairwise([0, *starts, len(units)])]
    return [runs[n] for n in rng.permutation(len(runs))]


def _noise_counter(
    graph: OperatorGraph, costs: DeviceCosts, limit: float
) -> Callable[[int, Precision], bool]:
    """Return a function that takes a unit in if the sum of noise with it stays within a limit.

    It counts a tensor that several of the units quantize once.
    """
    total, counted = 0.0, set[str]()

    def take_if_below(index: int, precision: Precision) -> bool:
        nonlocal total
        tensors = set(graph.tensors_quantized_with(index)) - counted if precision.is_static else set[str]()
        added = costs.unit_noise.get((graph.units[index].name, precision), 0.0)
        added += sum(costs.tensor_noise.get((name, precision), 0.0) for name in tensors)
        if total + added > limit:
            return False
        total += added
        counted.update(tensors)
        return True

    return take_if_below
