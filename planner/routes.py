"""The cheapest way of a message over links, stored and forwarded at every device between."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf

import networkx as nx


@dataclass(frozen=True, slots=True)
class Hop:
    """One link in SI units."""

    source: str
    target: str
    latency_s: float
    bandwidth_bytes_per_s: float

    def seconds(self, size_bytes: int) -> float:
        """Return the seconds that a message of this size takes."""
        return self.latency_s + size_bytes / self.bandwidth_bytes_per_s


@dataclass(frozen=True, slots=True)
class Route:
    """Devices from sender to receiver, both included, and the seconds in all."""

    path: tuple[str, ...]
    seconds: float


class Routes:
    """All cheapest routes; which one is cheapest depends on the size of the message."""

    def __init__(self, hops: Iterable[Hop]) -> None:
        self._hops = tuple(hops)
        self._known: dict[tuple[str, int], tuple[dict[str, float], dict[str, list[str]]]] = {}

    def route(self, source: str, target: str, size_bytes: int) -> Route:
        """Return the cheapest route; infinite seconds where links lead nowhere."""
        if source == target:
            return Route((source,), 0.0)
        key = (source, size_bytes)
        if key not in self._known:
            self._known[key] = self._search(source, size_bytes)
        seconds, paths = self._known[key]
        return Route(tuple(paths.get(target, ())), seconds.get(target, inf))

    def _search(self, source: str, size_bytes: int) -> tuple[dict[str, float], dict[str, list[str]]]:
        links: nx.DiGraph = nx.DiGraph()
        links.add_node(source)
        for hop in self._hops:
            seconds = hop.seconds(size_bytes)
            known = links.get_edge_data(hop.source, hop.target)
            if known is None or seconds < known["weight"]:  # parallel links: the faster one
                links.add_edge(hop.source, hop.target, weight=seconds)
        return nx.single_source_dijkstra(links, source)  # type: ignore[no-any-return]
