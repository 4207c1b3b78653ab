"""What the engine between hosts adds to plain sockets: a tensor of 401 KB there and its acceptance back.

Interleaved on loopback, TLS off and on; plain sockets with TLS are Python's own `ssl`.

  python benchmarks/hosts_hop.py [--rounds 200]
"""

import argparse
import json
import secrets
import socket
import ssl
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from planner.hosts.certificates import CertificateAuthority
from planner.hosts.endpoints import Endpoint
from planner.hosts.on_host.host_manifest import NETWORK
from planner.hosts.on_host.network import PING, Network, Outcome
from planner.hosts.zenoh_config import CA, CERTIFICATE, KEY, KEYS, access_control, host_config

_BYTES = 401_408  # of the largest tensor that MobileNetV2 hands on: 1 x 32 x 112 x 112 in uint8
_NAMES = ("camera", "gateway")
_DEPLOYMENT = "hop"
_MILLI = 1e3
_BARS_MS = {"off": 0.5, "on": 1.0}
Send = Callable[[bytes], None]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def plain(folder: Path, *, tls: bool) -> Send:
    """Return a call that sends bytes over a socket and waits for one byte."""
    server = socket.create_server(("127.0.0.1", 0))
    ours: socket.socket = socket.create_connection(server.getsockname())
    theirs, _ = server.accept()
    for end in (ours, theirs):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if tls:
        ours, theirs = _wrapped(folder, ours, theirs)

    def take() -> None:
        buffer = memoryview(bytearray(_BYTES))
        while True:
            left = _BYTES
            while left:
                count = theirs.recv_into(buffer[_BYTES - left :])
                if not count:
                    return
                left -= count
            bytes(buffer)  # the receiver keeps what it got, as a host does
            theirs.sendall(b"k")

    threading.Thread(target=take, daemon=True).start()

    def send(payload: bytes) -> None:
        ours.sendall(payload)
        ours.recv(1)

    return send


def _wrapped(folder: Path, ours: socket.socket, theirs: socket.socket) -> tuple[ssl.SSLSocket, ssl.SSLSocket]:
    ends: list[ssl.SSLSocket] = []

    def server_side() -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        _load(context, folder / _NAMES[1] / KEYS)
        context.verify_mode = ssl.CERT_REQUIRED
        ends.append(context.wrap_socket(theirs, server_side=True))

    thread = threading.Thread(target=server_side)
    thread.start()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _load(context, folder / _NAMES[0] / KEYS)
    client = context.wrap_socket(ours, server_hostname="127.0.0.1")
    thread.join()
    return client, ends[0]


def _load(context: ssl.SSLContext, keys: Path) -> None:
    context.load_verify_locations(keys / CA)
    context.load_cert_chain(keys / CERTIFICATE, keys / KEY)


def engine(folder: Path, *, tls: bool) -> tuple[Send, list[Network]]:
    """Return a call that sends bytes as a host does, and the two hosts."""
    endpoint = Endpoint("127.0.0.1", free_port())
    networks = []
    for name, other, listen, connect in (
        (_NAMES[1], _NAMES[0], endpoint, []),
        (_NAMES[0], _NAMES[1], None, [endpoint]),
    ):
        rules = access_control(name, _DEPLOYMENT, {other: other}) if tls else None
        path = folder / name / ("tls" if tls else "tcp")
        path.mkdir(parents=True, exist_ok=True)
        if tls and not (path / KEYS).exists():
            (path / KEYS).symlink_to(folder / name / KEYS)
        (path / NETWORK).write_text(json.dumps(host_config(name, listen, connect, _BYTES, rules)))
        networks.append(Network(path / NETWORK, _DEPLOYMENT, name))
    networks[0].serve(lambda message: message.accept())
    while networks[1].send(_NAMES[1], PING, b"", b"", 1.0).outcome is not Outcome.ACCEPTED:
        time.sleep(0.05)

    def send(payload: bytes) -> None:
        if networks[1].send(_NAMES[1], PING, b"", payload, 5.0).outcome is not Outcome.ACCEPTED:
            raise RuntimeError("the other host did not take it")

    return send, networks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200)
    rounds = parser.parse_args().rounds
    payload = secrets.token_bytes(_BYTES)
    table = Table(
        "TLS", "plain sockets, ms", "engine, ms", "more, ms", "bar, ms", title=f"{_BYTES} bytes, p50"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        authority = CertificateAuthority()
        for host in _NAMES:
            authority.issue(folder / host / KEYS, host, "127.0.0.1")
        for word, tls in (("off", False), ("on", True)):
            send, networks = engine(folder, tls=tls)
            calls = {"plain": plain(folder, tls=tls), "engine": send}
            seconds: dict[str, list[float]] = {key: [] for key in calls}
            for _ in range(rounds):
                for key, call in calls.items():
                    began = time.perf_counter()
                    call(payload)
                    seconds[key].append(time.perf_counter() - began)
            p50 = {key: statistics.median(values) * _MILLI for key, values in seconds.items()}
            more = p50["engine"] - p50["plain"]
            table.add_row(
                word, f"{p50['plain']:.3f}", f"{p50['engine']:.3f}", f"{more:.3f}", f"{_BARS_MS[word]}"
            )
            for network in networks:
                network.close()
    Console().print(table)


if __name__ == "__main__":
    main()
