"""What a message weighs on its way, counted between two connections; and who hears what is told."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("zenoh", reason="needs the extra: pip install 'splitquant[hosts]'")

from hosted_plans import DEVICES, hosted_plan
from running_hosts import RunningHosts
from tcp_relay import TcpRelay

from planner.hosts.on_host.host_manifest import NETWORK
from planner.hosts.on_host.messages import HEADER_BYTES
from planner.hosts.on_host.network import TENSOR, Incoming, Network, Outcome

LONG_S = 20.0
MESSAGES = 20
HEADER = bytes(HEADER_BYTES)


@pytest.fixture(scope="module")
def plan(tmp_path_factory) -> Path:
    return hosted_plan(tmp_path_factory.mktemp("network") / "plan")


@pytest.fixture(params=["open", "keys"])
def ends(request, plan, tmp_path) -> Iterator[tuple[Network, Network, TcpRelay]]:
    """Return the connections of gateway and server, with a relay between them."""
    deployed = RunningHosts(plan, tmp_path / "deploy", DEVICES, keys=request.param == "keys")
    with contextlib.ExitStack() as stack:
        relay = stack.enter_context(TcpRelay(deployed.ports["server"]))
        deployed.route("gateway", "server", relay.port)
        name = deployed.deployment.deployment
        server, gateway = (
            Network(deployed.folder / device / NETWORK, name, device) for device in ("server", "gateway")
        )
        stack.callback(server.close)
        stack.callback(gateway.close)
        yield gateway, server, relay


def wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + LONG_S
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def connect(gateway: Network, server: Network, take: Callable[[Incoming], None]) -> None:
    there = threading.Event()
    server.serve(take, ["gateway"])
    gateway.watch("server", lambda name, is_there: there.set() if is_there else None)
    assert there.wait(LONG_S)
    wait_until(lambda: gateway.send("server", TENSOR, HEADER, b"", LONG_S).outcome is Outcome.ACCEPTED)


@pytest.mark.parametrize("size", [0, 1000, 40_000])
def test_a_message_weighs_what_is_said_beside_its_tensor(ends, size):
    gateway, server, relay = ends
    connect(gateway, server, lambda message: message.accept())
    payload = bytes(size)
    for _ in range(MESSAGES):  # numbers that the engine counts up get longer
        gateway.send("server", TENSOR, HEADER, b"", LONG_S)
    before = relay.forth_bytes, relay.back_bytes
    for _ in range(MESSAGES):
        assert gateway.send("server", TENSOR, HEADER, payload, LONG_S).outcome is Outcome.ACCEPTED
    is_encrypted = gateway.message_bytes > 50
    forth = (relay.forth_bytes - before[0]) / MESSAGES
    back = (relay.back_bytes - before[1]) / MESSAGES
    weighs = size + HEADER_BYTES + gateway.message_bytes
    records = is_encrypted * 22 * (size // 16_384)  # beyond the first
    assert weighs - 8 <= forth <= weighs + 8 + records
    assert forth - size <= (85 if is_encrypted else 65) + records
    assert back <= (100 if is_encrypted else 55)


def test_what_is_told_comes_from_whom_it_may_come_and_is_not_waited_for(ends):
    gateway, server, relay = ends
    heard: list[tuple[str, bytes]] = []
    server.hear(["gateway"], lambda sender, content: heard.append((sender, content)))
    connect(gateway, server, lambda message: message.accept())
    server.tell("gateway", b"nobody hears this")
    wait_until(lambda: gateway.tell("server", b"told") or len(heard) > 0)
    assert set(heard) == {("gateway", b"told")}
    relay.stall()
    began = time.monotonic()
    for _ in range(1000):
        gateway.tell("server", bytes(4096))
    assert time.monotonic() - began < LONG_S
    relay.mend()
