"""Keys by which a host could talk to nobody are told before it serves."""

import datetime
import os
import shutil

import pytest

pytest.importorskip("cryptography", reason="needs the extra: pip install 'splitquant[hosts]'")

from planner.hosts import certificates
from planner.hosts.certificates import CertificateAuthority
from planner.hosts.on_host.own_keys import CREDENTIAL, check_own_keys, handed_over
from planner.hosts.zenoh_config import CA, CERTIFICATE, KEY


@pytest.fixture(scope="module")
def issued(tmp_path_factory):
    above = tmp_path_factory.mktemp("keys")
    authority = CertificateAuthority()
    for name in ("camera", "server"):
        authority.issue(above / name, name, "127.0.0.1")
    CertificateAuthority().issue(above / "stranger", "camera", "127.0.0.1")
    return above


@pytest.fixture
def keys(issued, tmp_path):
    shutil.copytree(issued / "camera", tmp_path / "keys")
    return tmp_path / "keys"


def check(folder):
    check_own_keys(folder / CA, folder / CERTIFICATE, folder / KEY)


def test_keys_of_one_authority_are_taken_for_hosts_and_clients(issued):
    for name in ("camera", "server", "stranger"):
        check(issued / name)


def test_keys_are_taken_with_the_line_ends_of_another_system(keys):
    for path in keys.iterdir():
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    check(keys)


@pytest.mark.skipif(os.name != "posix", reason="the system has no such modes")
def test_a_key_that_others_may_read_is_told(keys, caplog):
    check(keys)
    assert not caplog.records
    (keys / KEY).chmod(0o640)
    check(keys)
    assert "key.pem: others on this machine may read it: chmod 600" in caplog.text


def test_a_key_that_systemd_hands_over_is_taken_instead_of_the_file(keys, tmp_path, monkeypatch):
    assert handed_over(keys / KEY) == keys / KEY
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
    assert handed_over(keys / KEY) == keys / KEY  # a service without
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials" / CREDENTIAL).write_bytes((keys / KEY).read_bytes())
    assert handed_over(keys / KEY) == tmp_path / "credentials" / CREDENTIAL
    assert handed_over(keys / CA) == keys / CA
    check_own_keys(keys / CA, keys / CERTIFICATE, handed_over(keys / KEY))


@pytest.mark.parametrize("name", [CA, CERTIFICATE, KEY])
def test_a_missing_file_is_named(keys, name):
    (keys / name).unlink()
    with pytest.raises(OSError, match=f"{name}: No such file or directory; copy the folder again"):
        check(keys)


@pytest.mark.parametrize("name", [CA, CERTIFICATE, KEY])
@pytest.mark.parametrize("content", [b"", b"hello", b"\xff\x00" * 50])
def test_a_damaged_file_is_told(keys, name, content):
    (keys / name).write_bytes(content)
    with pytest.raises(OSError, match="holds no keys that belong together; copy it again"):
        check(keys)


def test_the_key_of_another_host_is_told(keys, issued):
    shutil.copy(issued / "server" / KEY, keys / KEY)
    with pytest.raises(OSError, match="belong together"):
        check(keys)


def test_the_certificate_of_another_authority_is_told(keys, issued):
    shutil.copy(issued / "stranger" / CA, keys / CA)
    with pytest.raises(OSError, match=f"{CERTIFICATE}: .*; copy the folder again, or deploy again"):
        check(keys)


@pytest.mark.parametrize("days", [-10, 10])  # the life that a certificate has from now on, or its beginning
def test_a_certificate_out_of_its_time_is_told_with_the_clock(tmp_path, monkeypatch, days):
    shift = datetime.timedelta(days=days)
    if days < 0:
        monkeypatch.setattr(certificates, "_LIFETIME", shift)
        monkeypatch.setattr(certificates, "_SLACK", datetime.timedelta(days=20))
    else:
        monkeypatch.setattr(certificates, "_SLACK", -shift)
    CertificateAuthority().issue(tmp_path, "camera", "127.0.0.1")
    with pytest.raises(OSError, match="see that the clock here is right, or deploy again with --keys"):
        check(tmp_path)
