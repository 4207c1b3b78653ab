"""Messages between two ends on this machine: what becomes of each, and what an end knows of the other."""

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("zenoh", reason="needs the extra: pip install 'splitquant[hosts]'")

from running_hosts import free_ports

from planner.hosts.connection_faults import connection_fault
from planner.hosts.endpoints import Endpoint
from planner.hosts.on_host.network import PING, TENSOR, Incoming, Network, Outcome, Reply
from planner.hosts.zenoh_config import KEYS, access_control, host_config

LONG_S = 20.0
MIB = 2**20


@pytest.fixture
def ends(tmp_path) -> Iterator["Ends"]:
    found = Ends(tmp_path)
    yield found
    found.close()


class Ends:
    """A server that listens, and clients that connect to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (port,) = free_ports(1)
        self.endpoint = Endpoint("127.0.0.1", port)
        self.open: list[Network] = []

    def config(self, name: str, *, listens: bool) -> Path:
        path = self.folder / f"{name}.json5"
        connect = [] if listens else [self.endpoint]
        path.write_text(json.dumps(host_config(name, self.endpoint if listens else None, connect, MIB, None)))
        return path

    def server(self, take, deployment: str = "d") -> Network:
        network = Network(self.config("server", listens=True), deployment, "server")
        self.open.append(network)
        network.serve(take)
        return network

    def client(self, name: str = "camera", deployment: str = "d") -> Network:
        network = Network(self.config(name, listens=False), deployment, name)
        self.open.append(network)
        return network

    def close(self) -> None:
        for network in self.open:
            network.close()


def delivered(network: Network, kind: str, header: bytes, payload: bytes) -> Reply:
    """Send a message again while the two ends still look for each other."""
    end = time.monotonic() + LONG_S
    while (reply := network.send("server", kind, header, payload, 2.0)).outcome is Outcome.UNREACHABLE:
        assert time.monotonic() < end
    return reply


@pytest.mark.parametrize(
    ("header", "payload"), [(b"", b""), (b"{}", b""), (b"", b"\x00\xff"), (b"h" * 500, bytes(MIB))]
)
def test_a_message_arrives_as_it_was_sent_with_who_sent_it(ends, header, payload):
    came: list[tuple] = []

    def take(message: Incoming) -> None:
        came.append((message.sender, message.kind, message.header, message.payload))
        message.accept(payload[::-1])

    ends.server(take)
    assert delivered(ends.client(), TENSOR, header, payload) == Reply(Outcome.ACCEPTED, payload[::-1])
    assert came == [("camera", "tensor", header, payload)]


@pytest.mark.parametrize(
    ("answer", "reply"),
    [
        (lambda message: message.accept(), Reply(Outcome.ACCEPTED, b"")),
        (lambda message: message.refuse("no such stage"), Reply(Outcome.REFUSED, b"no such stage")),
        (
            lambda message: message.refuse("busy: says the text"),
            Reply(Outcome.REFUSED, b"busy: says the text"),
        ),
        (lambda message: message.postpone("full"), Reply(Outcome.BUSY, b"full")),
        (lambda message: message.refuse("\udcff"), Reply(Outcome.REFUSED, b"?")),
    ],
)
def test_the_answer_says_what_became_of_a_message(ends, answer, reply):
    ends.server(answer)
    assert delivered(ends.client(), PING, b"", b"") == reply


def test_only_the_first_answer_counts(ends):
    def take(message: Incoming) -> None:
        message.postpone("later")
        message.accept(b"after all")
        message.refuse("not at all")

    ends.server(take)
    assert delivered(ends.client(), PING, b"", b"") == Reply(Outcome.BUSY, b"later")


def test_a_message_may_be_answered_later_from_another_thread(ends):
    def take(message: Incoming) -> None:
        threading.Timer(0.2, message.accept, [b"done"]).start()

    ends.server(take)
    assert delivered(ends.client(), TENSOR, b"", b"x") == Reply(Outcome.ACCEPTED, b"done")


def test_who_is_not_there_or_never_answers_is_unreachable_in_time(ends):
    kept: list[Incoming] = []
    ends.server(lambda message: kept.append(message) if message.kind == TENSOR else message.accept())
    client = ends.client()
    assert delivered(client, PING, b"", b"").outcome is Outcome.ACCEPTED
    for receiver, kind in (("nobody", PING), ("server", TENSOR)):
        began = time.monotonic()
        assert client.send(receiver, kind, b"", b"", 0.3).outcome is Outcome.UNREACHABLE
        assert time.monotonic() - began < LONG_S
    assert len(kept) == 1


def test_two_deployments_say_that_they_do_not_belong_together(ends):
    ends.server(lambda message: message.accept(), deployment="1" * 64)
    stranger = ends.client(deployment="2" * 64)
    reply = delivered(stranger, PING, b"", b"")
    assert reply.outcome is Outcome.REFUSED
    assert reply.reason == (
        "server serves deployment 111111111111, and camera belongs to 222222222222: copy all folders of one "
        "deployment and restart its hosts, or give this one other ports (--host)"
    )


def test_who_is_there_is_told_when_it_comes_and_when_it_goes(ends):
    seen: list[tuple[str, bool]] = []
    came = threading.Condition()

    def changed(name: str, there: bool) -> None:
        with came:
            seen.append((name, there))
            came.notify_all()

    server = ends.server(lambda message: message.accept())
    ends.client().watch("*", changed)
    with came:
        assert came.wait_for(lambda: ("server", True) in seen, LONG_S)
    ends.open.remove(server)
    server.close()
    with came:
        assert came.wait_for(lambda: ("server", False) in seen, LONG_S)


def test_a_configuration_that_the_engine_refuses_is_told_with_its_file(ends):
    for text in ("{", '{"mode": "nobody knows"}', '{"no_such_key": 1}'):
        path = ends.folder / "bad.json5"
        path.write_text(text)
        with pytest.raises(OSError, match=r"bad\.json5"):
            Network(path, "d", "server")
    with pytest.raises(OSError, match=r"missing\.json5"):
        Network(ends.folder / "missing.json5", "d", "server")


def test_an_address_that_is_taken_is_told(ends):
    ends.server(lambda message: message.accept())
    with pytest.raises(OSError, match="another process listens there"):
        Network(ends.config("second", listens=True), "d", "second")


def test_leaving_a_neighbour_that_neither_answers_nor_hangs_up_is_no_error(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        config = host_config("camera", None, [Endpoint("127.0.0.1", mute.getsockname()[1])], 0, None)
        # Longer than the engine takes to close, as it happens by chance where it tries again meanwhile.
        config["transport"]["unicast"] = {"open_timeout": 60_000}
        (tmp_path / "zenoh.json5").write_text(json.dumps(config))
        network = Network(tmp_path / "zenoh.json5", "d", "camera")
        neighbour, _ = mute.accept()
        with neighbour:
            network.close()


_ASKS = """
import sys, threading, time
from pathlib import Path
from planner.hosts.on_host.network import PING, Network

