import json
from itertools import pairwise

import pytest
from made_records import SCENARIO

from planner.costs.device_costs import DeviceCosts
from planner.costs.noise_trials import TrialSetup, measure_calibration_points, model_count
from planner.costs.whole_model import single_device_scenario
from planner.scenario.validation import check_scenario
from profiling.precision import Precision

INT8 = Precision.INT8


@pytest.fixture(scope="module")
def costs(residual) -> DeviceCosts:
    graph = residual.graph
    units = {(unit.name, INT8): 1e-3 for unit in graph.units}
    return DeviceCosts({}, {}, units, {(name, INT8): 1e-3 for name in graph.boundary_tensors()})


@pytest.mark.parametrize("batches", [1, 2])
def test_each_batch_shares_out_the_units_in_pairs_of_models(residual, costs, batches):
    asked, _ = check_scenario(json.dumps(SCENARIO))
    alone = single_device_scenario(asked, asked.devices[0])
    trial = TrialSetup(residual.calibration, batches=batches)
    found = measure_calibration_points(
        alone, residual.graph, {alone.source: costs}, trial, residual.samples[:2]
    ).points
    able = {unit.index for unit in residual.graph.units if unit.can_be(INT8)}
    assert set(found[0].mix) == able
    assert len(found) <= model_count(batches)
    mixes = [set(point.mix) for point in found]
    pairs = [(own, other) for own, other in pairwise(mixes) if not own & other and own | other == able]
    assert len(pairs) >= 2 * batches
    assert all(point.summed > 0 and point.measured > 0 for point in found)
