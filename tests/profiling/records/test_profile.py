import dataclasses
import json
import os
import stat

import pytest

from profiling.errors import ProfileError
from profiling.latency.measure_latency import Setup, measure_latency
from profiling.on_device.latency_record import LatencyRecord, StageBoundaryRow, SwitchRow, UnitRow, WireRow
from profiling.on_device.measurement_order import FORMAT
from profiling.precision import Precision
from profiling.records.json_files import load_json, save_json, writing_aside
from profiling.records.profile import (
    LatencyProfile,
    NoiseProfile,
    Profile,
    SeamCost,
    SwitchCost,
    TensorNoise,
    UnitCost,
    UnitNoise,
    WireCost,
    load_profile,
)
from profiling.runtime.open_session import Runtime

# What files of this format have always been called; keys are added, never renamed.
KEYS = {
    LatencyProfile: {
        "model_sha256", "runtime_version", "scheme", "overflows", "processor", "threads", "provider",
        "samples", "runs_s", "spread", "noisy", "wall_s", "unattributed_s", "profiled_s", "units", "switches",
        "start_s", "seams", "wires",
    },
    UnitCost: {"unit", "precision", "seconds", "spread"},
    SwitchCost: {"tensor", "source", "to", "seconds", "measured"},
    SeamCost: {"tensor", "form", "leave_s", "enter_s", "measured"},
    WireCost: {"wire", "side", "start_s", "element_s"},
    NoiseProfile: {"model_sha256", "runtime_version", "scheme", "samples", "tensors", "units"},
    TensorNoise: {"tensor", "power", "float16"},
    UnitNoise: {"unit", "power"},
    Profile: {"format", "device", "latency", "noise"},
}  # fmt: skip


@pytest.fixture(scope="module")
def profile(residual) -> Profile:
    setup = Setup(Runtime(), 3)
    return Profile(
        FORMAT, "a", measure_latency(residual.graph, residual.calibration, residual.samples[0], setup)
    )


def names(record: type) -> list[str]:
    return [field.name for field in dataclasses.fields(record)]


@pytest.mark.parametrize("record", KEYS)
def test_scripts_find_the_keys_that_they_always_found(record):
    assert KEYS[record] <= set(names(record))


@pytest.mark.parametrize(
    ("device", "here"),
    [
        (LatencyRecord, LatencyProfile),
        (UnitRow, UnitCost),
        (SwitchRow, SwitchCost),
        (StageBoundaryRow, SeamCost),
        (WireRow, WireCost),
    ],
)
def test_a_device_writes_what_is_read_here(device, here):
    assert names(device) == names(here)


def test_a_profile_is_read_as_it_was_written(profile, tmp_path):
    save_json(profile, tmp_path / "p.json")
    assert load_profile(tmp_path / "p.json") == profile


@pytest.mark.parametrize(
    ("provider", "runtime"),
    [
        ("XNNPACK", "litert"),
        ("CPU", "tensorflow"),
        ("CPUExecutionProvider", "onnxruntime"),
        ("CUDAExecutionProvider", "onnxruntime"),
        ("", None),  # a table of costs
    ],
)
def test_a_profile_tells_its_runtime(profile, provider, runtime):
    assert dataclasses.replace(profile.latency, provider=provider).runtime == runtime


def test_what_nothing_accounts_for_but_a_start_goes_to_the_units_in_proportion(profile):
    latency = dataclasses.replace(
        profile.latency,
        units=tuple(UnitCost(name, Precision.FP32, s) for name, s in (("a", 2.0), ("b", 6.0))),
        wall_s={Precision.FP32: 11.0},
        unattributed_s={Precision.FP32: 3.0},
        start_s=1.0,
    )
    spread = latency.spread_rest()
    assert [row.seconds for row in spread.units] == [2.5, 7.5]
    assert spread.unattributed_s == {Precision.FP32: 1.0}
    assert sum(row.seconds for row in spread.units) + spread.start_s == spread.wall_s[Precision.FP32]


BROKEN = {
    "missing": (None, "No such file"),
    "text": ("hello", "is not a Profile file"),
    "another record": ("{}", "is not a Profile file"),
    "older": (json.dumps({"format": 6, "device": "a", "latency": {}}), "format 6, this version reads"),
    "a lack": (json.dumps({"format": FORMAT, "device": "a", "latency": {}}), "missing required field"),
    "too deep": ('{"format":' + "[" * 100_000, "is not a Profile file"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_is_no_profile_is_told_by_its_name(name, tmp_path):
    content, message = BROKEN[name]
    path = tmp_path / "p.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ProfileError, match=message) as caught:
        load_profile(path)
    assert "p.json" in str(caught.value)


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "p.json"
    path.write_text("before")

    def fail() -> None:
        with writing_aside(path) as aside:
            aside.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_keeps_pointing_where_it_did(tmp_path):
    (tmp_path / "far").mkdir()
    link = tmp_path / "link.json"
    link.symlink_to(tmp_path / "far" / "p.json")
    save_json({"a": 1}, link)
    assert link.is_symlink()
    assert load_json(tmp_path / "far" / "p.json", dict) == {"a": 1}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_written_as_it_is(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    save_json([1], pipe)
    assert json.loads(os.read(reader, 100)) == [1]
    os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
