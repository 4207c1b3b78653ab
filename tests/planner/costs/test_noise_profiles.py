import json
from dataclasses import replace

import numpy as np
import pytest
from made_records import SCENARIO

from planner.costs.device_costs import DeviceCosts, noise_of
from planner.costs.noise_profiles import _samples, fitted_noise, noise_profiles
from planner.costs.noise_trials import TrialSetup
from planner.costs.whole_model import single_device_scenario
from planner.inputs.calibrated_model import CalibratedModel
from planner.inputs.dataset import Dataset
from planner.scenario.validation import check_scenario
from profiling.graph.multiply_adds import multiplications
from profiling.latency.measure_latency import Setup, measure_latency
from profiling.onnx_runtime_model import OnnxRuntimeModel
from profiling.precision import Precision
from profiling.quantization.calibration import Calibration
from profiling.quantization.qdq_model import Scheme
from profiling.runtime.open_session import Runtime

PLAIN, REDUCED, SYMMETRIC = Scheme(), Scheme(reduce_range=True), Scheme(symmetric=True)


def scenario(noise_samples: int, **changes):
    content = SCENARIO | {"profiling": {"noise_samples": noise_samples}} | changes
    found, faults = check_scenario(json.dumps(content))
    assert faults == ()
    return found


@pytest.fixture
def subject(residual) -> CalibratedModel:
    return CalibratedModel.of(OnnxRuntimeModel(residual.graph), Dataset(residual.samples, None))


def measured(residual, subject, *schemes: Scheme, noise_samples: int = 4, told=None):
    calibrations = [Calibration(scheme, residual.calibration.ranges) for scheme in schemes]
    progress = (lambda *row: None) if told is None else lambda *row: told.append(row)
    return noise_profiles(scenario(noise_samples), subject, calibrations, progress)


def powers(rows) -> list[float]:
    return [row.power for row in rows]


def test_every_scheme_has_the_noise_of_every_tensor_and_unit(residual, subject):
    found = measured(residual, subject, PLAIN, SYMMETRIC, PLAIN)
    assert list(found) == [PLAIN, SYMMETRIC]
    for scheme, profile in found.items():
        assert (profile.scheme, profile.samples) == (scheme.label, 4)
        assert all(np.isfinite(power) and power >= 0 for power in powers([*profile.tensors, *profile.units]))
        assert {row.unit for row in profile.units} == {u.name for u in residual.graph.units if u.quantizable}
    assert powers(found[PLAIN].tensors) != powers(found[SYMMETRIC].tensors)


def test_a_noise_that_is_known_is_not_measured_again(residual, subject):
    told: list[tuple] = []
    first = measured(residual, subject, PLAIN, noise_samples=3, told=told)
    assert told
    told.clear()
    assert measured(residual, subject, PLAIN, noise_samples=3, told=told) == first
    assert told == []


def test_the_bits_of_weights_change_the_noise_of_units_only(residual, subject):
    found = measured(residual, subject, PLAIN, REDUCED, noise_samples=5)
    assert found[REDUCED].tensors == found[PLAIN].tensors
    assert sum(powers(found[REDUCED].units)) > sum(powers(found[PLAIN].units))


def test_finer_activations_have_the_noise_of_coarser_ones_scaled_down(residual, subject):
    found = measured(residual, subject, PLAIN, PLAIN.at(Precision.INT16), noise_samples=5)
    coarse, fine = found[PLAIN], found[PLAIN.at(Precision.INT16)]
    assert [row.tensor for row in fine.tensors] == [row.tensor for row in coarse.tensors]
    for one, other in zip(powers(fine.tensors), powers(coarse.tensors), strict=True):
        assert one == pytest.approx(other / 255**2, rel=0.05)


@pytest.mark.parametrize(("noise_samples", "used"), [(1, 1), (2, 2), (6, 6), (256, 8)])
def test_no_more_samples_are_used_than_the_scenario_allows_and_than_single_sources_need(
    residual, subject, noise_samples, used
):
    assert measured(residual, subject, SYMMETRIC, noise_samples=noise_samples)[SYMMETRIC].samples == used


def test_a_larger_model_is_measured_on_fewer_samples_within_bounds(subject):
    once = multiplications(subject.graph)
    counts = [_samples(subject, work * once, 2, 8) for work in (0.0, 1.0, 2.0, 5.0, 8.0, 1e6)]
    assert counts == [2, 2, 2, 5, 8, 8]
    assert _samples(subject, 1e6 * once, 16, 3) == 3  # what there is counts before what would be good


def test_the_law_of_noise_is_measured_once_and_never_falls(residual, subject):
    calibration = Calibration(REDUCED, residual.calibration.ranges)
    asked = scenario(4)
    latency = measure_latency(residual.graph, calibration, residual.samples[0], Setup(Runtime(), 3))
    noise = noise_profiles(asked, subject, [calibration])
    costs = DeviceCosts.of(latency, noise_by_precision(asked, noise), REDUCED)
    told: list[tuple] = []
    trial = TrialSetup(calibration)
    asked = single_device_scenario(asked, asked.devices[0])
    fitted = fitted_noise(asked, subject, trial, costs, lambda *row: told.append(row))
    assert told
    told.clear()
    again = fitted_noise(asked, subject, replace(trial), costs, lambda *row: told.append(row))
    assert (again, told) == (fitted, [])
    sums = np.geomspace(1e-9, 1e3, 50)
    predicted = [fitted.law.predict(float(one)) for one in sums]
    assert predicted == sorted(predicted)
    assert all(power > 0 for power in predicted)


def noise_by_precision(asked, noise):
    of_scheme = noise_of(asked, REDUCED, noise)
    return dict(zip(asked.measured_precisions[1:], of_scheme, strict=True))
