import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.costs.noise_saturation import CalibrationPoint, NoiseModel, fit_noise_model

POSITIVE = st.floats(1e-6, 1e3)


EXPONENT = st.floats(0.7, 1.3)
KNEE = POSITIVE | st.just(float("inf"))


@given(POSITIVE, KNEE, EXPONENT, POSITIVE)
def test_a_sum_leads_to_a_noise_and_back(gain, knee, exponent, summed):
    law = NoiseModel(gain, knee, exponent)
    power = law.predict(summed)
    assert 0 < power <= gain * summed**exponent
    if summed**exponent < 1e3 * knee:  # beyond, the law is flat
        assert law.invert(power) == pytest.approx(summed, rel=1e-6)
    assert law.invert(power * 0.9) < summed * (1 + 1e-9)


@given(POSITIVE, KNEE, EXPONENT, POSITIVE, st.floats(1.0, 100.0))
def test_more_noise_in_the_sum_is_never_less_at_the_outputs(gain, knee, exponent, summed, factor):
    law = NoiseModel(gain, knee, exponent)
    assert law.predict(summed * factor) >= law.predict(summed) * (1 - 1e-12)
    assert law.predict(0.0) == 0.0


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


@pytest.mark.parametrize("exponent", [0.85, 1.0, 1.2])
def test_a_fit_finds_that_noise_grows_otherwise_than_its_sum(exponent):
    rng = np.random.default_rng(3)
    sums = np.geomspace(1e-4, 1e-2, 16)
    points = [CalibrationPoint({}, s, 1.4 * s**exponent * np.exp(rng.normal(0, 0.05))) for s in sums]
    found = fit_noise_model(points)
    assert found.exponent == pytest.approx(exponent, abs=0.05)
    for s in np.geomspace(1e-4, 1e-2, 20):
        assert found.predict(s) == pytest.approx(1.4 * s**exponent, rel=0.1)


def test_points_with_one_sum_say_nothing_of_an_exponent():
    rng = np.random.default_rng(4)
    points = [CalibrationPoint({}, 1e-3 * (1 + n / 100), 1e-3 * np.exp(rng.normal(0, 0.1))) for n in range(5)]
    assert fit_noise_model(points).exponent == 1.0


def test_too_few_points_leave_the_sum_as_it_is():
    assert fit_noise_model([CalibrationPoint({}, 0.1, 0.3)]) == NoiseModel()
    assert fit_noise_model([CalibrationPoint({}, 0.0, 0.0)] * 9) == NoiseModel()


@given(POSITIVE, KNEE, EXPONENT, POSITIVE, POSITIVE)
def test_a_law_can_be_led_through_a_point(gain, knee, exponent, summed, power):
    led = NoiseModel(gain, knee, exponent).calibrated(summed, power)
    assert led.predict(summed) == pytest.approx(power)
    assert (led.knee, led.exponent) == (knee, exponent)


def test_a_plan_without_noise_leads_a_law_nowhere():
    law = NoiseModel(2.0, 0.1)
    assert law.calibrated(0.0, 0.0) == law.calibrated(0.1, 0.0) == law
