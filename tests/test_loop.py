import models
import numpy as np
import pytest
from conftest import plan_model

from planner.loop import MOST_ROUNDS
from profiling.precision import Precision


def samples(count: int = 8) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {"x": rng.normal(size=(count, 1, 2, 8, 8)).astype(np.float32)}


@pytest.mark.parametrize("seed", range(3))
def test_the_delivered_plan_was_timed_and_is_priced_as_timed(seed, tmp_path):
    outcome = plan_model(tmp_path, models.residual(), samples(8 + seed), budget={"noise_relative_rms": 0.05})
    loop, predicted = outcome.plan.loop, outcome.plan.predicted
    assert 1 <= len(loop) <= MOST_ROUNDS
    assert loop[0].changed_units == 0
    assert any(
        one.measured_ratio_to_fp32 == pytest.approx(predicted.latency_ratio_to_fp32, rel=1e-6) for one in loop
    )
    assert outcome.plan.objective.value >= outcome.plan.objective.bound - 1e-12
    assert outcome.plan.status in ("optimal", "feasible")


def test_the_best_of_the_timed_plans_is_delivered(tmp_path):
    outcome = plan_model(tmp_path, models.residual(), samples())
    loop = outcome.plan.loop
    if outcome.plan.status == "feasible":  # the loop ended before a plan came again
        assert outcome.plan.objective.value == pytest.approx(min(one.objective for one in loop), rel=1e-6)


def test_the_profile_that_is_delivered_prices_the_plan(tmp_path):
    outcome = plan_model(tmp_path, models.residual(), samples())
    (profile,) = outcome.profiles.values()
    units = {(row.unit, row.precision): row.seconds for row in profile.latency.units}
    chosen = sum(units[a.unit, a.precision] for a in outcome.plan.assignments)
    assert chosen <= outcome.plan.predicted.latency_s * (1 + 1e-9)
    fp32 = sum(seconds for (_, p), seconds in units.items() if p is Precision.FP32)
    assert fp32 > 0


def test_a_device_known_from_a_file_alone_is_not_timed(tmp_path):
    first = plan_model(tmp_path, models.residual(), samples())
    from profiling.profile import save_json

    save_json(first.profiles["a"], tmp_path / "a.json")
    devices = [{"name": "a", "profile": str(tmp_path / "a.json")}]
    again = plan_model(tmp_path, models.residual(), samples(), devices=devices)
    assert again.plan.loop == ()
    assert again.plan.status == "optimal"
