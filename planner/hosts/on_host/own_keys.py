"""The keys of a host or client, tried before the engine takes them: it tries in silence."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

CREDENTIAL = "splitquant-key.pem"  # what systemd calls the key that it hands over
_HANDED_OVER = "CREDENTIALS_DIRECTORY"  # where it puts it (systemd.exec)
_OTHERS = 0o077  # what others may do with a file
_LOG = logging.getLogger(__name__)
_MOST_STEPS = 10  # of a handshake; a few are enough
_KEY = "key.pem"
_NO_TIME = {9, 10}  # X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED


def handed_over(path: Path) -> Path:
    """Return where a file of keys is to be read: a private key where systemd has put it, if it has."""
    credential = Path(os.environ.get(_HANDED_OVER, ""), CREDENTIAL)
    is_there = _HANDED_OVER in os.environ and path.name == _KEY and credential.is_file()
    return credential if is_there else path


def check_own_keys(authority: Path, certificate: Path, key: Path) -> None:
    """Refuse keys by which nobody could be talked to: a handshake with ourselves fails.

    Raises
    ------
    OSError
        Saying which file, and what to do.
    """
    for path in (authority, certificate, key):
        _check_readable(path)
    if os.name == "posix" and key.stat().st_mode & _OTHERS:
        _LOG.warning("%s: others on this machine may read it: chmod 600", key)
    try:
        import ssl
    except ImportError:  # a Python that was built without; the engine has its own
        return
    try:
        forth, back = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = _context(ssl.PROTOCOL_TLS_CLIENT, authority, certificate, key)
        server = _context(ssl.PROTOCOL_TLS_SERVER, authority, certificate, key)
        ends = [client.wrap_bio(back, forth), server.wrap_bio(forth, back, server_side=True)]
        for end in _MOST_STEPS * ends:
            with suppress(ssl.SSLWantReadError):
                end.do_handshake()
    except ssl.SSLCertVerificationError as exc:
        todo = "see that the clock here is right" if exc.verify_code in _NO_TIME else "copy the folder again"
        raise OSError(f"{certificate}: {exc.verify_message}; {todo}, or deploy again with --keys") from exc
    except ssl.SSLError as exc:
        reason = exc.reason or exc
        raise OSError(f"{key.parent}: holds no keys that belong together; copy it again ({reason})") from exc


def _check_readable(path: Path) -> None:
    try:
        path.read_bytes()
    except OSError as exc:
        raise OSError(f"{path}: {exc.strerror}; copy the folder again, as the user who serves it") from exc


def _context(protocol: Any, authority: Path, certificate: Path, key: Path) -> Any:
    import ssl

    context = ssl.SSLContext(protocol)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority)
    context.load_cert_chain(certificate, key)
    return context
