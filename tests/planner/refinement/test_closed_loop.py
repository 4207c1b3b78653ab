from dataclasses import replace

import models
import numpy as np
import pytest
from planned_models import plan_model, scenario_around

from planner import run
from planner.inputs.prepared_scenario import prepare
from planner.refinement import closed_loop, measured_scenario
from planner.refinement import loop_state as loop
from planner.refinement.loop_state import MOST_ROUNDS, LoopState
from planner.refinement.measured_scenario import measure_scenario
from planner.refinement.time_in_place import time_in_place
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
    assert least * (1 - 1e-6) <= outcome.plan.objective.value <= least * 1.005  # a tie goes to the simplest


def test_a_second_run_takes_the_timings_of_the_first(tmp_path):
    first, again = (plan_model(tmp_path, models.residual(), samples()).plan for _ in range(2))
    assert again.loop == first.loop
    assert again.objective == first.objective
    assert again.assignments == first.assignments


@pytest.mark.parametrize("favoured", ["fp32", "int8"])
def test_one_precision_is_delivered_if_it_is_faster_than_was_predicted(favoured, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "_TIMING_MARGIN", 1e3)  # whatever was predicted
    measured = measure_scenario(prepare(scenario_around(tmp_path, models.residual(), samples())))

    def timed(prepared, latency, build, configuration):
        """Return what timing shows, but one precision takes a tenth and all else ten times as long."""
        factor = 0.1 if {precision.value for precision in configuration.precisions} == {favoured} else 10.0
        timings = time_in_place(prepared, build(configuration), configuration)
        return {
            device: replace(timing, plan=replace(timing.plan, wall_s=timing.fp32_s * factor))
            for device, timing in timings.items()
        }

    monkeypatch.setattr(measured_scenario, "plan_timings", timed)
    state, solved = run.solve_and_refine(measured)
    assert {precision.value for precision in solved.configuration.precisions} == {favoured}
    assert solved.found.result.objective == pytest.approx(min(plan.objective for plan in state.timed))


def test_no_second_plan_is_timed_that_costs_cannot_tell_from_the_first(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "_TIMING_MARGIN", 0.0)  # no plan in one precision
    monkeypatch.setattr(closed_loop, "resolution_of", lambda _: 1e9)
    measured = measure_scenario(prepare(scenario_around(tmp_path, models.residual(), samples())))
    state, solved = run.solve_and_refine(measured)
    assert len(state.timed) == 1
    assert solved.choice == state.timed[0].choice


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
    from profiling.records.json_files import save_json

    save_json(first.profiles["a"], tmp_path / "a.json")
    devices = [{"name": "a", "profile": str(tmp_path / "a.json")}]
    again = plan_model(tmp_path, models.residual(), samples(), devices=devices)
    assert again.plan.loop == ()
    assert again.plan.status == "optimal" or again.plan.tie is not None


def test_the_loop_changes_nothing_but_the_state_that_it_returns(tmp_path):
    measured = measure_scenario(prepare(scenario_around(tmp_path, models.residual(), samples())))
    before = LoopState(measured.latency)
    state, solved = run.solve_and_refine(measured)
    assert before == LoopState(measured.latency)
    assert state.was_timed(solved.choice)
    assert not state.asks_for_timing(solved)
    assert state.best.objective == min(plan.objective for plan in state.timed)


def test_no_plan_is_timed_that_does_not_exist(tmp_path):
    scenario = scenario_around(tmp_path, models.residual(), samples(), budget={"latency_ms": 1e-9})
    measured = measure_scenario(prepare(scenario))
    state, solved = run.solve_and_refine(measured)
    assert state.timed == ()
    assert not solved.is_plan
    with pytest.raises(ValueError, match="no plan"):
        _ = solved.choice
