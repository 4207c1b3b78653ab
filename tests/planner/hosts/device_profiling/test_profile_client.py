"""A device that serves its bundle, as a process on this machine, and who asks it for the profile."""

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("zenoh", reason="needs the extra: pip install 'splitquant[hosts]'")

from running_hosts import free_ports
from served_bundles import ServedBundle

from planner.errors import HostError, OutputError, UsageError
from planner.hosts import connection_faults
from planner.hosts.certificates import CertificateAuthority
from planner.hosts.device_profiling import profile_client
from planner.hosts.device_profiling.profile_bundle import (
    check_openness,
    client_folder,
    client_keys,
    writing_served_bundle,
)
from planner.hosts.device_profiling.profile_client import ProfileClient, ProfileHost
from planner.hosts.endpoints import Endpoint
from planner.hosts.zenoh_config import CLIENT
from profiling.latency.measure_latency import Setup, measurement_plan, variants_of
from profiling.latency.write_bundle import write_bundle
from profiling.on_device.device_main import ORDER
from profiling.on_device.measurement_order import MeasurementPlan
from profiling.records.profile import parse_profile
from profiling.runtime.open_session import Runtime

BOARD = "board"
SETUP = Setup(Runtime(), 3)
LONG = 10_000  # rounds that take longer than any of these tests
DEADLINE_S = 60.0
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")


@pytest.fixture(scope="module")
def order(residual) -> MeasurementPlan:
    return measurement_plan(residual.graph, residual.calibration, SETUP, BOARD)


@pytest.fixture(scope="module")
def make_bundle(residual, order):
    def make(folder: Path, endpoint: Endpoint, *, keys: bool) -> Path:
        variants = variants_of(residual.graph, residual.calibration, SETUP)
        with writing_served_bundle(folder, BOARD, endpoint, keys=keys) as fresh:
            write_bundle(variants, residual.samples[0], order, fresh)
        return folder

    return make


@pytest.fixture(scope="module")
def plain(make_bundle, tmp_path_factory):
    """A bundle without keys that is served, and how it is reached."""
    endpoint = Endpoint("127.0.0.1", *free_ports(1))
    bundle = make_bundle(tmp_path_factory.mktemp("plain") / BOARD, endpoint, keys=False)
    with ServedBundle(bundle) as served:
        yield served, ProfileHost(BOARD, endpoint)


@pytest.fixture(scope="module")
def encrypted(make_bundle, tmp_path_factory):
    endpoint = Endpoint("127.0.0.1", *free_ports(1))
    bundle = make_bundle(tmp_path_factory.mktemp("encrypted") / BOARD, endpoint, keys=True)
    with ServedBundle(bundle) as served:
        keys = client_keys(client_folder(bundle), BOARD, endpoint)
        yield served, ProfileHost(BOARD, endpoint, keys)


@pytest.fixture
def mortal(plain, monkeypatch):
    """The one without keys, started again for the tests behind, and missed soon."""
    monkeypatch.setattr(profile_client, "_GONE_S", 1.0)
    yield plain
    plain[0].kill()
    plain[0].start()


@pytest.fixture
def impatient(monkeypatch):
    """Who asks, where nobody will answer."""
    monkeypatch.setattr(connection_faults, "_HANDSHAKE_S", 0.5)
    monkeypatch.setattr(profile_client, "_CONNECT_S", 0.5)


def fault_of(host: ProfileHost) -> str:
    """Return why a device cannot be reached."""
    with pytest.raises(HostError) as refused:
        ProfileClient(host)
    assert str(refused.value).startswith(f"board ({host.endpoint.address}): ")
    return str(refused.value)


@pytest.mark.parametrize("which", ["plain", "encrypted"])
def test_the_profile_that_comes_back_is_what_the_device_measured(which, order, request):
    _, host = request.getfixturevalue(which)
    told = []
    with ProfileClient(host) as client:
        data = client.measure(
            replace(order, rounds=4, threads=2), DEADLINE_S, lambda *progress: told.append(progress)
        )
    profile = parse_profile(data, "p")
    assert (profile.device, profile.latency.samples, profile.latency.threads) == (BOARD, 4, 2)
    assert profile.latency.model_sha256 == order.model_sha256
    assert told[0] == ("measuring on board", 0, 1)
    assert {("measuring on board", 1, 1), ("timing", 6, 6)} <= set(told)


def test_serving_leaves_a_bundle_as_it_was_written(plain, order):
    served, host = plain
    with ProfileClient(host) as client:
        client.measure(order, DEADLINE_S)
    files = {str(path.relative_to(served.folder)) for path in served.folder.rglob("*") if path.is_file()}
    assert files == {ORDER, *json.loads((served.folder / ORDER).read_text())["files"]}


def test_a_bundle_of_something_else_is_refused_before_it_runs(plain, order):
    _, host = plain
    told = []
    for other in (
        replace(order, model_sha256="0" * 64),
        replace(order, units=order.units[:-1]),
        replace(order, scheme="other"),
        replace(order, precisions=["fp32"]),
        replace(order, format=order.format + 1),
    ):
        with (
            ProfileClient(host) as client,
            pytest.raises(HostError, match="serves the bundle of another model.*--bundle DIR.*start"),
        ):
            client.measure(other, DEADLINE_S, lambda *progress: told.append(progress))
    assert told == []


@linux_only
def test_a_device_measures_for_one_at_a_time(plain, order):
    served, host = plain

    def ask_too(*_: object) -> None:
        with ProfileClient(host) as second:
            second.measure(order, DEADLINE_S)

    with (
        ProfileClient(host) as first,
        pytest.raises(HostError, match=r"measures for somebody else \(.*\): ask again later"),
    ):
        first.measure(replace(order, rounds=LONG), DEADLINE_S, ask_too)
    assert served.runs() == 0
    with ProfileClient(host) as client:  # and it is free again
        client.measure(order, DEADLINE_S)


