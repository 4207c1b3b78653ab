import json

import pytest
from made_records import SCENARIO

from planner.devices.runtime import local_runtime, measured_devices, origin_of, setup_of
from planner.scenario.loader import parse_scenario
from profiling.precision import Precision
from profiling.runtime.open_session import Runtime


def scenario(*devices, **more):
    first = devices[0]["name"]
    known = SCENARIO | {"devices": list(devices), "source": first, "sink": first, "links": []}
    if len(devices) > 1:
        names = [device["name"] for device in devices]
        pairs = [(a, b) for a in names for b in names if a != b]
        known["links"] = [{"from": a, "to": b, "bandwidth_mbit_per_s": 8} for a, b in pairs]
    return parse_scenario(json.dumps(known | more).encode())


def test_speedups_multiply_along_the_way_to_where_the_costs_come_from():
    own = scenario(
        {"name": "a", "threads": 2},
        {"name": "b", "scaled_from": "a", "speedup": 3.0},
        {"name": "c", "scaled_from": "b", "speedup": 0.5},
    )
    origin, speedup = origin_of(own, own.device("c"))
    assert (origin.name, speedup) == ("a", pytest.approx(1.5))
    assert origin_of(own, own.device("a")) == (own.device("a"), 1.0)
    assert [device.name for device in measured_devices(own)] == ["a"]


def test_a_device_may_be_faster_than_its_own_measurement():
    own = scenario({"name": "a", "speedup": 2.0}, {"name": "b", "scaled_from": "a", "speedup": 3.0})
    assert origin_of(own, own.device("a"))[1] == 2.0
    assert origin_of(own, own.device("b"))[1] == pytest.approx(6.0)


def test_models_are_tried_out_as_the_first_device_that_is_measured_here():
    assert local_runtime(scenario({"name": "a", "threads": 3})) == Runtime(3, "CPUExecutionProvider")
    elsewhere = {"name": "a", "profile": "p.json", "threads": 7}
    assert local_runtime(scenario(elsewhere, {"name": "b", "threads": 2})).threads == 2
    assert local_runtime(scenario(elsewhere)) == Runtime()


def test_a_device_is_measured_in_its_threads_and_all_precisions_that_are_asked_for():
    own = scenario({"name": "a", "threads": 3}, profiling={"rounds": 9}, precisions=["fp32", "int8", "int16"])
    setup = setup_of(own, own.device("a"))
    assert (setup.runtime.threads, setup.rounds) == (3, 9)
    assert set(setup.precisions) == {Precision.FP32, Precision.INT8, Precision.INT16}
