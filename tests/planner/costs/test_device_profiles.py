import json
from dataclasses import replace

import pytest
from made_records import SCENARIO

from planner.costs.device_costs import DeviceCosts
from planner.costs.device_profiles import read_profile_file
from planner.inputs.calibrated_model import CalibratedModel
from planner.inputs.dataset import Dataset
from planner.scenario.validation import check_scenario
from profiling.errors import ProfileError
from profiling.latency.measure_latency import Setup, measure_latency
from profiling.onnx_runtime_model import OnnxRuntimeModel
from profiling.precision import Precision
from profiling.quantization.qdq_model import INT8 as INT8_SCHEME
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
        subject = CalibratedModel.of(OnnxRuntimeModel(residual.graph), Dataset(residual.samples, None))
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


def test_a_profile_of_other_units_is_refused(read, latency):
    row = replace(latency.units[0], unit="gelu/tanh")
    with pytest.raises(ProfileError, match="the model has no unit 'gelu/tanh' in this version"):
        read(replace(latency, units=(*latency.units, row)))


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
    subject = CalibratedModel.of(OnnxRuntimeModel(residual.graph), Dataset(residual.samples, None))
    with pytest.raises(ProfileError, match=r"p\.json"):
        read_profile_file(scenario, scenario.device("camera"), subject)


def table_of(latency, separator=","):
    rows = [("note", "Seconds", "precision", "unit")]
    rows += [("own", repr(row.seconds), row.precision.value, row.unit) for row in latency.units]
    return "".join(separator.join(row) + "\n" for row in rows)


@pytest.fixture
def read_table(residual, tmp_path):
    """Read a CSV table as the profile of the second device of a scenario."""

    def call(text, name="own.csv", **changes):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        devices = [{"name": "server"}, {"name": "camera", "profile": str(path)} | changes]
        content = SCENARIO | {"devices": devices, "links": [], "sink": "camera", "wires": ["float16"]}
        scenario, faults = check_scenario(json.dumps(content))
        assert faults == ()
        subject = CalibratedModel.of(OnnxRuntimeModel(residual.graph), Dataset(residual.samples, None))
        return read_profile_file(scenario, scenario.device("camera"), subject)

    return call


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_costs_are_the_seconds_of_a_table_and_nothing_else(read_table, latency, residual, separator):
    found = read_table("\ufeff" + table_of(latency, separator))
    costs = DeviceCosts.of(found, {}, INT8_SCHEME, speedup=2.0)
    assert costs.units == {(row.unit, row.precision): row.seconds / 2 for row in latency.units}
    assert costs.fp32_s == sum(s for (_, p), s in costs.units.items() if p is FP32)
    assert costs.start_s == 0
    assert set(costs.switches.values()) == {0.0}
    assert {row.tensor for row in latency.switches} <= {tensor for tensor, *_ in costs.switches}
    assert set(costs.wires.values()) == {(0.0, 0.0)}
    assert not costs.enter_s
    assert not costs.leave_s


def test_a_wrong_table_is_told_with_its_key_and_what_a_profile_may_be(read_table, latency):
    good = table_of(latency)
    lines = good.splitlines(keepends=True)
    unit, seconds = latency.units[0].unit, repr(latency.units[0].seconds)
    wrong = "line 2: seconds must be finite and >= 0, got"
    for text, message in (
        ("", "own.csv needs one column 'unit'"),
        ("unit;precision;s\n", "needs one column 'seconds' in its first line, which has unit, precision, s"),
        (good + f"own,fast,fp32,{unit}\n", r"line \d+: seconds must be a number, got 'fast'"),
        (good + f"own,1,bf16,{unit}\n", "precision must be fp32, int8, int16, .*, got 'bf16'"),
        (good + f"own,1,fp32,{unit}x\n", f"no unit '{unit}x'; did you mean '{unit}'"),
        (good + lines[1], rf"line {len(lines) + 1}: unit '{unit}' is there twice in fp32, first in line 2"),
        (good + "own,1\n", "line"),
        (good.replace(seconds, "-1.0"), f"{wrong} -1.0 of unit '{unit}'"),
        (good.replace(seconds, "nan"), f"{wrong} nan of unit '{unit}'"),
        ("".join(line for line in lines if ",fp32," not in line), "lacks the seconds in fp32 of"),
        ("".join(line for line in lines if ",int8," not in line), "lacks the seconds in int8 of"),
    ):
        with pytest.raises(ProfileError, match=message) as caught:
            read_table(text)
        assert str(caught.value).startswith("devices.1.profile: /")
        assert str(caught.value).endswith("; see docs/how-to/own-measured-costs.md")
        assert "a profile is a file" not in str(caught.value)
    floats = "".join(line for line in lines if ",int8," not in line)
    assert {row.precision for row in read_table(floats, precisions=["fp32"]).units} == {FP32}


@pytest.mark.parametrize("text", [table_of, lambda _: '{"x": {"fp32": 1}}'])
def test_what_is_no_profile_is_told_with_its_key_and_what_one_may_be(read_table, latency, text):
    with pytest.raises(ProfileError, match=r"^devices\.1\.profile: /.*with columns unit, precision and sec"):
        read_table(text(latency), "own.json")


def test_a_table_may_have_its_precisions_in_capitals(read_table, latency):
    capitals = table_of(latency).replace(",fp32,", ",FP32,").replace(",int8,", ",Int8,")
    assert read_table(capitals).units == read_table(table_of(latency)).units
