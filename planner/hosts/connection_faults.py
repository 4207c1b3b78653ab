"""Why a host cannot be reached: tried with a connection of our own, since the engine tries in silence."""

import socket
import ssl
from pathlib import Path

from planner.hosts.endpoints import Endpoint
from planner.hosts.zenoh_config import CA, CERTIFICATE, KEY

_CONNECT_S, _HANDSHAKE_S, _ANSWER_S = 5.0, 5.0, 1.0
_TLS_ALERT = b"\x15"  # the first byte of what a TLS server answers to something else
_NO_TLS = bytes(8)
_ALERT = "ALERT"  # in what OpenSSL says if the other side refused
NEEDS_KEYS = "it answers only who has keys for it"
_NO_KEYS = "it has no keys: copy what was written with --keys there"
_OTHER_KEYS = "its keys and these were not made together: copy both from one run with --keys"
_OTHER_NAME = {62, 64}  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH


def connection_fault(endpoint: Endpoint, keys: Path | None) -> str | None:
    """Return why a host cannot be reached, and what to do; None if everything is right up to its keys.

    Parameters
    ----------
    keys
        Folder of the keys that are shown there, None for a connection without encryption.
    """
    try:
        connection = socket.create_connection((endpoint.host, endpoint.port), _CONNECT_S)
    except OSError as exc:
        return f"nobody answers ({exc.strerror or exc}): start it there, and see that no firewall is between"
    with connection:
        return _plain_fault(connection) if keys is None else _tls_fault(connection, endpoint, keys)


def _plain_fault(connection: socket.socket) -> str | None:
    connection.settimeout(_ANSWER_S)
    try:
        connection.sendall(_NO_TLS)
        answer = connection.recv(1)
    except OSError:
        return None
    return NEEDS_KEYS if answer == _TLS_ALERT else None


def _tls_fault(connection: socket.socket, endpoint: Endpoint, keys: Path) -> str | None:
    try:
        context = ssl.create_default_context(cafile=str(keys / CA))
        context.load_cert_chain(keys / CERTIFICATE, keys / KEY)
    except OSError as exc:
        return f"{keys}: holds no keys ({exc.strerror or exc})"
    connection.settimeout(_HANDSHAKE_S)
    is_encrypted = False
    try:
        with context.wrap_socket(connection, server_hostname=endpoint.host) as encrypted:
            is_encrypted = True
            encrypted.settimeout(_ANSWER_S)
            encrypted.recv(1)  # only now it is known whether the other side accepts our certificate
    except ssl.SSLCertVerificationError as exc:
        if exc.verify_code in _OTHER_NAME:
            return f"its keys are not for the address {endpoint.host}: write them for it with --host"
        return f"{_OTHER_KEYS} ({exc.verify_message})"
    except TimeoutError:
        return None if is_encrypted else _NO_KEYS
    except OSError as exc:
        return _OTHER_KEYS if is_encrypted or _ALERT in str(exc) else _NO_KEYS
    return None
