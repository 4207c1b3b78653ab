"""A host by itself: what it sends to its neighbours, over a connection that the test controls."""

import json
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
from planner.hosts.on_host.host import Host
from planner.hosts.on_host.host_manifest import HostedStage, HostManifest, read_host_manifest
from planner.hosts.on_host.messages import TensorHeader, header_bytes, tensor_bytes
from planner.hosts.on_host.network import ANSWER, FAILURE, PING, TENSOR, Outcome, Reply

LONG_S = 20.0
CLIENT = "client-1"
ACCEPTED, UNREACHABLE = Reply(Outcome.ACCEPTED), Reply(Outcome.UNREACHABLE)


class Connection:
    """Accepts what is sent while it is up; `sent` and `tried` hold (kind, receiver, header)."""

    message_bytes = 50

    def __init__(self, name: str) -> None:
        self.name, self.deployment = name, "d"
        self.is_up = threading.Event()
        self.is_up.set()
        self.sent: list[tuple[str, str, dict[str, object]]] = []
        self.tried: list[tuple[str, str, dict[str, object]]] = []
        self.watched: dict[str, Callable[[str, bool], None]] = {}

    def send(self, receiver: str, kind: str, header: bytes, payload: bytes, timeout_s: float) -> Reply:
        if kind == PING:
            return UNREACHABLE
        message = kind, receiver, json.loads(header)
        self.tried.append(message)
        if not self.is_up.is_set():
            return UNREACHABLE
        self.sent.append(message)
        return ACCEPTED

    def serve(self, take: object, senders: object) -> None: ...

    def watch(self, pattern: str, changed: Callable[[str, bool], None]) -> None:
        self.watched[pattern] = changed
        changed(pattern, True)

    def lose(self, neighbour: str) -> None:
        """Let the host know that a neighbour has gone."""
        self.watched[neighbour](neighbour, False)

    def close(self) -> None: ...

    def names(self, kind: str) -> list[object]:
        """Return the names of the tensors that arrived in messages of a kind."""
        return [header["tensor"] for sent, _, header in self.sent if sent == kind]


class Message:
    """A message that comes in; `outcome` says how it was answered."""

    def __init__(self, sender: str, kind: str, header: bytes, payload: bytes) -> None:
        self.sender, self.kind, self.header, self.payload = sender, kind, header, payload
        self.outcome: str | None = None

    def accept(self, data: bytes = b"") -> None:
        self.outcome = "accepted"

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

    def __init__(self, folder: Path, device: str) -> None:
        self.manifest = read_host_manifest(folder / device)
        self.connection = Connection(device)
        plan = self.manifest.plans[0]
        stages = {(0, stage.number): Zeros(stage) for stage in plan.stages}
        self.host = Host(self.manifest, self.connection, stages)
        self.host.start()

    def send(self, tensor: str, sender: str, request: str = "r") -> Message:
        """Give the host a tensor of zeros."""
        spec = self.manifest.plans[0].tensors[tensor].spec
        header = TensorHeader(request, CLIENT, 0, tensor, spec.dtype, spec.shape, LONG_S)
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
    assert alone.connection.names(ANSWER) == ["z"]
    assert alone.connection.names(TENSOR) == ["b"]
    assert {receiver for _, receiver, _ in alone.connection.sent} == {"gateway"}


@on("alone", ["server"], indirect=True)
def test_a_failure_told_late_stops_tensors_but_no_answer(alone):
    connection = alone.connection
    connection.is_up.clear()
    alone.send("x", "gateway")
    alone.send("a_q", "gateway")
    wait_until(lambda: {kind for kind, _, _ in connection.tried} == {TENSOR, ANSWER})
    told = json.dumps({"request": "r", "client": CLIENT, "device": "camera", "reason": "late"}).encode()
    message = Message("gateway", FAILURE, told[:-1] + b',"is_lasting":false}', b"")
    alone.host.take(message)
    assert message.outcome == "accepted"
    connection.is_up.set()
    wait_until(lambda: connection.names(ANSWER) == ["z"])
    assert connection.names(TENSOR) == []


@on("alone", ["server"], indirect=True)
def test_who_sends_a_tensor_of_a_failed_request_is_told(alone):
    alone.send("x", "gateway")
    alone.connection.lose("gateway")
    assert alone.host.status()["open"] == 0
    assert alone.send("a_q", "gateway").outcome == "accepted"
    wait_until(lambda: len(alone.connection.sent) == 1)
    kind, receiver, header = alone.connection.sent[0]
    assert (kind, receiver, header["request"]) == (FAILURE, "gateway", "r")
    assert "failed before" in str(header["reason"])


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


def test_the_manifests_read_are_those_of_the_devices(deployed):
    manifests: list[HostManifest] = [read_host_manifest(deployed / name) for name in ("camera", "server")]
    assert [one.device for one in manifests] == ["camera", "server"]
    assert [one.is_source for one in manifests] == [True, False]
