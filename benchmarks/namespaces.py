"""Hosts on one machine with shaped links: Linux network namespaces and `tc ... tbf`. Needs root."""

import itertools
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

_PREFIX = "sq-"
# The shaper lets a burst pass at once, and it has to be a frame at least: small frames, so that tensors of
# some kilobytes are shaped like large ones.
_MTU_BYTES, _BURST_BYTES = 576, 600
_QUEUE_BYTES = 50_000_000  # never full: a lost frame would be TCP's affair, not the link's


@dataclass(frozen=True, slots=True)
class ShapedLink:
    """A link between two hosts with a rate of its own each way."""

    first: str
    second: str
    first_address: str
    second_address: str

    def shape(self, mbit_per_s: float) -> None:
        """Set the rate of both directions."""
        for host, other in ((self.first, self.second), (self.second, self.first)):
            _ip_netns(
                host, "tc", "qdisc", "replace", "dev", f"to-{other}", "root", "tbf",
                "rate", f"{round(mbit_per_s * 1e6)}bit",
                "burst", str(_BURST_BYTES), "limit", str(_QUEUE_BYTES),
            )  # fmt: skip


def can_make_namespaces() -> bool:
    """Return whether this machine lets us."""
    if shutil.which("ip") is None or shutil.which("tc") is None:
        return False
    name = f"{_PREFIX}try"
    made = subprocess.run(["ip", "netns", "add", name], check=False, capture_output=True).returncode == 0
    subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
    return made


@contextmanager
def chain_of_hosts(hosts: Sequence[str]) -> Iterator[list[ShapedLink]]:
    """Make a namespace per host and a link between neighbours; all is taken away at the end."""
    _remove(hosts)
    try:
        for host in hosts:
            _run("ip", "netns", "add", _PREFIX + host)
            _ip_netns(host, "ip", "link", "set", "lo", "up")
        links = [_connect(number, *pair) for number, pair in enumerate(itertools.pairwise(hosts))]
        yield links
    finally:
        _remove(hosts)


def command_in(host: str, command: Sequence[str]) -> list[str]:
    """Return a command that runs on a host."""
    return ["ip", "netns", "exec", _PREFIX + host, *command]


def _connect(number: int, first: str, second: str) -> ShapedLink:
    addresses = [f"10.77.{number}.{end}" for end in (1, 2)]
    ends = [(first, second), (second, first)]
    _run(
        "ip", "link", "add", f"to-{second}", "netns", _PREFIX + first, "type", "veth",
        "peer", "name", f"to-{first}", "netns", _PREFIX + second,
    )  # fmt: skip
    for (host, other), address in zip(ends, addresses, strict=True):
        _ip_netns(host, "ip", "address", "add", f"{address}/24", "dev", f"to-{other}")
        _ip_netns(host, "ip", "link", "set", f"to-{other}", "mtu", str(_MTU_BYTES), "up")
    return ShapedLink(first, second, *addresses)


def _remove(hosts: Sequence[str]) -> None:
    for host in hosts:
        subprocess.run(["ip", "netns", "del", _PREFIX + host], check=False, capture_output=True)


def _ip_netns(host: str, *command: str) -> None:
    _run("ip", "netns", "exec", _PREFIX + host, *command)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
