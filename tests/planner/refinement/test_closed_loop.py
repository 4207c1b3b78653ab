from dataclasses import replace

import models
import numpy as np
import pytest
from planned_models import plan_model, scenario_around

from planner.plan.configuration import configuration_of
from planner.refinement import closed_loop as loop
from planner.refinement.closed_loop import MOST_ROUNDS, close_loop
from planner.refinement.measured_scenario import measure_scenario
from planner.verification.time_plan import time_in_place
from profiling.precision import Precision


def samples(count: int = 8) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {"x": rng.normal(size=(count, 1, 2, 8, 8)).astype(np.float32)}


@pytest.mark.parametrize("seed", range(3))
def test_the_delivered_plan_was_timed_and_is_priced_as_timed(seed, tmp_path):
    outcome = plan_model(tmp_path, models.residual(), samples(8 + seed), budget={"noise_relative_rms": 0.05})
    rounds, predicted = outcome.plan.loop, outcome.plan.predicted
    assert 1 <= len(rounds) <= MOST_ROUNDS + len(("fp32", "int8"))
    assert rounds[0].changed_units == 0
    assert any(
        one.measured_ratio_to_fp32 == pytest.approx(predicted.latency_ratio_to_fp32, rel=1e-6)
        for one in rounds
    )
    assert outcome.plan.objective.value >= outcome.plan.objective.bound - 1e-12
    assert outcome.plan.status in ("optimal", "feasible")


def test_the_best_of_the_timed_plans_is_delivered(tmp_path):
    outcome = plan_model(tmp_path, models.residual(), samples())
    least = min(one.objective for one in outcome.plan.loop)
    assert outcome.plan.objective.value == pytest.approx(least, rel=1e-6)


@pytest.mark.parametrize("favoured", ["fp32", "int8"])
def test_one_precision_is_delivered_if_it_is_faster_than_was_believed(favoured, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "_NEAR", 1e3)  # whatever was predicted
    basis = measure_scenario(scenario_around(tmp_path, models.residual(), samples()))

    def timed(chosen):
        """Return what timing shows, but one precision takes a tenth and all else ten times as long."""
        factor = 0.1 if {str(one.value) for one in chosen.precisions} == {favoured} else 10.0
        found = time_in_place(basis.prepared, basis.build(chosen), chosen)
        return {
            device: replace(one, plan=replace(one.plan, wall_s=one.fp32_s * factor))
            for device, one in found.items()
        }

    closed = close_loop(basis.ask, basis.latency, basis.tightening, timed)
    chosen = configuration_of(closed.tightened.problem, closed.tightened.result.choice)
    assert {one.value for one in chosen.precisions} == {favoured}
    assert closed.tightened.result.objective == pytest.approx(min(one.objective for one in closed.rounds))


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
    from profiling.records.profile import save_json

    save_json(first.profiles["a"], tmp_path / "a.json")
    devices = [{"name": "a", "profile": str(tmp_path / "a.json")}]
    again = plan_model(tmp_path, models.residual(), samples(), devices=devices)
    assert again.plan.loop == ()
    assert again.plan.status == "optimal"
