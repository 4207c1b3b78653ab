"""Hosts as processes: answers are the local chain's bit for bit, and whatever fails, each request ends."""

import contextlib
import dataclasses
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("zenoh", reason="needs the extra: pip install 'splitquant[hosts]'")

from hosted_plans import DEVICES, hosted_answers, hosted_plan, hosted_samples
from running_hosts import RunningHosts
from tcp_relay import TcpRelay

from planner.errors import HostError
from planner.hosts.on_host.host_manifest import NETWORK
from planner.hosts.on_host.messages import TensorHeader, header_bytes, tensor_bytes
from planner.hosts.on_host.network import Network, Outcome
from planner.hosts.on_host.status import resident_mib
from planner.hosts.requests.measure_requests import Ended, clock_offsets, requests_record, told_of
from planner.hosts.requests.pending_requests import Answer
from planner.hosts.requests.request_client import RequestClient
from planner.hosts.requests.request_times import SpanKind, request_times
from planner.verification.stage_chain import same_bits

_LONG_S = 60.0  # far more than a request takes on a busy machine
_SLOW_S = 0.5  # planned, of a stage
_NAMED_S = 10.0  # each host on the way gives up a tenth earlier, which a busy machine does not eat up
SAMPLES = hosted_samples(8)


@pytest.fixture(scope="module")
def plan(tmp_path_factory) -> Path:
    return hosted_plan(tmp_path_factory.mktemp("hosts") / "plan")


@pytest.fixture(scope="module")
def expected(plan):
    return hosted_answers(plan, SAMPLES)


@pytest.fixture(scope="module", params=["open", "keys"])
def shared(request, plan, tmp_path_factory) -> Iterator[RunningHosts]:
    """Hosts that no test ends."""
    folder = tmp_path_factory.mktemp("shared") / "deploy"
    with RunningHosts(plan, folder, DEVICES, keys=request.param == "keys") as running:
        running.start()
        yield running


@pytest.fixture
def own(plan, tmp_path) -> Iterator[RunningHosts]:
    """Hosts of one test, none started."""
    with RunningHosts(plan, tmp_path / "deploy", DEVICES) as running:
        yield running


def check_answers(client: RequestClient, expected, count: int = len(SAMPLES)) -> list[Answer]:
    futures = [client.submit(SAMPLES[number % len(SAMPLES)]) for number in range(count)]
    answers = [future.result(_LONG_S) for future in futures]
    for number, answer in enumerate(answers):
        assert same_bits(expected[number % len(SAMPLES)], answer.outputs)
    return answers


def reason(client: RequestClient, feeds=SAMPLES[0]) -> str:
    with pytest.raises(HostError) as failed:
        client.submit(feeds).result(_LONG_S)
    return str(failed.value)


def test_answers_are_those_of_the_chain_in_one_process(shared, expected):
    with RequestClient(shared.folder, _LONG_S) as client:
        answers = check_answers(client, expected, 40)
        manifest = client.manifests[0]
        told = told_of(client, answers, _LONG_S)
        assert all(one.is_complete for one in told)
        times = [request_times(one.events, manifest, clock_offsets(client)) for one in told]
    for one in times:
        stages = [span.subject for span in one.spans if span.kind is SpanKind.STAGE]
        assert sorted(stages) == ["0", "1", "2"]


def test_requests_of_which_hosts_told_nothing_are_counted_and_have_no_times(shared, expected):
    with RequestClient(shared.folder, _LONG_S) as client:
        answers = check_answers(client, expected)
        assert all(one.is_complete for one in told_of(client, answers, _LONG_S))
        answers.append(dataclasses.replace(answers[0], request="0" * 32))
        ended = [Ended(answer) for answer in answers]
        record, times = requests_record(client, ended, 1.0, clock_offsets(client))
    assert (record.answered, record.incomplete_events) == (len(answers), 1)
    assert len(times) == len(answers) - 1
    assert {part.part for part in record.parts} == {"compute", "x", "a", "b"}
    # Two links of 8 Mbit/s each.
    own = [part.message_s for part in record.parts if part.part != "compute"]
    assert own == pytest.approx([2 * record.message_bytes / 1e6] * len(own))


