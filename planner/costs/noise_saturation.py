"""From summed noise to noise: a law fitted on mixed models, since noise adds up only where it is small.

Summed over quantized tensors and units, noise power counts every source as if it were alone. Together they
saturate (a softmax cannot be more wrong than wrong), and single sources are measured on fewer samples. Both
are in N(s) = gain s / (1 + s / knee), which is monotone: a budget on noise stays a budget on the sum.
All powers are relative to that of the fp32 model's outputs.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

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

_MODELS = 8  # mixed models that the law is fitted on: enough for two numbers and an outlier, each is a run
_RUN = 4  # units of a mixed model that neighbour each other and are in one precision, in the mean
_LEAST_SHARE = 1 / 64  # of the noise of everything in int8, in the model with the fewest units
_KNEES = np.geomspace(1e-3, 1e3, 121)  # relative to the median of the measured sums: 20 steps a decade
_LEAST_POINTS = 3  # two numbers need more points than two; with fewer the sum itself is taken


@dataclass(frozen=True, slots=True)
class NoiseModel:
    """N(s) = gain s / (1 + s / knee); an infinite knee is proportionality.

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

    def predict(self, summed: float) -> float:
        """Return the noise power of a plan whose sources sum to `summed`."""
        return self.gain * summed / (1 + summed / self.knee)

    def invert(self, power: float) -> float:
        """Return the greatest sum whose noise is `power`; infinite where no sum gets that far."""
        rest = self.gain - power / self.knee
        return power / rest if rest > 0 else float("inf")

    def calibrated(self, summed: float, power: float) -> "NoiseModel":
        """Return the law with another gain, under which sources that sum to `summed` make `power`."""
        expected = self.predict(summed)
        return NoiseModel(self.gain * power / expected, self.knee) if expected and power else self


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
    """How a device quantizes, and at which graph optimization this machine gives its numbers."""

    calibration: Calibration
    level: Optimization = Optimization.DEFAULT


def fit_noise_model(points: Sequence[CalibrationPoint]) -> NoiseModel:
    """Return the law with the least sum of absolute errors in the logarithm, which outliers move little."""
    pairs = [(point.summed, point.measured) for point in points if point.summed > 0 and point.measured > 0]
    if len(pairs) < _LEAST_POINTS:
        return NoiseModel()
    summed, measured = np.asarray(pairs).T
    best, law = float("inf"), NoiseModel()
    for knee in (*(_KNEES * np.median(summed)), float("inf")):
        # For a knee given, the median of the ratios is the gain with the least sum of absolute errors.
        ratios = np.log(measured) - np.log(summed) + np.log1p(summed / knee)
        gain = float(np.median(ratios))
        error = float(np.abs(ratios - gain).sum())
        if error < best:
            best, law = error, NoiseModel(float(np.exp(gain)), float(knee))
    return law


def measure_calibration_points(
    alone: Scenario,
    graph: OperatorGraph,
    costs: Mapping[str, DeviceCosts],
    trial: TrialSetup,
    samples: Sequence[Feeds],
    progress: Progress = silent,
) -> CalibrationPoints:
    """Build mixed models from nearly none to all units quantized and measure their noise on all samples.

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
    mixes = list(_mixes(alone, graph, whole, next(iter(costs.values()))))
    for number, mix in enumerate(mixes):
        mixed = rebuild(graph, trial.calibration.at(mix), trial.calibration.ranges)
        summed = whole.cost(mix).noise_power
        measured = noise_power(run_samples(open_stage(mixed, runtime, trial.level), samples), exact)
        points.append(CalibrationPoint(mix, summed, measured))
        progress("noise of mixed models", number + 1, len(mixes))
    return CalibrationPoints(tuple(points))


def _mixes(
    alone: Scenario, graph: OperatorGraph, whole: WholeModelPredictor, costs: DeviceCosts
) -> Iterator[dict[int, Precision]]:
    """Yield mixes: all units in int8, then random ones whose summed noise stays below shares of its noise."""
    in_int8 = [unit.index for unit in graph.units if unit.can_be(Precision.INT8)]
    everything = graph.resolve_precisions(dict.fromkeys(in_int8, Precision.INT8))
    if everything:
        yield everything  # where noise saturates most
    most = whole.cost(everything).noise_power
    others = [p for p in alone.measured_precisions[1:] if p is not Precision.INT8]
    able = [unit.index for unit in graph.units if any(unit.can_be(p) for p in alone.measured_precisions[1:])]
    rng = np.random.default_rng(0)  # the same models in every run, whose measurements are cached
    for share in np.geomspace(1.0, _LEAST_SHARE, _MODELS)[1:]:
        take_if_below = _noise_counter(graph, costs, most * share)
        chosen = dict[int, Precision]()
        for run in _runs(able, rng):
            wanted = [Precision.INT8, *others][rng.integers(1 + len(others))]
            for unit in run:
                possible = (p for p in (wanted, Precision.INT8, *others) if graph.units[unit].can_be(p))
                precision = next(possible)
                if take_if_below(unit, precision):
                    chosen[unit] = precision
        if mix := graph.resolve_precisions(chosen):
            yield mix


def _runs(units: Sequence[int], rng: np.random.Generator) -> list[Sequence[int]]:
    """Cut units into runs, as plans have them, in random order: errors of neighbours are not independent."""
    starts = [n for n in range(1, len(units)) if rng.random() < 1 / _RUN]
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
