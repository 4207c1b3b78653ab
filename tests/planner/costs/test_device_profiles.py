import json
from dataclasses import replace

import pytest
from made_records import SCENARIO

from planner.costs.device_profiles import read_profile_file
from planner.inputs.calibrated_model import CalibratedModel
from planner.inputs.dataset import Dataset
from planner.scenario.validation import check_scenario
from profiling.errors import ProfileError
from profiling.latency.measure_latency import Setup, measure_latency
from profiling.precision import Precision
from profiling.records.json_files import save_json
from profiling.records.profile import FORMAT, Profile
from profiling.runtime.open_session import Runtime

INT8, FP32 = Precision.INT8, Precision.FP32


@pytest.fixture(scope="module")
def latency(residual):
    return measure_latency(residual.graph, residual.calibration, residual.samples[0], Setup(Runtime(), 3))


@pytest.fixture
def read(residual, tmp_path):
    """Read a profile file as a device of a scenario with other keys."""

    def call(latency, **changes):
        path = tmp_path / "phone.json"
        save_json(Profile(FORMAT, "phone", latency), path)
        devices = [{"name": "camera", "profile": str(path)}]
        content = SCENARIO | {"devices": devices, "links": []} | changes
        scenario, faults = check_scenario(json.dumps(content))
        assert faults == ()
        subject = CalibratedModel.of(residual.graph, Dataset(residual.samples, None))
        return read_profile_file(scenario, scenario.device("camera"), subject)

    return call


def test_a_profile_of_the_model_is_read_as_it_was_measured(read, latency):
    assert read(latency) == latency
    assert read(latency, wires=["float16", "uint8"]) == latency


def without(rows, **keys):
    """Return the rows without those that have some values."""
    return tuple(row for row in rows if any(getattr(row, key) != value for key, value in keys.items()))


def test_a_profile_of_another_model_is_refused_with_the_command_that_makes_one(read, latency):
    with pytest.raises(
        ProfileError, match=r"of another model; .*plan profile SCENARIO --device camera --out phone"
    ):
        read(replace(latency, model_sha256="0" * 64))


def test_seconds_that_are_not_there_are_told(read, latency, residual):
    unit, tensor = residual.graph.units[1].name, latency.switches[0].tensor
    for changed, message in (
        (replace(latency, units=without(latency.units, unit=unit)), f"the seconds of '{unit}' in fp32"),
        (
            replace(latency, switches=without(latency.switches, tensor=tensor)),
            f"the seconds of '{tensor}' in",
        ),
        (replace(latency, units=()), "lacks the seconds of"),
    ):
        with pytest.raises(ProfileError, match=message):
            read(changed)


def test_a_precision_that_was_not_measured_is_told_only_where_the_device_may_use_it(read, latency):
    floats = replace(latency, units=tuple(row for row in latency.units if row.precision is FP32))
    with pytest.raises(ProfileError, match="was made for other precisions: it lacks the int8 seconds of"):
        read(floats)
    assert read(floats, precisions=["fp32"]) == floats
    with pytest.raises(ProfileError, match="it lacks the int16 seconds of .*leave int16 out"):
        read(latency, precisions=["fp32", "int8", "int16"])


def test_wires_that_were_not_measured_are_told_only_where_the_scenario_has_them(read, latency):
    changed = replace(latency, wires=without(latency.wires, wire="float16", side="decode"))
    assert len(changed.wires) == len(latency.wires) - 1
    assert read(changed, wires=["uint8"]) == changed
    with pytest.raises(ProfileError, match="lacks the seconds to decode float16 tensors; measure again"):
        read(changed, wires=["float16"])


def test_a_unit_that_is_there_twice_is_refused(read, latency):
    row = replace(latency.units[0], seconds=1.0)
    with pytest.raises(ProfileError, match="holds a unit or a tensor twice"):
        read(replace(latency, units=(*latency.units, row)))


@pytest.mark.parametrize(
    ("part", "key"),
    [
        ("units", "seconds"),
        ("switches", "seconds"),
        ("seams", "leave_s"),
        ("seams", "enter_s"),
        ("wires", "start_s"),
        ("wires", "element_s"),
    ],
)
def test_no_cost_may_be_below_zero(read, latency, part, key):
    rows = getattr(latency, part)
    changed = replace(latency, **{part: (*rows[:-1], replace(rows[-1], **{key: -1e-9}))})
    with pytest.raises(ProfileError, match="seconds must be finite and >= 0, got -1e-09"):
        read(changed)


def test_a_start_below_zero_is_refused(read, latency):
    with pytest.raises(ProfileError, match="seconds must be finite and >= 0, got -1"):
        read(replace(latency, start_s=-1.0))


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": 1, "device": "a", "latency": {}}'])
def test_a_file_that_is_no_profile_of_this_format_is_refused(residual, tmp_path, text):
    path = tmp_path / "p.json"
    path.write_text(text)
    content = SCENARIO | {"devices": [{"name": "camera", "profile": str(path)}], "links": []}
    scenario, _ = check_scenario(json.dumps(content))
    subject = CalibratedModel.of(residual.graph, Dataset(residual.samples, None))
    with pytest.raises(ProfileError, match=r"p\.json"):
        read_profile_file(scenario, scenario.device("camera"), subject)
