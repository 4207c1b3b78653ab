from dataclasses import replace

import models
import numpy as np
import pytest
from planned_models import scenario_around

from planner.deployment.build import build
from planner.inputs.prepared_scenario import prepare
from planner.plan.configuration import Configuration
from planner.refinement.time_in_place import time_in_place
from profiling.precision import Precision

WAYS = [("a", "b"), ("b", "a"), ("a", "c"), ("c", "a")]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A model on two devices that this machine stands for, and one that is half as fast as the second."""
    x = np.random.default_rng(0).standard_normal((8, 1, 2, 8, 8)).astype(np.float32)
    return prepare(
        scenario_around(
            tmp_path_factory.mktemp("timed"),
            models.residual(),
            {"x": x},
            devices=[
                {"name": "a"},
                {"name": "b", "threads": 2},
                {"name": "c", "scaled_from": "b", "speedup": 0.5},
            ],
            links=[{"from": s, "to": t, "bandwidth_mbit_per_s": 10} for s, t in WAYS],
        )
    )


def placed(prepared, *devices: str) -> Configuration:
    """Return a plan that has the first units on the first device, the rest on the next ones."""
    count = len(prepared.models.graph.units)
    cut = [devices[min(i, len(devices) - 1)] for i in range(count)]
    return Configuration(tuple(cut), (Precision.FP32,) * count)


def timed(prepared, chosen: Configuration):
    return time_in_place(prepared, build(prepared, chosen), chosen)


def test_every_device_that_is_measured_here_times_the_plan_and_no_other(prepared):
    found = timed(prepared, placed(prepared, "a"))
    assert list(found) == ["a", "b"]
    for timing in found.values():
        assert timing.fp32_s > 0
        assert timing.plan.wall_s > 0
        assert timing.stages == ()  # the whole model is one stage


def test_each_stage_counts_for_the_device_whose_seconds_it_stands_for(prepared):
    found = timed(prepared, placed(prepared, "a", "c"))
    assert [stage.profiled_here for stage in found["a"].stages] == [True, False]
    assert [stage.profiled_here for stage in found["b"].stages] == [False, True]
    units = [stage.units for stage in found["a"].stages]
    assert units == [stage.units for stage in found["b"].stages]
    assert sorted(u for row in units for u in row) == list(range(len(prepared.models.graph.units)))


def test_devices_that_run_alike_are_timed_once(prepared):
    scenario = prepared.scenario
    alike = tuple(device.model_copy(update={"threads": 1}) for device in scenario.devices[:2])
    one = scenario.model_copy(update={"devices": (*alike, scenario.devices[2])})
    found = time_in_place(
        replace(prepared, scenario=one),
        build(prepared, placed(prepared, "a", "c")),
        placed(prepared, "a", "c"),
    )
    assert found["a"].fp32_s == found["b"].fp32_s
    assert [s.seconds for s in found["a"].stages] == [s.seconds for s in found["b"].stages]
    assert [s.profiled_here for s in found["a"].stages] != [s.profiled_here for s in found["b"].stages]


def test_a_plan_whose_devices_are_all_measured_elsewhere_is_not_timed(prepared):
    scenario = prepared.scenario
    far = tuple(device.model_copy(update={"profile": "far.json"}) for device in scenario.devices[:2])
    elsewhere = scenario.model_copy(update={"devices": (*far, scenario.devices[2])})
    own = replace(prepared, scenario=elsewhere)
    chosen = placed(prepared, "a", "c")
    assert time_in_place(own, build(prepared, chosen), chosen) == {}
