"""What is said of something at an address that is no host, or no host that can be talked to."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator

import pytest

pytest.importorskip("cryptography", reason="needs the extra: pip install 'splitquant[hosts]'")

from running_hosts import free_ports

from planner.hosts import connection_faults
from planner.hosts.certificates import CertificateAuthority
from planner.hosts.connection_faults import connection_fault
from planner.hosts.endpoints import Endpoint
from planner.hosts.zenoh_config import CA, CERTIFICATE, KEY


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    for name in ("_HANDSHAKE_S", "_ANSWER_S"):
        monkeypatch.setattr(connection_faults, name, 0.3)


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    above = tmp_path_factory.mktemp("keys")
    authority = CertificateAuthority()
    authority.issue(above / "device", "device", "127.0.0.1")
    authority.issue(above / "client", "client", "client")
    CertificateAuthority().issue(above / "other", "client", "client")
    return above


@contextlib.contextmanager
def answering(answer: Callable[[socket.socket], object]) -> Iterator[Endpoint]:
    """Let something take one connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def take() -> None:
            connection, _ = server.accept()
            with connection, contextlib.suppress(OSError):
                connection.settimeout(5.0)
                answer(connection)

        thread = threading.Thread(target=take)
        thread.start()
        yield Endpoint("127.0.0.1", server.getsockname()[1])
        thread.join()


def mute(connection: socket.socket) -> None:
    while connection.recv(1000):
        pass


def web_server(connection: socket.socket) -> None:
    connection.recv(1000)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def hang_up(connection: socket.socket) -> None:
    connection.recv(1000)


def tls(folder):
    """Return a server with keys that refuses who has none, or others."""

    def answer(connection: socket.socket) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_verify_locations(folder / CA)
        context.load_cert_chain(folder / CERTIFICATE, folder / KEY)
        context.verify_mode = ssl.CERT_REQUIRED
        with context.wrap_socket(connection, server_side=True) as encrypted:
            encrypted.recv(1)

    return answer


def test_nobody_is_told_with_the_systems_own_reason():
    fault = connection_fault(Endpoint("127.0.0.1", *free_ports(1)), None)
    assert fault.startswith("nobody answers (Connection refused): start it there")


@pytest.mark.parametrize("answer", [mute, web_server, hang_up])
def test_what_has_no_keys_is_told_from_what_has_others(keys, answer):
    with answering(answer) as endpoint:
        assert connection_fault(endpoint, keys / "client") == (
            "it has no keys: copy what was written with --keys there"
        )
    with answering(answer) as endpoint:
        assert connection_fault(endpoint, None) is None


def test_keys_are_tried_on_both_sides(keys):
    with answering(tls(keys / "device")) as endpoint:
        assert connection_fault(endpoint, keys / "client") is None
    with answering(tls(keys / "device")) as endpoint:
        fault = connection_fault(endpoint, keys / "other")
        assert fault.startswith("its keys and these were not made together")
    with answering(tls(keys / "device")) as endpoint:
        fault = connection_fault(Endpoint("localhost", endpoint.port), keys / "client")
        assert fault == "its keys are not for the address localhost: write them for it with --host"


def test_a_folder_without_keys_is_told(keys, tmp_path):
    with answering(hang_up) as endpoint:
        assert (
            connection_fault(endpoint, tmp_path) == f"{tmp_path}: holds no keys (No such file or directory)"
        )