def test_a_sink_elsewhere_answers_as_well(tmp_path):
    folder = hosted_plan(tmp_path / "plan", sink="server")
    with RunningHosts(folder, tmp_path / "deploy", DEVICES) as running:
        running.start()
        with RequestClient(running.folder, _LONG_S) as client:
            check_answers(client, hosted_answers(folder, SAMPLES))
        assert running.stop("server") == 0


@pytest.mark.parametrize(("value", "why"), [(-np.inf, "'z' holds NaN"), (2e6, "stage 1 "), (3e7, "stage 1 ")])
def test_a_stage_that_gives_nothing_ends_its_request_at_once_and_no_other(shared, expected, value, why):
    feeds = {name: array.copy() for name, array in SAMPLES[0].items()}
    feeds["x"][0, 7] = value
    with RequestClient(shared.folder, _LONG_S) as client:
        failing = client.submit(feeds)
        check_answers(client, expected)
        with pytest.raises(HostError) as failed:
            failing.result(_LONG_S / 2)
        assert "server" in str(failed.value)
        assert why in str(failed.value)


def test_a_device_that_is_not_there_is_named_and_missed_no_longer_once_it_is(own, expected):
    own.start("camera", "gateway")
    with RequestClient(own.folder, _NAMED_S) as client:
        assert "server" in reason(client)
    own.start("server")
    with RequestClient(own.folder, _LONG_S) as client:
        check_answers(client, expected)


@pytest.mark.parametrize("device", DEVICES)
def test_a_host_that_is_killed_and_started_again_costs_no_request(plan, tmp_path, expected, device):
    with RunningHosts(plan, tmp_path / "deploy", DEVICES) as running:
        running.start()
        with RequestClient(running.folder, _LONG_S) as client:
            check_answers(client, expected)
            futures = [client.submit(SAMPLES[n % len(SAMPLES)]) for n in range(10)]
            running.kill(device)
            running.start(device)
            futures += [client.submit(SAMPLES[n % len(SAMPLES)]) for n in range(10, 30)]
            for number, future in enumerate(futures):
                assert same_bits(expected[number % len(SAMPLES)], future.result(_LONG_S).outputs)


def test_a_request_that_a_lost_host_had_is_answered_by_a_second_attempt(tmp_path):
    folder = hosted_plan(tmp_path / "plan", server_s=_SLOW_S)
    with RunningHosts(folder, tmp_path / "deploy", DEVICES) as running:
        running.start("camera", "gateway")
        running.start("server", options=("--paced",))
        with RequestClient(running.folder, _LONG_S) as client:
            future = client.submit(SAMPLES[0])
            wait_until(lambda: client.status("server").open == 1)
            running.kill("server")
            running.start("server")
            answer = future.result(_LONG_S)
    assert answer.attempts > 1
    assert same_bits(hosted_answers(folder, SAMPLES)[0], answer.outputs)


def test_a_stage_that_is_slower_than_the_deadline_is_reported_in_time(tmp_path):
    folder = hosted_plan(tmp_path / "plan", server_s=_SLOW_S)
    with RunningHosts(folder, tmp_path / "deploy", DEVICES) as running:
        running.start("camera", "gateway")
        running.start("server", options=("--paced",))
        with RequestClient(running.folder, 0.15) as client:
            began = time.monotonic()
            reason(client)
            assert time.monotonic() - began < _LONG_S / 4
            # Nothing is kept of it, and the host goes on.
            wait_until(lambda: client.status("camera").open == client.status("server").open == 0)


def test_a_client_that_leaves_takes_its_requests_and_its_memory_with_it(tmp_path):
    folder = hosted_plan(tmp_path / "plan", server_s=_SLOW_S)
    with RunningHosts(folder, tmp_path / "deploy", DEVICES) as running:
        running.start("camera", "gateway")
        running.start("server", options=("--paced",))
        with RequestClient(running.folder, _LONG_S) as asks:
            left = [asks.submit(SAMPLES[0]) for _ in range(5)]
            wait_until(lambda: asks.status("camera").open == 5)
        for future in left:
            with pytest.raises(HostError, match="closed"):
                future.result(1)
        with RequestClient(running.folder, _LONG_S) as client:
            wait_until(lambda: client.status("camera").open == 0)
            wait_until(lambda: client.status("server").open == 0)


