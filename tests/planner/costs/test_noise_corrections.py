"""Factors against mixed models whose sources, and what they make together, are made up."""

from dataclasses import replace

import numpy as np
import pytest

from planner.costs.device_costs import DeviceCosts
from planner.costs.noise_corrections import NoiseFactors, _log_factors, fit_noise_factors
from planner.costs.noise_saturation import CalibrationPoint, NoiseModel
from profiling.graph.operator_graph import OperatorGraph
from profiling.precision import Precision

INT8 = Precision.INT8


def costs_of(graph: OperatorGraph, rng: np.random.Generator) -> DeviceCosts:
    """Return costs in which every unit and tensor has noise."""
    units = {(unit.name, INT8): float(rng.exponential(1e-3)) for unit in graph.units}
    tensors = {(name, INT8): float(rng.exponential(1e-3)) for name in graph.boundary_tensors()}
    return DeviceCosts({}, {}, units, tensors)


def true_sum(graph: OperatorGraph, costs: DeviceCosts, mix) -> float:
    """Add up a mixed model's sources, a tensor that several units quantize once."""
    tensors = set().union(*(graph.tensors_quantized_with(unit) for unit in mix))
    units = sum(costs.unit_noise[graph.units[unit].name, INT8] for unit in mix)
    return units + sum(costs.tensor_noise[name, INT8] for name in tensors)


def points_of(graph, alone: DeviceCosts, real: DeviceCosts, count: int) -> list[CalibrationPoint]:
    rng = np.random.default_rng(5)
    mixes = [[u.index for u in graph.units if u.quantizable and rng.random() < 0.5] for _ in range(count)]
    return [
        CalibrationPoint(dict.fromkeys(mix, INT8), true_sum(graph, alone, mix), true_sum(graph, real, mix))
        for mix in mixes
        if mix
    ]


def test_a_large_source_that_counts_for_more_is_found(residual):
    graph, rng = residual.graph, np.random.default_rng(0)
    alone = costs_of(graph, rng)
    large = next(unit.name for unit in graph.units if unit.quantizable), INT8
    alone = replace(alone, unit_noise={**alone.unit_noise, large: 0.02})
    real = replace(alone, unit_noise={**alone.unit_noise, large: 0.03})
    points = points_of(graph, alone, real, 16)
    factors = fit_noise_factors(points, NoiseModel(), graph, alone)
    assert factors.units[large] == pytest.approx(1.5, rel=0.05)
    corrected = factors.applied(alone)
    for point in points_of(graph, alone, real, 40)[16:]:  # mixes that nothing was fitted on
        before = abs(np.log(point.summed / point.measured))
        now = abs(np.log(true_sum(graph, corrected, point.mix) / point.measured))
        assert now < max(0.25 * before, 0.02)


def test_sources_that_add_up_keep_their_powers(residual):
    alone = costs_of(residual.graph, np.random.default_rng(1))
    factors = fit_noise_factors(
        points_of(residual.graph, alone, alone, 16), NoiseModel(), residual.graph, alone
    )
    found = [*factors.units.values(), *factors.tensors.values()]
    assert found == pytest.approx([1.0] * len(found))


def test_few_mixed_models_and_none_with_noise_say_nothing(residual):
    alone = costs_of(residual.graph, np.random.default_rng(2))
    real = replace(alone, unit_noise={key: 2 * power for key, power in alone.unit_noise.items()})
    few = points_of(residual.graph, alone, real, 5)
    assert fit_noise_factors(few, NoiseModel(), residual.graph, alone) == NoiseFactors()
    silent = [CalibrationPoint({}, 0.0, 0.0)] * 9
    assert fit_noise_factors(silent, NoiseModel(), residual.graph, alone) == NoiseFactors()


@pytest.mark.parametrize("seed", range(4))
def test_factors_are_those_of_the_least_penalized_error(seed):
    """No small step from the found factors has less error and penalty together."""
    rng = np.random.default_rng(seed)
    powers = rng.exponential(1.0, (6, 20)) * (rng.random((6, 20)) < 0.5)
    targets = rng.normal(0, 0.2, 6)

    def loss(logs) -> float:
        sums = np.log((powers * np.exp(logs)).sum(axis=1) / powers.sum(axis=1))
        return float(np.square(targets - sums).sum() + 0.03 * np.square(logs).sum())

    found = _log_factors(powers, targets)
    least = loss(found)
    assert least < loss(np.zeros(20))
    for _ in range(200):
        assert loss(found + rng.normal(0, 1e-3, 20)) > least - 1e-9


def test_no_factor_is_beyond_what_is_believed():
    powers = np.eye(6)
    found = np.exp(_log_factors(powers, np.log([100.0, 0.01, 1.0, 1.0, 1.0, 1.0])))
    assert found[:2] == pytest.approx([3.0, 1 / 3])
    assert found[2:] == pytest.approx(1.0)