network = Network(Path(sys.argv[1]), "d", "server")
answered = threading.Semaphore(0)

def ask():
    while True:
        network.send("server", PING, b"", b"", 1.0)
        answered.release()

network.serve(lambda message: message.accept())
for _ in range(8):
    threading.Thread(target=ask, daemon=True).start()
for _ in range(200):
    answered.acquire()
"""
_IN_TIME = """
began = time.monotonic()
network.close()
assert time.monotonic() - began < 4, "it waited for nothing"
"""


@pytest.mark.parametrize("leaves", [_IN_TIME, ""], ids=["closes", "never closes"])
def test_a_process_ends_in_order_while_its_threads_ask(ends, leaves):
    # Before threads were waited for, each of these ended with SIGABRT or SIGSEGV, or never.
    # Where each message was answered in a thread of its own, one in three did.
    script = [sys.executable, "-c", f"{_ASKS}{leaves}", str(ends.config("server", listens=True))]
    for _ in range(8):
        done = subprocess.run(script, capture_output=True, text=True, timeout=4 * LONG_S)
        assert (done.returncode, done.stderr) == (0, "")


def test_keys_are_found_in_a_folder_of_any_name(tmp_path):
    pytest.importorskip("cryptography", reason="needs the extra: pip install 'splitquant[hosts]'")
    from planner.hosts.certificates import CertificateAuthority

    folder = tmp_path / "a b;c=1#d?e&f|%20ü"
    folder.mkdir()
    CertificateAuthority().issue(folder / KEYS, "server", "127.0.0.1")
    rules = access_control("server", "d", {"camera": "camera"})
    (port,) = free_ports(1)
    config = host_config("server", Endpoint("127.0.0.1", port), [], MIB, rules)
    (folder / "zenoh.json5").write_text(json.dumps(config))
    network = Network(folder / "zenoh.json5", "d", "server")
    try:
        assert connection_fault(Endpoint("127.0.0.1", port), folder / KEYS) is None
    finally:
        network.close()


@pytest.mark.parametrize("config", [["tcp/127.0.0.1:{port}"], ["tcp/10.255.255.1:{port}"]])
def test_an_address_on_which_a_host_cannot_listen_is_told_without_the_engines_words(config, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        endpoints = [endpoint.format(port=port) for endpoint in config]
        path = tmp_path / "network.json5"
        path.write_text(json.dumps({"listen": {"endpoints": endpoints}}))
        with pytest.raises(OSError, match=f":{port}: (another process|this machine has no such)") as raised:
            Network(path, "d", "camera")
    assert "--host camera=ADDRESS:PORT" in str(raised.value)
    assert ".rs:" not in str(raised.value)
