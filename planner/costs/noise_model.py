"""From summed noise to noise: a law fitted on mixed models, since noise adds up only where it is small.

Summed over quantized tensors and units, noise power counts every source as if it were alone. Together they
saturate (a softmax cannot be more wrong than wrong), and single sources are measured on fewer samples. Both
are in N(s) = gain s / (1 + s / knee), which is monotone: a budget on noise stays a budget on the sum.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from planner.costs.device_costs import DeviceCosts
from planner.costs.whole_model import WholeModelPredictor
from planner.deployment.mixed_precision import rebuild
from planner.scenario.schema import Scenario
from profiling.arrays import Feeds
from profiling.graph.unit_graph import ModelGraph
from profiling.noise.noise_power import noise_power
from profiling.precision import Precision
from profiling.progress import Progress, silent
from profiling.quantization.quantize import Calibration
from profiling.runtime.session import Optimization, open_session, run_samples, runtime_for

_MODELS = 8  # mixed models that the law is fitted on
_LEAST_SHARE = 1 / 64  # of the noise of everything in int8, in the model with the fewest units
_KNEES = np.geomspace(1e-3, 1e3, 121)  # relative to the middle of the measured sums
_LEAST_POINTS = 3


@dataclass(frozen=True, slots=True)
class NoiseModel:
    """N(s) = gain s / (1 + s / knee); an infinite knee is proportionality."""

    gain: float = 1.0
    knee: float = float("inf")

    def power(self, summed: float) -> float:
        """Return the noise power of a plan whose sources sum to `summed`."""
        return self.gain * summed / (1 + summed / self.knee)

    def summed(self, power: float) -> float:
        """Return the greatest sum whose noise is `power`; infinite where no sum gets that far."""
        rest = self.gain - power / self.knee
        return power / rest if rest > 0 else float("inf")

    def through(self, summed: float, power: float) -> "NoiseModel":
        """Return the law with another gain, under which sources that sum to `summed` make `power`."""
        expected = self.power(summed)
        return NoiseModel(self.gain * power / expected, self.knee) if expected and power else self


class CalibrationPoint(msgspec.Struct, frozen=True):
    """A mixed model: its units in int8, their sources' summed noise power, and what was measured."""

    int8: tuple[int, ...]
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
        ratios = np.log(measured) - np.log(summed) + np.log1p(summed / knee)
        gain = float(np.median(ratios))
        error = float(np.abs(ratios - gain).sum())
        if error < best:
            best, law = error, NoiseModel(float(np.exp(gain)), float(knee))
    return law


def measure_calibration_points(
    alone: Scenario,
    graph: ModelGraph,
    costs: Mapping[str, DeviceCosts],
    trial: TrialSetup,
    samples: Sequence[Feeds],
    progress: Progress = silent,
) -> CalibrationPoints:
    """Build mixed models from nearly none to all units in int8 and measure their noise on all samples.

    Parameters
    ----------
    alone, costs
        The scenario on one device, from `single_device_scenario`, and that device's costs.
    """
    whole = WholeModelPredictor(alone, graph, costs)
    runtime = runtime_for(len(samples))
    exact = list(run_samples(open_session(graph.model, runtime), samples))
    found = []
    sets = list(_sets(graph, whole, next(iter(costs.values()))))
    for number, int8 in enumerate(sets):
        mixed = rebuild(graph, trial.calibration.of(int8), trial.calibration.ranges)
        summed = whole.cost(dict.fromkeys(int8, Precision.INT8)).noise_power
        measured = noise_power(run_samples(open_session(mixed, runtime, trial.level), samples), exact)
        found.append(CalibrationPoint(int8, summed, measured))
        progress("noise of mixed models", number + 1, len(sets))
    return CalibrationPoints(tuple(found))


def _sets(graph: ModelGraph, whole: WholeModelPredictor, costs: DeviceCosts) -> Iterator[tuple[int, ...]]:
    """Yield units in int8: all, then random ones whose summed noise stays below shares of all's."""
    able = [unit.index for unit in graph.units if unit.quantizable]
    everything = whole.cost(dict.fromkeys(able, Precision.INT8)).noise_power
    rng = np.random.default_rng(0)
    for share in np.geomspace(1.0, _LEAST_SHARE, _MODELS):
        add = _adder(graph, costs)
        order = able if share == 1.0 else rng.permutation(able)
        chosen = [int(u) for u in order if share == 1.0 or add(int(u), everything * share)]
        settled = tuple(graph.resolve_precisions(dict.fromkeys(chosen, Precision.INT8)))
        if settled:
            yield settled


def _adder(graph: ModelGraph, costs: DeviceCosts) -> Callable[[int, float], bool]:
    """Return what takes a unit in if the sum of noise with it stays within a limit."""
    total, counted = 0.0, set[str]()

    def add(index: int, limit: float) -> bool:
        nonlocal total
        tensors = set(graph.tensors_quantized_with(index)) - counted
        more = costs.unit_noise.get((graph.units[index].name, Precision.INT8), 0.0)
        more += sum(costs.tensor_noise.get((name, Precision.INT8), 0.0) for name in tensors)
        if total + more > limit:
            return False
        total += more
        counted.update(tensors)
        return True

    return add
