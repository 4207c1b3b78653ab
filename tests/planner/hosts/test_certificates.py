"""Certificates of one deployment trust each other, for the name and address that they are of."""

import datetime
import ssl

import pytest

pytest.importorskip("cryptography", reason="needs the extra: pip install 'splitquant[hosts]'")

from cryptography import x509

from planner.hosts.certificates import CertificateAuthority
from planner.hosts.zenoh_config import CA, CERTIFICATE, KEY


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two hosts of one authority, and one of another."""
    above = tmp_path_factory.mktemp("keys")
    authority = CertificateAuthority()
    authority.issue(above / "camera", "camera", "127.0.0.1")
    authority.issue(above / "server", "server", "board.local")
    CertificateAuthority().issue(above / "other", "camera", "127.0.0.1")
    return above


def handshake(server, client, name: str) -> None:
    """Let a client connect to a server in memory, both with keys."""
    contexts = []
    for folder, purpose in ((server, ssl.PROTOCOL_TLS_SERVER), (client, ssl.PROTOCOL_TLS_CLIENT)):
        context = ssl.SSLContext(purpose)
        context.load_verify_locations(folder / CA)
        context.load_cert_chain(folder / CERTIFICATE, folder / KEY)
        context.verify_mode = ssl.CERT_REQUIRED
        contexts.append(context)
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        contexts[0].wrap_bio(up, down, server_side=True),
        contexts[1].wrap_bio(down, up, server_hostname=name),
    ]
    waiting = set(ends)
    for _ in range(10):
        for end in list(waiting):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.discard(end)
    assert not waiting


def test_hosts_of_one_authority_trust_each_other_by_address_and_by_name(folders):
    handshake(folders / "camera", folders / "server", "127.0.0.1")
    handshake(folders / "server", folders / "camera", "board.local")


@pytest.mark.parametrize(
    ("server", "client", "name"),
    [("camera", "server", "10.0.0.5"), ("camera", "other", "127.0.0.1"), ("other", "server", "127.0.0.1")],
)
def test_another_address_or_authority_is_not_trusted(folders, server, client, name):
    with pytest.raises(ssl.SSLError):
        handshake(folders / server, folders / client, name)


def test_a_certificate_names_its_host_signs_no_others_and_bears_a_slow_clock(folders):
    found = x509.load_pem_x509_certificate((folders / "camera" / CERTIFICATE).read_bytes())
    assert found.subject.rfc4514_string() == "CN=camera"
    assert not found.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    now = datetime.datetime.now(datetime.UTC)
    assert found.not_valid_before_utc < now - datetime.timedelta(hours=12)
    assert found.not_valid_after_utc > now + datetime.timedelta(days=365)


def test_a_key_is_its_owners_only_and_the_authoritys_is_nowhere(folders):
    assert (folders / "camera" / KEY).stat().st_mode & 0o777 == 0o600
    assert {path.name for path in (folders / "camera").iterdir()} == {CA, CERTIFICATE, KEY}
    assert (folders / "camera" / KEY).read_bytes() != (folders / "server" / KEY).read_bytes()
