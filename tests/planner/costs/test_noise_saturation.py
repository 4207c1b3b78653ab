import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.costs.noise_saturation import CalibrationPoint, NoiseModel, fit_noise_model

POSITIVE = st.floats(1e-6, 1e3)


@given(POSITIVE, POSITIVE | st.just(float("inf")), POSITIVE)
def test_a_sum_leads_to_a_noise_and_back(gain, knee, summed):
    law = NoiseModel(gain, knee)
    power = law.predict(summed)
    assert 0 < power <= gain * summed
    if summed < 1e3 * knee:  # beyond, the law is flat
        assert law.invert(power) == pytest.approx(summed, rel=1e-6)
    assert law.invert(power * 0.9) < summed * (1 + 1e-9)


def test_what_saturates_can_be_out_of_reach():
    assert NoiseModel(1.0, 0.1).invert(0.2) == float("inf")


@pytest.mark.parametrize(("gain", "knee"), [(1.0, float("inf")), (0.7, 0.02), (1.8, 0.3)])
def test_a_fit_finds_the_law_behind_noisy_points_and_an_outlier(gain, knee):
    rng = np.random.default_rng(0)
    law = NoiseModel(gain, knee)
    points = [
        CalibrationPoint({}, s, law.predict(s) * np.exp(rng.normal(0, 0.05)))
        for s in np.geomspace(1e-3, 1, 9)
    ]
    points.append(CalibrationPoint({}, 0.1, 5.0))
    found = fit_noise_model(points)
    for s in np.geomspace(1e-3, 1, 20):
        assert found.predict(s) == pytest.approx(law.predict(s), rel=0.15)


def test_too_few_points_leave_the_sum_as_it_is():
    assert fit_noise_model([CalibrationPoint({}, 0.1, 0.3)]) == NoiseModel()
    assert fit_noise_model([CalibrationPoint({}, 0.0, 0.0)] * 9) == NoiseModel()


@given(POSITIVE, POSITIVE | st.just(float("inf")), POSITIVE, POSITIVE)
def test_a_law_can_be_led_through_a_point(gain, knee, summed, power):
    led = NoiseModel(gain, knee).calibrated(summed, power)
    assert led.predict(summed) == pytest.approx(power)
    assert led.knee == knee


def test_a_plan_without_noise_leads_a_law_nowhere():
    law = NoiseModel(2.0, 0.1)
    assert law.calibrated(0.0, 0.0) == law.calibrated(0.1, 0.0) == law
