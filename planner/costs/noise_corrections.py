"""What sources of noise count for in company, other than alone, from mixed models that were measured.

Errors of neighbours add up or cancel, and a source alone is measured on fewer samples. To first order both
are a factor on the source's power, which keeps a plan's noise a sum: each factor is near 1, unless mixed
models with much of that source say otherwise together.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from planner.costs.device_costs import DeviceCosts
from planner.costs.noise_saturation import CalibrationPoint, NoiseModel
from profiling.arrays import Array
from profiling.graph.operator_graph import OperatorGraph
from profiling.precision import Precision

# Squared relative error of a mixed model that no factors explain, over that by which a source's power in
# company differs from what it is alone: as fitted to random plans of three networks.
_RIDGE = 0.03
_MOST = 3.0  # a factor, or its inverse; what seems to be more is chance
_LEAST_POINTS = 6  # fewer say too little of many sources
_STEPS = 8  # of Gauss and Newton, each of which divides what is left of the error by about ten

NoiseSource = tuple[str, Precision]
"""A tensor or unit by name, in a precision."""


@dataclass(frozen=True, slots=True)
class NoiseFactors:
    """By what the powers of sources are multiplied; those without a factor stay as they are.

    Examples
    --------
    >>> costs = DeviceCosts({}, {}, {("conv", Precision.INT8): 0.5}, {("x", Precision.INT8): 0.1})
    >>> corrected = NoiseFactors({("conv", Precision.INT8): 2.0}).applied(costs)
    >>> corrected.unit_noise["conv", Precision.INT8], corrected.tensor_noise["x", Precision.INT8]
    (1.0, 0.1)
    """

    units: Mapping[NoiseSource, float] = field(default_factory=dict)
    tensors: Mapping[NoiseSource, float] = field(default_factory=dict)

    def applied(self, costs: DeviceCosts) -> DeviceCosts:
        """Return a device's costs with the powers that its sources have in company."""
        return replace(
            costs,
            unit_noise=_multiplied(costs.unit_noise, self.units),
            tensor_noise=_multiplied(costs.tensor_noise, self.tensors),
        )


@dataclass(frozen=True, slots=True)
class FittedNoise:
    """Factors on single sources, and the law that turns their sum into noise at the outputs."""

    law: NoiseModel = field(default_factory=NoiseModel)
    factors: NoiseFactors = field(default_factory=NoiseFactors)


def fit_noise_factors(
    points: Sequence[CalibrationPoint], law: NoiseModel, graph: OperatorGraph, costs: DeviceCosts
) -> NoiseFactors:
    """Return the factors under which a law comes nearest to what mixed models showed.

    They are the likeliest if logarithms of factors, and errors of the law, are normal (ridge regression:
    Hoerl and Kennard, Technometrics 12, 1970). A source with a small share in every mixed model stays at 1.
    """
    points = [point for point in points if point.summed > 0 and point.measured > 0]
    if len(points) < _LEAST_POINTS:
        return NoiseFactors()
    rows = [dict(_sources(point.mix, graph, costs)) for point in points]
    names = list(dict.fromkeys(name for row in rows for name in row))
    powers = np.array([[row.get(name, 0.0) for name in names] for row in rows])
    if not powers.sum(axis=1).all():
        return NoiseFactors()
    targets = np.array([_sum_that_makes(law, point) / point.summed for point in points])
    factors = np.exp(_log_factors(powers, np.log(targets)))
    found = {name: float(factor) for name, factor in zip(names, factors, strict=True)}
    units, tensors = (
        {source: factor for (kind, source), factor in found.items() if kind == wanted}
        for wanted in ("unit", "tensor")
    )
    return NoiseFactors(units, tensors)


def _log_factors(powers: Array, targets: Array) -> Array:
    """Return logarithms of factors on sources.

    Parameters
    ----------
    powers
        Shape [points, sources]: what each source adds to each point's sum.
    targets
        Logarithm of each point's sum with factors over that without.
    """
    whole = powers.sum(axis=1)
    found = np.zeros(powers.shape[1])
    bound = np.log(_MOST)
    for _ in range(_STEPS):
        weighted = powers * np.exp(found)
        sums = weighted.sum(axis=1)
        shares = weighted / sums[:, None]
        left = targets - np.log(sums / whole) + shares @ found
        # As many equations as points, of which there are fewer than sources.
        gram = shares @ shares.T + _RIDGE * np.eye(len(targets))
        found = np.clip(shares.T @ np.linalg.solve(gram, left), -bound, bound)
    return found


def _sum_that_makes(law: NoiseModel, point: CalibrationPoint) -> float:
    """Return the sum at which the law gives what was measured; the point's own where no sum does."""
    summed = law.invert(point.measured)
    return summed if 0 < summed < float("inf") else point.summed


def _sources(
    mix: Mapping[int, Precision], graph: OperatorGraph, costs: DeviceCosts
) -> Iterator[tuple[tuple[str, NoiseSource], float]]:
    """Yield the sources of a mixed model, each with its power; a tensor that several units quantize once."""
    tensors = dict[NoiseSource, None]()
    for index, precision in mix.items():
        unit = (graph.units[index].name, precision)
        yield ("unit", unit), costs.unit_noise.get(unit, 0.0)
        if precision.is_static:
            tensors |= dict.fromkeys((name, precision) for name in graph.tensors_quantized_with(index))
    for tensor in tensors:
        yield ("tensor", tensor), costs.tensor_noise.get(tensor, 0.0)


def _multiplied(
    powers: Mapping[NoiseSource, float], factors: Mapping[NoiseSource, float]
) -> dict[NoiseSource, float]:
    return {source: power * factors.get(source, 1.0) for source, power in powers.items()}
