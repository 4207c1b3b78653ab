"""The cheapest way of a message over links, stored and forwarded at every device between."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from math import inf

import networkx as nx


@dataclass(frozen=True, slots=True)
class MessageEnergy:
    """What one end of a link spends on a message."""

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
    """Devices from sender to receiver, both included, the numbers of the links, and the seconds in all."""

    path: tuple[str, ...]
    links: tuple[int, ...]
    seconds: float


class Routes:
    """All cheapest routes; which one is cheapest depends on the size of the message."""

    def __init__(self, hops: Iterable[Hop]) -> None:
        self.hops = tuple(hops)
        self._known: dict[tuple[str, float], dict[str, Route]] = {}

    def route(self, source: str, target: str, size_bytes: float) -> Route:
        """Return the cheapest route; infinite seconds where links lead nowhere."""
        if source == target:
            return Route((source,), (), 0.0)
        key = (source, size_bytes)
        if key not in self._known:
            self._known[key] = self._search(source, size_bytes)
        return self._known[key].get(target, Route((), (), inf))

    def _search(self, source: str, size_bytes: float) -> dict[str, Route]:
        links: nx.DiGraph = nx.DiGraph()
        links.add_node(source)
        for number, hop in enumerate(self.hops):
            seconds = hop.seconds(size_bytes)
            known = links.get_edge_data(hop.source, hop.target)
            if known is None or seconds < known["weight"]:  # parallel links: the faster one
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
