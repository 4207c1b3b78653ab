"""Seconds and joules of a message on a link, and its fastest route, stored and forwarded between links."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from math import inf

import networkx as nx


@dataclass(frozen=True, slots=True)
class MessageEnergy:
    """What one end of a link spends on a message, in joules.

    Examples
    --------
    >>> MessageEnergy(per_byte_j=1e-6, per_message_j=0.5).joules(1_000_000)
    1.5
    """

    per_byte_j: float = 0.0
    per_message_j: float = 0.0

    def joules(self, size_bytes: float) -> float:
        """Return the joules for a message of this size."""
        return self.per_message_j + self.per_byte_j * size_bytes


@dataclass(frozen=True, slots=True)
class Hop:
    """One link in SI units."""

    source: str
    target: str
    latency_s: float
    bandwidth_bytes_per_s: float
    send: MessageEnergy = MessageEnergy()
    receive: MessageEnergy = MessageEnergy()

    def seconds(self, size_bytes: float) -> float:
        """Return the seconds that a message of this size takes."""
        return self.latency_s + size_bytes / self.bandwidth_bytes_per_s


@dataclass(frozen=True, slots=True)
class Route:
    """A route of one message.

    Parameters
    ----------
    path
        Devices from sender to receiver, both included; empty if links lead nowhere.
    links
        Numbers of the links in the order in which they are used.
    seconds
        On all of them.
    """

    path: tuple[str, ...]
    links: tuple[int, ...]
    seconds: float


class Routes:
    """The fastest routes between all devices; which one is fastest depends on the size of the message.

    Examples
    --------
    >>> hops = [Hop("a", "b", 0.0, 10.0), Hop("b", "c", 0.0, 10.0), Hop("a", "c", 1.0, 100.0)]
    >>> Routes(hops).route("a", "c", 1).links, Routes(hops).route("a", "c", 100).links
    ((0, 1), (2,))
    """

    def __init__(self, hops: Iterable[Hop]) -> None:
        self.hops = tuple(hops)
        self._routes_from: dict[tuple[str, float], dict[str, Route]] = {}

    def route(self, source: str, target: str, size_bytes: float) -> Route:
        """Return the fastest route for this many bytes; infinite seconds where links lead nowhere."""
        if source == target:
            return Route((source,), (), 0.0)
        key = (source, size_bytes)
        if key not in self._routes_from:
            self._routes_from[key] = self._search(source, size_bytes)
        return self._routes_from[key].get(target, Route((), (), inf))

    def _search(self, source: str, size_bytes: float) -> dict[str, Route]:
        links: nx.DiGraph = nx.DiGraph()
        links.add_node(source)
        for number, hop in enumerate(self.hops):
            seconds = hop.seconds(size_bytes)
            parallel = links.get_edge_data(hop.source, hop.target)
            if parallel is None or seconds < parallel["weight"]:  # parallel links: the faster one
                links.add_edge(hop.source, hop.target, weight=seconds, number=number)
        seconds, paths = nx.single_source_dijkstra(links, source)
        return {
            target: Route(
                tuple(path),
                tuple(links.edges[pair]["number"] for pair in pairwise(path)),
                seconds[target],
            )
            for target, path in paths.items()
        }
