"""A host by itself: what it sends to its neighbours, over a connection that the test controls."""

import dataclasses
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("zenoh", reason="needs the extra: pip install 'splitquant[hosts]'")

from hosted_plans import hosted_plan

from planner.hosts.deploy import deploy
from planner.hosts.endpoints import Endpoint
from planner.hosts.on_host.event_log import EventKind, HostEvent, RequestEvents, told_bytes, told_events
from planner.hosts.on_host.host import Host
from planner.hosts.on_host.host_manifest import HostedStage, HostManifest, read_host_manifest
from planner.hosts.on_host.messages import (
    REPEATED,
    Failure,
    TensorHeader,
    failure,
    failure_bytes,
    header_bytes,
    tensor_bytes,
    tensor_header,
)
from planner.hosts.on_host.network import ANSWER, FAILURE, PING, TENSOR, Outcome, Reply

LONG_S = 20.0
CLIENT = "client-1"
REQUEST = "ab" * 16
ACCEPTED, UNREACHABLE = Reply(Outcome.ACCEPTED), Reply(Outcome.UNREACHABLE)


class Connection:
    """Accepts what is sent while it is up; `sent` and `tried` hold (kind, receiver, header)."""

    message_bytes = 50

    def __init__(self, name: str) -> None:
        self.name, self.deployment = name, "d"
        self.told: list[tuple[str, list[RequestEvents]]] = []
        self.is_up = threading.Event()
        self.is_up.set()
        self.sent: list[tuple[str, str, TensorHeader | Failure]] = []
        self.tried: list[tuple[str, str, TensorHeader | Failure]] = []
        self.watched: dict[str, Callable[[str, bool], None]] = {}

    def send(self, receiver: str, kind: str, header: bytes, payload: bytes, timeout_s: float) -> Reply:
        if kind == PING:
            return UNREACHABLE
        message = kind, receiver, failure(header) if kind == FAILURE else tensor_header(header)
        self.tried.append(message)
        if not self.is_up.is_set():
            return UNREACHABLE
        self.sent.append(message)
        return ACCEPTED

    def serve(self, take: object, senders: object) -> None: ...

    def hear(self, senders: object, take: Callable[[str, bytes], None]) -> None:
        self.take_events = take

    def tell(self, receiver: str, content: bytes) -> None:
        self.told.append((receiver, told_events(content, 3)))

    def watch(self, pattern: str, changed: Callable[[str, bool], None]) -> None:
        self.watched[pattern] = changed
        changed(pattern, True)

    def lose(self, neighbour: str) -> None:
        """Let the host know that a neighbour has gone."""
        self.watched[neighbour](neighbour, False)

    def close(self) -> None: ...

    def numbers(self, kind: str) -> list[int]:
        """Return the numbers of the tensors that arrived in messages of a kind."""
        return [header.number for sent, _, header in self.sent if sent == kind]


class Message:
    """A message that comes in; `outcome` says how it was answered."""

    def __init__(self, sender: str, kind: str, header: bytes, payload: bytes) -> None:
        self.sender, self.kind, self.header, self.payload = sender, kind, header, payload
        self.outcome: str | None = None

    def accept(self, data: bytes = b"") -> None:
        self.outcome = "accepted again" if data == REPEATED else "accepted"

    def refuse(self, reason: str) -> None:
        self.outcome = f"refused: {reason}"

    def postpone(self, reason: str) -> None:
        self.outcome = f"postponed: {reason}"


class Zeros:
    """A stage whose outputs are zeros."""

    def __init__(self, stage: HostedStage) -> None:
        self._outputs = stage.outputs

    def run(self, feeds: object) -> dict[str, np.ndarray]:
        return {spec.name: np.zeros(spec.shape, spec.dtype) for spec in self._outputs}


class Alone:
    """A host of the made plan without its neighbours."""

    def __init__(self, folder: Path, device: str, plans: int = 1) -> None:
        manifest = read_host_manifest(folder / device)
        self.manifest = dataclasses.replace(manifest, plans=manifest.plans * plans)
        self.connection = Connection(device)
        plan = self.manifest.plans[0]
        stages = {(0, stage.number): Zeros(stage) for stage in plan.stages}
        self.host = Host(self.manifest, self.connection, stages)
        self.host.start()

    def number(self, tensor: str) -> int:
        return self.manifest.plans[0].numbers[tensor]

    def send(self, tensor: str, sender: str, request: str = REQUEST) -> Message:
        """Give the host a tensor of zeros."""
        spec = self.manifest.plans[0].tensors[tensor].spec
        header = TensorHeader(request, 0, self.number(tensor), LONG_S)
        payload = tensor_bytes(np.zeros(spec.shape, spec.dtype))
        message = Message(sender, TENSOR, header_bytes(header), payload)
        self.host.take(message)
        return message


def wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + LONG_S
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.fixture(scope="module")
def deployed(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("alone")
    here = {name: Endpoint("127.0.0.1", 7447 + n) for n, name in enumerate(("camera", "gateway", "server"))}
    deploy(hosted_plan(folder / "plan", sink="server"), folder / "deploy", here)
    return folder / "deploy"


@pytest.fixture
def alone(deployed, request):
    made = Alone(deployed, request.param)
    yield made
    made.host.close()


on = pytest.mark.parametrize


@on("alone", ["server"], indirect=True)
def test_results_go_on_to_the_neighbour(alone):
    assert alone.send("x", "gateway").outcome == "accepted"
    assert alone.send("a_q", "gateway").outcome == "accepted"
    wait_until(lambda: len(alone.connection.sent) == 2)
    assert alone.connection.numbers(ANSWER) == [alone.number("z")]
    assert alone.connection.numbers(TENSOR) == [alone.number("b")]
    assert {receiver for _, receiver, _ in alone.connection.sent} == {"gateway"}


@on("alone", ["server"], indirect=True)
def test_who_sends_something_again_is_told_that_it_has_come_before(alone):
    for tensor in ("x", "a_q", "y"):
        assert alone.send(tensor, "gateway").outcome == "accepted"
        assert alone.send(tensor, "gateway").outcome == "accepted again"
    wait_until(lambda: alone.host.status()["open"] == 0)
    assert alone.send("x", "gateway").outcome == "accepted again"


@on("alone", ["server"], indirect=True)
def test_a_failure_told_late_stops_tensors_but_no_answer(alone):
    connection = alone.connection
    connection.is_up.clear()
    alone.send("x", "gateway")
    alone.send("a_q", "gateway")
    wait_until(lambda: {kind for kind, _, _ in connection.tried} == {TENSOR, ANSWER})
    told = failure_bytes(Failure(REQUEST, "camera", "late"))
    message = Message("gateway", FAILURE, told, b"")
    alone.host.take(message)
    assert message.outcome == "accepted"
    connection.is_up.set()
    wait_until(lambda: connection.numbers(ANSWER) == [alone.number("z")])
    assert connection.numbers(TENSOR) == []


@on("alone", ["server"], indirect=True)
def test_who_sends_a_tensor_of_a_failed_request_is_told(alone):
    alone.send("x", "gateway")
    alone.connection.lose("gateway")
    assert alone.host.status()["open"] == 0
    assert alone.send("a_q", "gateway").outcome == "accepted again"
    wait_until(lambda: len(alone.connection.sent) == 1)
    kind, receiver, header = alone.connection.sent[0]
    assert (kind, receiver, header.request) == (FAILURE, "gateway", REQUEST)
    assert "failed before" in header.reason


@on("alone", ["camera"], indirect=True)
def test_an_earlier_attempt_leaves_its_room_to_the_next(alone):
    request = "a" * 24
    most = alone.manifest.most_requests
    for number in range(most + 1):
        assert alone.send("x", CLIENT, f"{request}{number:08}").outcome == "accepted"
    assert alone.host.status()["open"] == 1
    for number in range(most - 1):
        assert alone.send("x", CLIENT, f"{number:024}{0:08}").outcome == "accepted"
    assert alone.send("x", CLIENT, "b" * 32).outcome is None  # it waits


@on("alone", ["camera"], indirect=True)
def test_a_host_refuses_what_does_not_come_from_there(alone):
    message = alone.send("b", CLIENT)
    assert message.outcome is not None
    assert message.outcome.startswith("refused: camera: 'b' does not come from client-1")


def told(alone: Alone) -> dict[str, list[RequestEvents]]:
    """Return receiver -> what it has been told."""
    found: dict[str, list[RequestEvents]] = {}
    for receiver, entries in alone.connection.told:
        found.setdefault(receiver, []).extend(entries)
    return found


@on("alone", ["server"], indirect=True)
def test_what_happened_is_told_towards_the_source_once_the_request_is_done_with(alone):
    alone.send("x", "gateway")
    time.sleep(0.8)
    assert alone.connection.told == []  # the host still waits for other tensors
    alone.send("a_q", "gateway")
    alone.send("y", "gateway")
    wait_until(lambda: told(alone))
    (entry,) = told(alone)["gateway"]
    assert (entry.request, entry.device) == (REQUEST, 2)
    gateway, nobody = 1, 2**16 - 1
    assert {(one.kind, one.number, one.other) for one in entry.events} == {
        (EventKind.RECEIVED, alone.number("x"), gateway),
        (EventKind.RECEIVED, alone.number("a_q"), gateway),
        (EventKind.STARTED, 1, nobody),
        (EventKind.FINISHED, 1, nobody),
        (EventKind.SENT, alone.number("b"), gateway),
        (EventKind.SENT, alone.number("z"), gateway),
        (EventKind.RECEIVED, alone.number("y"), gateway),
        (EventKind.SENT, alone.number("y"), gateway),
    }


@on("alone", ["server"], indirect=True)
def test_many_requests_are_told_of_together(alone):
    requests = [f"{number:032x}" for number in range(40)]
    for request in requests:
        for tensor in ("x", "a_q", "y"):
            assert alone.send(tensor, "gateway", request).outcome == "accepted"
    wait_until(lambda: {entry.request for entry in told(alone).get("gateway", ())} >= set(requests))
    messages = [told_bytes(entries) for _, entries in alone.connection.told]
    assert len(messages) <= len(requests) / 4
    assert sum(map(len, messages)) <= 150 * len(requests)


@on("alone", ["server"], indirect=True)
def test_of_a_request_that_failed_nothing_is_told(alone):
    alone.send("x", "gateway")
    alone.connection.lose("gateway")
    for tensor in ("x", "a_q", "y"):
        alone.send(tensor, "gateway", "cd" * 16)
    wait_until(lambda: told(alone))
    assert {entry.request for entry in told(alone)["gateway"]} == {"cd" * 16}


OTHER = RequestEvents(REQUEST, 2, (HostEvent(EventKind.STARTED, 1, 2**16 - 1, 5),))


@on("alone", ["camera"], indirect=True)
def test_who_asked_is_told_what_hosts_further_on_tell_and_nobody_else(alone):
    alone.send("x", CLIENT)
    unknown = RequestEvents("cd" * 16, 2, OTHER.events)
    alone.connection.take_events("gateway", told_bytes([unknown, OTHER]))
    alone.connection.take_events("gateway", b"nonsense")
    wait_until(lambda: told(alone))
    assert told(alone) == {CLIENT: [OTHER]}


@on("alone", ["camera"], indirect=True)
def test_a_client_that_has_gone_is_told_nothing_more(alone):
    alone.send("x", CLIENT)
    alone.send("x", "client-2", "cd" * 16)
    alone.connection.watched["client-$*"](CLIENT, False)
    later = RequestEvents("cd" * 16, 2, OTHER.events)
    alone.connection.take_events("gateway", told_bytes([OTHER, later]))
    wait_until(lambda: told(alone))
    assert told(alone) == {"client-2": [later]}


def test_an_answer_by_another_plan_is_none(deployed):
    alone = Alone(deployed, "camera", plans=2)
    for tensor in ("x", "w"):
        alone.send(tensor, CLIENT)
    payload = tensor_bytes(np.zeros((1, 4096), np.float32))
    for plan in (1, 0):
        header = TensorHeader(REQUEST, plan, alone.number("z"), LONG_S)
        alone.host.take(Message("gateway", ANSWER, header_bytes(header), payload))
    wait_until(lambda: ANSWER in {kind for kind, _, _ in alone.connection.sent})
    assert [header.plan for kind, _, header in alone.connection.sent if kind == ANSWER] == [0]
    alone.host.close()


@on("alone", ["camera"], indirect=True)
def test_a_tensor_of_a_request_that_nobody_here_asked_for_ends_it_where_it_comes_from(alone):
    assert alone.send("b", "gateway").outcome == "accepted again"
    wait_until(lambda: len(alone.connection.sent) == 1)
    kind, receiver, header = alone.connection.sent[0]
    assert (kind, receiver, header.request) == (FAILURE, "gateway", REQUEST)
    assert alone.host.status()["open"] == 0


def test_the_manifests_read_are_those_of_the_devices(deployed):
    manifests: list[HostManifest] = [read_host_manifest(deployed / name) for name in ("camera", "server")]
    assert [one.device for one in manifests] == ["camera", "server"]
    assert [one.is_source for one in manifests] == [True, False]