@linux_only
def test_a_run_that_is_interrupted_or_too_late_is_stopped_on_the_device(plain, order):
    served, host = plain

    def interrupt(*_: object) -> None:
        served.wait_for_runs(1)
        raise KeyboardInterrupt

    with ProfileClient(host) as client:
        with pytest.raises(KeyboardInterrupt):
            client.measure(replace(order, rounds=LONG), DEADLINE_S, interrupt)
        assert served.runs() == 0
        with pytest.raises(HostError, match=r"not measured within 0\.2 s and was stopped.*--deadline-s"):
            client.measure(replace(order, rounds=LONG), 0.2)
        assert served.runs() == 0


@linux_only
def test_a_device_that_is_killed_in_the_middle_is_told_and_leaves_no_run(mortal, order):
    served, host = mortal

    def kill(*_: object) -> None:
        served.wait_for_runs(1)
        served.kill()

    with (
        ProfileClient(host) as client,
        pytest.raises(HostError, match="has gone meanwhile.*start profile_server.py there, ask again"),
    ):
        client.measure(replace(order, rounds=LONG), DEADLINE_S, kill)
    served.wait_for_runs(0)


@linux_only
def test_a_device_that_hangs_in_the_middle_is_told(mortal, order):
    served, host = mortal

    def suspend(*_: object) -> None:
        served.wait_for_runs(1)
        served.suspend()

    with ProfileClient(host) as client, pytest.raises(HostError, match="has gone meanwhile"):
        client.measure(replace(order, rounds=LONG), DEADLINE_S, suspend)


@linux_only
def test_a_device_that_was_started_again_in_the_middle_is_told(mortal, order):
    served, host = mortal

    def start_again(*_: object) -> None:
        served.wait_for_runs(1)
        served.kill()
        served.start()

    with (
        ProfileClient(host) as client,
        pytest.raises(HostError, match="knows nothing of the run: profile_server.py was started again"),
    ):
        client.measure(replace(order, rounds=LONG), DEADLINE_S, start_again)
    served.wait_for_runs(0)


@linux_only
def test_a_server_that_is_told_to_stop_ends_its_run(mortal, order):
    served, host = mortal

    def stop(*_: object) -> None:
        served.wait_for_runs(1)
        assert served.stop() == 0
        assert served.runs() == 0

    with ProfileClient(host) as client, pytest.raises(HostError, match="has gone meanwhile"):
        client.measure(replace(order, rounds=LONG), DEADLINE_S, stop)


@pytest.mark.usefixtures("impatient")
def test_nobody_there_is_told():
    assert "nobody answers (Connection refused): start it there" in fault_of(
        ProfileHost(BOARD, Endpoint("127.0.0.1", *free_ports(1)))
    )


@pytest.mark.usefixtures("impatient")
def test_another_device_at_the_address_is_told(plain):
    _, host = plain
    with pytest.raises(HostError, match="what answers serves no bundle of server: start profile_server.py"):
        ProfileClient(replace(host, device="server"))


@pytest.mark.usefixtures("impatient")
def test_keys_that_do_not_fit_are_told(plain, encrypted, tmp_path):
    _, without_keys = plain
    _, with_keys = encrypted
    others_keys = tmp_path / "others"
    CertificateAuthority().issue(others_keys, CLIENT, CLIENT)
    together = "its keys and these were not made together: copy both from one run with --keys"
    assert together in fault_of(replace(with_keys, keys=others_keys))
    # What the device shows is right, but not what is shown to it.
    mixed = tmp_path / "mixed"
    shutil.copytree(others_keys, mixed)
    shutil.copy(with_keys.keys / "ca.pem", mixed)
    assert together in fault_of(replace(with_keys, keys=mixed))
    assert "only who has keys for it: name their folder with --client" in fault_of(
        replace(with_keys, keys=None)
    )
    assert "it has no keys: copy what was written with --keys" in fault_of(
        replace(without_keys, keys=with_keys.keys)
    )
    localhost = Endpoint("localhost", with_keys.endpoint.port)
    assert "not for the address localhost: write them for it with --host" in fault_of(
        replace(with_keys, endpoint=localhost)
    )


def test_keys_are_for_one_device_and_address(encrypted, tmp_path):
    served, host = encrypted
    client = client_folder(served.folder)
    for device, endpoint in (("camera", host.endpoint), (BOARD, Endpoint("10.0.0.5", host.endpoint.port))):
        with pytest.raises(UsageError, match=f"--keys --host {device}={endpoint.host}"):
            client_keys(client, device, endpoint)
    with pytest.raises(OutputError, match="client.json"):
        client_keys(tmp_path, BOARD, host.endpoint)


def test_no_key_of_who_asks_lies_in_the_bundle(encrypted):
    served, host = encrypted
    own = (host.keys / "key.pem").read_bytes()
    assert all(path.read_bytes() != own for path in served.folder.rglob("*.pem"))
    assert (host.keys / "key.pem").stat().st_mode & 0o077 == 0
    assert (served.folder / "keys" / "key.pem").stat().st_mode & 0o077 == 0


def test_beyond_this_machine_keys_are_needed_or_a_word():
    far = Endpoint("10.0.0.5", 7447)
    with pytest.raises(UsageError, match="--host board=10.0.0.5:7447: .*--keys.*--insecure"):
        check_openness(BOARD, far, keys=False, insecure=False)
    check_openness(BOARD, far, keys=True, insecure=False)
    check_openness(BOARD, far, keys=False, insecure=True)
    check_openness(BOARD, Endpoint("::1", 7447), keys=False, insecure=False)
