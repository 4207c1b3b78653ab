"""What lets a bundle be measured over the network: the server in it, and the keys of who asks, beside it.

CAMERA/          copied to the device: profile_server.py, zenoh.json5, keys/, and what measure.py needs
CAMERA-client/   stays: the keys that `plan profile --host` shows
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from planner.errors import UsageError
from planner.hosts.endpoints import FIRST_PORT, Endpoint, check_encryptable
from planner.hosts.host_files import ServingCode, write_code
from planner.hosts.on_device.profile_messages import PROFILES
from planner.hosts.on_host.host_manifest import NETWORK
from planner.hosts.zenoh_config import CLIENT, CLIENT_PATTERN, KEYS, access_control, host_config
from planner.json_record import Record
from planner.output.atomic_folder import atomic_directory, check_replaceable, list_files
from planner.output.plan_folder import writing_bundle
from planner.output.record_files import read_record
from planner.plan.plan_record import FORMAT
from profiling.records.json_files import save_json

if TYPE_CHECKING:
    from planner.hosts.certificates import CertificateAuthority

SERVER = "profile_server.py"
HERE = Endpoint("127.0.0.1", FIRST_PORT)
_CLIENT_RECORD = "client.json"
_CODE = ServingCode(
    {
        "planner.hosts.on_device": None,
        "planner.hosts.on_host": ("engine_calls", "host_manifest", "messages", "network", "own_keys"),
    },
    SERVER,
)
_ADDED = (SERVER, NETWORK, KEYS, "planner")


class BundleClient(Record, frozen=True, kw_only=True):
    """Whom the keys of who asks are for."""

    format: int
    device: str
    address: str


def check_openness(device: str, endpoint: Endpoint, *, keys: bool, insecure: bool) -> None:
    """Refuse a connection between machines on which anybody could ask or answer, or keys be checked.

    Raises
    ------
    UsageError
        Saying what to add.
    """
    if keys:
        check_encryptable(device, endpoint)
    if not (endpoint.is_loopback or keys or insecure):
        raise UsageError(
            f"--host {device}={endpoint.address}: without keys anybody there could ask or answer: write "
            "the bundle with --keys and ask with --client (or --insecure, where nobody else can reach it)"
        )


def client_folder(bundle: Path) -> Path:
    """Return where the keys lie that are written along with a bundle."""
    return bundle.with_name(f"{bundle.name}-{CLIENT}")


@contextmanager
def writing_served_bundle(folder: Path, device: str, endpoint: Endpoint, *, keys: bool) -> Iterator[Path]:
    """Yield an empty folder for a bundle, which becomes `folder`, able to serve it, when the block succeeds.

    Parameters
    ----------
    endpoint
        Where the device listens.
    keys
        Make keys for the device and for who asks.

    Raises
    ------
    OutputError
        If a folder cannot be written, or holds something else.
    """
    if not keys:
        with writing_bundle(folder, _ADDED) as fresh:
            yield fresh
            _write_server(fresh, device, endpoint, keys=False)
        return
    authority = _new_authority()
    client, option = client_folder(folder), f"--keys: {client_folder(folder)}"
    check_replaceable(client, option, "keys", {_CLIENT_RECORD, KEYS}, _CLIENT_RECORD)
    with atomic_directory(client, option) as fresh_client, writing_bundle(folder, _ADDED) as fresh:
        yield fresh
        _write_server(fresh, device, endpoint, keys=True)
        authority.issue(fresh / KEYS, device, endpoint.host)
        authority.issue(fresh_client / KEYS, CLIENT, CLIENT)
        record = BundleClient(format=FORMAT, device=device, address=endpoint.host)
        save_json(record, fresh_client / _CLIENT_RECORD)
        list_files(fresh_client, _CLIENT_RECORD)


def client_keys(client: Path, device: str, endpoint: Endpoint) -> Path:
    """Return the folder of the keys for a device.

    Raises
    ------
    OutputError
        If the folder holds none.
    UsageError
        If they are for another device or address.
    """
    record = read_record(client / _CLIENT_RECORD, BundleClient)
    if (record.device, record.address) != (device, endpoint.host):
        raise UsageError(
            f"--client {client}: holds keys for {record.device}={record.address}: write the bundle of "
            f"{device} again with --keys --host {device}={endpoint.host}"
        )
    return client / KEYS


def _write_server(fresh: Path, device: str, endpoint: Endpoint, *, keys: bool) -> None:
    write_code(fresh, _CODE)
    rules = access_control(device, PROFILES, {CLIENT: CLIENT_PATTERN}) if keys else None
    config = host_config(device, endpoint, [], 0, rules)
    (fresh / NETWORK).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")


def _new_authority() -> "CertificateAuthority":
    try:
        from planner.hosts.certificates import CertificateAuthority
    except ImportError as exc:
        raise UsageError("--keys needs the extra: pip install 'splitquant[hosts]'") from exc
    return CertificateAuthority()
