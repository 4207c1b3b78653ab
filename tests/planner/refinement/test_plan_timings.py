"""Timings of plans that are kept."""

from dataclasses import replace

import models
import numpy as np
import pytest
from planned_models import scenario_around

from planner.inputs.prepared_scenario import prepare
from planner.plan.configuration import Configuration
from planner.refinement.measured_scenario import measure_scenario
from planner.refinement.plan_timings import plan_timings
from profiling.latency.plan_corrections import apply_corrections
from profiling.precision import Precision


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    rng = np.random.default_rng(7)
    samples = {"x": rng.normal(size=(9, 1, 2, 8, 8)).astype(np.float32)}
    folder = tmp_path_factory.mktemp("timed")
    return measure_scenario(prepare(scenario_around(folder, models.residual(), samples)))


def all_in(measured, precision: Precision) -> Configuration:
    units = measured.prepared.models.graph.units
    return Configuration(
        tuple("a" for _ in units),
        tuple(precision if unit.can_be(precision) else Precision.FP32 for unit in units),
    )


class Builds:
    """Builds plans, and counts them."""

    def __init__(self, measured):
        self.measured, self.count = measured, 0

    def __call__(self, configuration):
        self.count += 1
        return self.measured.build(configuration)


def test_a_plan_is_built_and_timed_once(measured):
    build = Builds(measured)
    chosen = all_in(measured, Precision.INT8)
    first = plan_timings(measured.prepared, measured.latency, build, chosen)
    again = plan_timings(measured.prepared, measured.latency, build, chosen)
    assert build.count == 1
    profile = measured.latency["a"]
    assert apply_corrections(profile, again["a"]) == apply_corrections(profile, first["a"])


def test_a_plan_is_timed_again_once_devices_are_profiled_anew(measured):
    build = Builds(measured)
    chosen = all_in(measured, Precision.FP32)
    plan_timings(measured.prepared, measured.latency, build, chosen)
    profile = measured.latency["a"]
    anew = {"a": replace(profile, start_s=profile.start_s + 1e-9)}
    plan_timings(measured.prepared, anew, build, chosen)
    assert build.count == 2