@pytest.fixture
def linked(own) -> Iterator[tuple[RunningHosts, TcpRelay]]:
    """Running hosts with a relay between gateway and server."""
    with TcpRelay(own.ports["server"]) as relay:
        own.route("gateway", "server", relay.port)
        own.start()
        yield own, relay


def test_requests_weigh_little_beside_their_tensors(linked, expected):
    running, relay = linked
    count = 40
    with RequestClient(running.folder, _LONG_S) as client:
        check_answers(client, expected)
        before = relay.forth_bytes, relay.back_bytes
        assert all(
            told.is_complete for told in told_of(client, check_answers(client, expected, count), _LONG_S)
        )
        forth, back = relay.forth_bytes - before[0], relay.back_bytes - before[1]
        assert client.message_bytes < 60
    x_bytes = SAMPLES[0]["x"].nbytes
    # Two tensors each way, as many acceptances, what the server tells, and clocks as long as it takes.
    assert forth / count - (x_bytes + x_bytes // 4) < 2 * 120 + 200
    assert back / count - 2 * x_bytes < 2 * 120 + 350


def test_a_link_that_is_cut_and_comes_back_costs_no_request(linked, expected):
    running, relay = linked
    with RequestClient(running.folder, _LONG_S) as client:
        check_answers(client, expected)
        futures = [client.submit(SAMPLES[n % len(SAMPLES)]) for n in range(10)]
        relay.cut()
        futures += [client.submit(SAMPLES[n % len(SAMPLES)]) for n in range(10, 14)]
        time.sleep(0.5)
        relay.mend()
        for number, future in enumerate(futures):
            assert same_bits(expected[number % len(SAMPLES)], future.result(_LONG_S).outputs)


def test_a_link_that_lets_nothing_through_is_noticed_and_used_again(linked, expected):
    running, relay = linked
    with RequestClient(running.folder, 2.0) as client:
        relay.stall()
        began = time.monotonic()
        reason(client)
        assert time.monotonic() - began < _LONG_S / 4
    relay.mend()
    with RequestClient(running.folder, _LONG_S) as client:
        check_answers(client, expected)


def test_a_slow_and_late_link_gives_the_same_answers_and_is_seen(linked, expected):
    running, relay = linked
    with RequestClient(running.folder, _LONG_S) as client:
        for relay.bytes_per_s, relay.delay_s in ((400_000, 0.0), (200_000, 0.0), (1e6, 0.05)):
            check_answers(client, expected)
        seen = client.status("gateway").links["server"].bytes_per_s
    assert seen is not None
    assert seen < 400_000


def test_clocks_an_hour_apart_are_told_from_seconds_on_links(own, expected, tmp_path):
    shift = "import time\nreal = time.time_ns\ntime.time_ns = lambda: real() + 3_600_000_000_000\n"
    (tmp_path / "sitecustomize.py").write_text(shift)
    own.start("camera", "gateway")
    own.start("server", env={"PYTHONPATH": str(tmp_path)})
    with RequestClient(own.folder, _LONG_S) as client:
        answers = check_answers(client, expected)
        wait_until(lambda: set(clock_offsets(client)) == set(DEVICES))
        offsets = clock_offsets(client)
        told = told_of(client, answers, _LONG_S)
        times = [request_times(one.events, client.manifests[0], offsets) for one in told]
    assert offsets["server"] == pytest.approx(3600, abs=1)
    assert all(abs(span.seconds) < 10 for one in times for span in one.spans)


def test_two_versions_of_a_plan_refuse_each_other_by_name_before_anything_is_computed(own, tmp_path):
    other = hosted_plan(tmp_path / "other", factor=3.0)
    with RunningHosts(other, tmp_path / "deploy2", DEVICES) as newer:
        newer.route("gateway", "server", own.ports["server"])
        own.start("server")
        newer.start("camera", "gateway")
        with RequestClient(newer.folder, _LONG_S) as client:
            began = time.monotonic()
            why = reason(client)
            assert time.monotonic() - began < _LONG_S / 2
    assert own.deployment.deployment[:12] in why
    assert newer.deployment.deployment[:12] in why
    assert "server" in why


def test_a_client_of_another_version_is_told_so(own, tmp_path):
    other = hosted_plan(tmp_path / "other", factor=3.0)
    own.start("camera")
    newer = RunningHosts(other, tmp_path / "deploy2", DEVICES)
    path = newer.folder / "client" / NETWORK
    path.write_text(path.read_text().replace(str(newer.ports["camera"]), str(own.ports["camera"])))
    with RequestClient(newer.folder, _LONG_S) as client:
        assert own.deployment.deployment[:12] in reason(client)


def test_wrong_keys_and_none_reach_nothing(plan, tmp_path):
    folders = [tmp_path / name for name in ("deploy", "wrong", "none")]
    with RunningHosts(plan, folders[0], DEVICES, keys=True) as running:
        running.start()
        given = running.ports["camera"]
        for folder in folders[1:]:
            stranger = RunningHosts(plan, folder, DEVICES, keys=folder.name == "wrong")
            path = folder / "client" / NETWORK
            path.write_text(path.read_text().replace(str(stranger.ports["camera"]), str(given)))
            with RequestClient(folder, 1.0) as client:
                assert "camera cannot be reached" in reason(client)
        with RequestClient(running.folder, _LONG_S) as client:
            assert client.status("camera").refused == 0


def stranger_config(running: RunningHosts, target: Path) -> Path:
    """Return the client's configuration without the rules that hold the client itself."""
    config = json.loads((running.folder / "client" / NETWORK).read_text())
    config.pop("access_control", None)
    path = running.folder / "client" / target.name
    path.write_text(json.dumps(config))
    return path


NUMBERS = {name: number for number, name in enumerate(("a_q", "b", "w", "x", "y", "z"))}


def header(tensor: str = "x", **changes: object) -> TensorHeader:
    return dataclasses.replace(TensorHeader("a" * 32, 0, NUMBERS[tensor], 5.0), **changes)


X = tensor_bytes(SAMPLES[0]["x"])


def test_with_keys_nobody_speaks_in_anothers_name(plan, tmp_path):
    with RunningHosts(plan, tmp_path / "deploy", DEVICES, keys=True) as running:
        running.start("camera")
        config = stranger_config(running, tmp_path / "stranger.json5")
        for name, wanted in (("client-right", Outcome.ACCEPTED), ("gateway", Outcome.UNREACHABLE)):
            network = Network(config, running.deployment.deployment, name)
            try:
                time.sleep(0.5)
                told = header_bytes(header())
                assert network.send("camera", "tensor", told, X, 2.0).outcome is wanted
            finally:
                network.close()


@pytest.mark.parametrize(
    ("changes", "payload", "why"),
    [
        ({}, X + b"\0", "bytes"),
        ({}, X[: len(X) // 2], "bytes"),
        ({}, np.full((1, 4096), np.nan, np.float32).tobytes(), "NaN"),
        ({"tensor": "a_q"}, X, "does not come from"),
        ({"tensor": "b"}, X, "does not come from"),
        ({"number": 6}, X, "no tensor 6"),
        ({"plan": 7}, X, "plan 7"),
        ({"left_s": -1.0}, X, "deadline"),
        ({"left_s": 1e9}, X, "deadline"),
    ],
)
def test_a_message_that_is_none_is_refused_with_a_reason(shared, tmp_path, changes, payload, why):
    config = stranger_config(shared, tmp_path / "stranger.json5")
    network = Network(config, shared.deployment.deployment, "client-x")
    try:
        time.sleep(0.3)
        told = header_bytes(header(**changes))
        reply = network.send("camera", "tensor", told, payload, 5.0)
    finally:
        network.close()
    assert reply.outcome is Outcome.REFUSED
    assert why in reply.reason


def test_garbage_keeps_nobody_from_answers(shared, tmp_path, expected):
    rng = np.random.default_rng(3)
    config = stranger_config(shared, tmp_path / "stranger.json5")
    network = Network(config, shared.deployment.deployment, "client-x")
    halves = []
    try:
        with RequestClient(shared.folder, _LONG_S) as client:
            for kind in ("tensor", "answer", "failure", "status", "nonsense", "ping"):
                for size in (0, 1, 1000):
                    network.send("camera", kind, rng.bytes(size), rng.bytes(size), 5.0)
                    network.tell("camera", rng.bytes(size))
            network.send("camera", "tensor", b"{" * 100_000, b"", 5.0)
            for port in shared.ports.values():
                for size in (0, 3, 70_000):
                    raw = socket.create_connection(("127.0.0.1", port), timeout=5)
                    halves.append(raw)
                    raw.settimeout(1)
                    # The engine begins a message with its length: here a whole one of noise, or half of one.
                    length = min(size, 2**16 - 1).to_bytes(2, "little")
                    with contextlib.suppress(OSError):
                        raw.sendall(length + rng.bytes(size))
            check_answers(client, expected)
    finally:
        network.close()
        for raw in halves:
            raw.close()


def test_messages_again_and_in_another_order_change_nothing(own, expected):
    own.start()
    config = stranger_config(own, Path("stranger.json5"))
    network = Network(config, own.deployment.deployment, "client-x")
    try:
        time.sleep(0.5)
        w = tensor_bytes(SAMPLES[0]["w"])
        for name, payload in (("w", w), ("w", w), ("x", X), ("x", X), ("w", w)):
            told = header_bytes(header(name))
            assert network.send("camera", "tensor", told, payload, 5.0).outcome is Outcome.ACCEPTED
        with RequestClient(own.folder, _LONG_S) as client:
            check_answers(client, expected)
            wait_until(lambda: client.status("camera").answered == 1 + len(SAMPLES))
            told = header_bytes(header())
            assert network.send("camera", "tensor", told, X, 5.0).outcome is Outcome.ACCEPTED
            check_answers(client, expected)
            assert client.status("camera").answered == 1 + 2 * len(SAMPLES)
    finally:
        network.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_a_disk_that_is_full_keeps_no_host_from_serving(own, expected, monkeypatch):
    monkeypatch.setattr(own, "log", lambda device: Path("/dev/full"))
    monkeypatch.setattr(own, "_wait", lambda device: None)
    own.start(options=("--verbose",))
    with RequestClient(own.folder, _LONG_S) as client:
        check_answers(client, expected)


def test_lost_connections_leave_no_memory_behind(own, expected):
    own.start()
    with RequestClient(own.folder, _LONG_S) as client:
        seen = []
        for _ in range(3):
            own.kill("camera")
            own.start("camera")
            check_answers(client, expected, 100)
            seen.append((client.status("gateway").memory_mib, resident_mib()))
    for after, before in zip(seen[-1], seen[0], strict=True):
        assert after - before < 15


def test_requests_survive_kills_at_any_moment(own, expected):
    own.start()
    rng = np.random.default_rng(11)
    # What a lost host leaves open elsewhere ends at the deadline.
    with RequestClient(own.folder, _LONG_S / 2) as client:
        futures = []
        for kill in range(4):
            futures += [client.submit(SAMPLES[n % len(SAMPLES)]) for n in range(60 * kill, 60 * (kill + 1))]
            device = DEVICES[rng.integers(len(DEVICES))]
            own.kill(device)
            own.start(device)
        for number, future in enumerate(futures):
            assert same_bits(expected[number % len(SAMPLES)], future.result(2 * _LONG_S).outputs)
        for device in DEVICES:
            wait_until(lambda device=device: client.status(device).open == 0)


def wait_until(holds) -> None:
    end = time.monotonic() + _LONG_S
    while not _holds(holds):
        assert time.monotonic() < end
        time.sleep(0.05)


def _holds(holds) -> bool:
    try:
        return holds()
    except HostError:  # hosts that have just been started, or found again
        return False
