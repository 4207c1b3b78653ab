"""Mixed models whose noise is measured, so that a law and factors can be fitted on them."""

from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise

import numpy as np

from planner.costs.device_costs import DeviceCosts
from planner.costs.noise_saturation import CalibrationPoint, CalibrationPoints
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

_PAIRS, _OTHERS = 2, 3  # in each batch: pairs that share out the units, and models with less noise
# Units that neighbour each other and are in one precision, in the mean of a model.
_SHORTEST, _LONGEST = 3, 20
_MOST_SHARE, _LEAST_SHARE = 1 / 2, 1 / 64  # of the noise of everything in int8, in models with few units


@dataclass(frozen=True, slots=True)
class TrialSetup:
    """How a device quantizes, at which graph optimization this machine gives its numbers, how much is tried.

    Parameters
    ----------
    batches
        How many of mixed models are built; see `model_count`.
    """

    calibration: Calibration
    level: Optimization = Optimization.DEFAULT
    batches: int = 1


def model_count(batches: int) -> int:
    """Return how many mixed models so many batches are: one with all units in int8, and seven in each.

    Examples
    --------
    >>> [model_count(batches) for batches in (1, 2)]
    [8, 15]
    """
    return 1 + batches * (2 * _PAIRS + _OTHERS)


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
    mixes = list(_mixes(alone, graph, whole, costs[alone.source], trial.batches))
    for number, mix in enumerate(mixes):
        mixed = rebuild(graph, trial.calibration.at(mix), trial.calibration.ranges)
        summed = whole.cost(mix).noise_power
        measured = noise_power(run_samples(open_stage(mixed, runtime, trial.level), samples), exact)
        points.append(CalibrationPoint(mix, summed, measured))
        progress("noise of mixed models", number + 1, len(mixes))
    return CalibrationPoints(tuple(points))


def _mixes(
    alone: Scenario, graph: OperatorGraph, whole: WholeModelPredictor, costs: DeviceCosts, batches: int
) -> Iterator[dict[int, Precision]]:
    """Yield mixes: all units in int8, then batches of pairs that share out the units, and of less and less.

    In pairs each source counts as often as any other, and beside half of the others, as it does in plans.
    """
    kinds = alone.rounded_precisions
    able = [unit.index for unit in graph.units if any(unit.can_be(kind) for kind in kinds)]
    in_int8 = [unit.index for unit in graph.units if unit.can_be(Precision.INT8)]
    everything = graph.resolve_precisions(dict.fromkeys(in_int8, Precision.INT8))
    most = whole.cost(everything).noise_power
    rng = np.random.default_rng(0)  # the same models in every run, whose measurements are cached

    def in_runs(length: float) -> Iterator[dict[int, Precision]]:
        for run in _runs(able, length, rng):
            wanted = kinds[rng.integers(len(kinds))]
            yield {
                unit: next(kind for kind in (wanted, *kinds) if graph.units[unit].can_be(kind))
                for unit in run
            }

    def batch() -> Iterator[dict[int, Precision]]:
        for length in np.geomspace(_LONGEST, _SHORTEST, _PAIRS):
            runs = list(in_runs(length))
            yield from (dict(ChainMap(*half)) for half in (runs[::2], runs[1::2]))
        lengths = np.geomspace(_LONGEST, _SHORTEST, _OTHERS)
        for share, length in zip(np.geomspace(_MOST_SHARE, _LEAST_SHARE, _OTHERS), lengths, strict=True):
            take_if_below = _noise_counter(graph, costs, most * share)
            units = ChainMap(*in_runs(length)).items()
            yield {unit: precision for unit, precision in units if take_if_below(unit, precision)}

    every = chain([everything], *(batch() for _ in range(batches)))  # where all are in int8, noise saturates
    yield from filter(None, map(graph.resolve_precisions, every))


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
