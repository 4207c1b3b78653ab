"""A profile that a device made by itself is taken only if it is of what was asked for."""

import json

import msgspec
import pytest
from quickstart_settings import FAST
from repository import QUICKSTART

from planner.profile_device import RemoteMeasurement, parse_remote_profile, remote_measurement
from planner.scenario.loader import load_ready_scenario
from planner.scenario.schema import Scenario
from profiling.errors import ProfileError
from profiling.latency.measure_latency import measure_latency
from profiling.precision import DEFAULT_PRECISIONS
from profiling.records.profile import FORMAT, Profile

NAME = "the profile from server"


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    return load_ready_scenario(QUICKSTART, FAST[1::2])


@pytest.fixture(scope="module")
def there(scenario) -> RemoteMeasurement:
    return remote_measurement(scenario, "server")


@pytest.fixture(scope="module")
def measured(there) -> Profile:
    feeds = there.subject.calibration.samples[0]
    latency = measure_latency(there.subject.graph, there.calibration, feeds, there.setup)
    return Profile(FORMAT, "server", latency)


def test_what_was_asked_for_is_taken_as_it_is(there, measured):
    assert parse_remote_profile(msgspec.json.encode(measured), NAME, there) == measured


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda p: p.update(device="camera"), "was measured with device camera, asked for was server"),
        (lambda p: p.update(format=FORMAT - 1), f"format {FORMAT - 1}, this version reads {FORMAT}"),
        (lambda p: p.pop("latency"), "is not a Profile file"),
        (
            lambda p: p["latency"].update(model_sha256="0"),
            "is of another model; write its bundle again: plan profile SCENARIO --device server --bundle DIR",
        ),
        (lambda p: p["latency"].update(threads=4), "was measured with threads 4, asked for was 1"),
        (lambda p: p["latency"].update(scheme="other"), "was measured with scheme other, asked for was int8"),
        (lambda p: p["latency"].update(provider="Npu"), "was measured with provider Npu"),
        (lambda p: p["latency"]["units"].pop(), "lacks the int8 seconds of"),
        (lambda p: p["latency"]["units"][0].update(seconds=-1.0), "seconds must be finite and >= 0"),
    ],
)
def test_what_was_not_asked_for_is_refused(there, measured, change, why):
    fields = json.loads(msgspec.json.encode(measured))
    change(fields)
    with pytest.raises(ProfileError, match=f"^{NAME}.*{why}"):
        parse_remote_profile(msgspec.json.encode(fields), NAME, there)


@pytest.mark.parametrize("data", [b"", b"null", b"\xff", b"[" * 10_000])
def test_what_is_no_profile_is_refused(there, data):
    with pytest.raises(ProfileError, match=f"^{NAME} is not a Profile file"):
        parse_remote_profile(data, NAME, there)


def test_a_device_whose_precisions_would_be_found_out_here_is_asked_for_float_and_int8():
    unset = load_ready_scenario(QUICKSTART, [*FAST[1::2], "precisions=null"])
    there = remote_measurement(unset, "server")
    assert there.setup.precisions == DEFAULT_PRECISIONS
    feeds = there.subject.calibration.samples[0]
    latency = measure_latency(there.subject.graph, there.calibration, feeds, there.setup)
    measured = Profile(FORMAT, "server", latency)
    assert parse_remote_profile(msgspec.json.encode(measured), NAME, there) == measured
