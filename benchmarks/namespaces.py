"""Hosts on one machine, each in a Linux network namespace of its own, with shaped links. Needs root."""

import itertools
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from shaped_link import ShapedLink

PORT = 7447
_PREFIX = "sq-"


@dataclass(frozen=True, slots=True)
class HostChain:
    """Hosts in namespaces, each of which finds the next one at that one's address.

    Parameters
    ----------
    addresses
        Host -> where it listens, on `PORT`.
    links
        From each host to the next one.
    """

    addresses: Mapping[str, str]
    links: Sequence[ShapedLink]


@contextmanager
def chain_of_hosts(hosts: Sequence[str]) -> Iterator[HostChain]:
    """Make a namespace per host and a link between neighbours; all is taken away at the end."""
    addresses = {host: f"10.77.0.{number}" for number, host in enumerate(hosts, 1)}
    _remove(hosts)
    try:
        for host in hosts:
            _run("ip", "netns", "add", _PREFIX + host)
            _run(*command_in(host, ["ip", "link", "set", "lo", "up"]))
            _add_address(host, addresses[host])
        with ExitStack() as stack:
            links = []
            for host, other in itertools.pairwise(hosts):
                _add_address(host, addresses[other])
                link = ShapedLink(_PREFIX + host, _PREFIX + other, addresses[other], PORT)
                links.append(stack.enter_context(link))
            yield HostChain(addresses, links)
    finally:
        _remove(hosts)


def command_in(host: str, command: Sequence[str]) -> list[str]:
    """Return a command that runs on a host."""
    return ["ip", "netns", "exec", _PREFIX + host, *command]


def _add_address(host: str, address: str) -> None:
    _run(*command_in(host, ["ip", "address", "add", f"{address}/32", "dev", "lo"]))


def _remove(hosts: Sequence[str]) -> None:
    for host in hosts:
        subprocess.run(["ip", "netns", "del", _PREFIX + host], check=False, capture_output=True)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
