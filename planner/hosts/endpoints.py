"""Where each host listens: `camera=10.0.0.5:7447`."""

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from planner.errors import UsageError

FIRST_PORT = 7447  # zenoh's own
_BRACKETED = 6  # version of addresses
_LAST_PORT = 65535
_NAME = re.compile(
    r"(?=.{1,253}$)(?!(.*\.)?\d+$)[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*",
    re.I | re.A,
)
_FORM = re.compile(r"(?P<device>[^=]+)=(?P<host>\[[^\]]+\]|[^:\[\]]+)(:(?P<port>\d+))?")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address or name, and a TCP port."""

    host: str
    port: int

    @property
    def address(self) -> str:
        """As zenoh and people write it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def parse_endpoints(texts: Iterable[str]) -> dict[str, Endpoint]:
    """Return device -> endpoint from `NAME=ADDRESS[:PORT]`.

    >>> parse_endpoints(["camera=10.0.0.5", "server=[::1]:7500"])["server"].address
    '[::1]:7500'

    Raises
    ------
    UsageError
        If a text is of another form, or a device is named twice.
    """
    endpoints: dict[str, Endpoint] = {}
    for text in texts:
        match = _FORM.fullmatch(text)
        port = int(match["port"] or FIRST_PORT) if match else 0
        if match is None or not 0 < port <= _LAST_PORT:
            raise UsageError(f"--host {text}: write NAME=ADDRESS or NAME=ADDRESS:PORT")
        if match["device"] in endpoints:
            raise UsageError(f"--host {text}: {match['device']} has an address already")
        fault = _host_fault(match["host"])
        if fault:
            raise UsageError(f"--host {text}: {fault}")
        endpoints[match["device"]] = Endpoint(match["host"].strip("[]"), port)
    return endpoints


def _host_fault(host: str) -> str:
    """Return why others could not connect to what is written for an address; empty if they could."""
    is_bracketed = host.startswith("[")
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        is_name = not is_bracketed and _NAME.fullmatch(host)
        return "" if is_name else "is neither an address nor a name (of letters, digits, dots and dashes)"
    if is_bracketed and address.version != _BRACKETED:
        return "only IPv6 addresses are in brackets"
    if address.is_unspecified or address.is_multicast:
        return "write the address at which others reach it"
    if getattr(address, "scope_id", None):
        return "an address with a zone means something else elsewhere: write another address, or a name"
    return ""


def check_encryptable(device: str, endpoint: Endpoint) -> None:
    """Refuse an address whose certificate the engine cannot check: it connects to no IPv6 address by TLS.

    Raises
    ------
    UsageError
        Saying what to write.
    """
    if ":" in endpoint.host:
        raise UsageError(
            f"--host {device}={endpoint.address}: with --keys, write a name that stands for the IPv6 address"
        )


def with_defaults(given: Mapping[str, Endpoint], devices: Sequence[str]) -> dict[str, Endpoint]:
    """Return an endpoint for each device: as given, else on this machine at a port of its own.

    Raises
    ------
    UsageError
        If one is given for a device that has nothing to do, or two share an address.
    """
    unknown = sorted(given.keys() - set(devices))
    if unknown:
        raise UsageError(f"--host {unknown[0]}: the plan uses {', '.join(devices)}")
    taken = {endpoint.port for endpoint in given.values() if endpoint.is_loopback}
    free = (port for port in range(FIRST_PORT, _LAST_PORT) if port not in taken)
    endpoints = {name: given.get(name) or Endpoint("127.0.0.1", next(free)) for name in devices}
    by_address: dict[Endpoint, str] = {}
    for name, endpoint in endpoints.items():
        if endpoint in by_address:
            raise UsageError(f"--host {name}: {by_address[endpoint]} listens at {endpoint.address}, too")
        by_address[endpoint] = name
    return endpoints
