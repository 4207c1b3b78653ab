"""What a host knows of its neighbours: who is there, how far clocks are apart, what links let through."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import partial

from planner.hosts.on_host.clock_offsets import ClockOffset, Exchange, clock_answer, exchange
from planner.hosts.on_host.link_probe import Transfer, probe_link, probed_neighbours
from planner.hosts.on_host.messages import BadMessageError
from planner.hosts.on_host.network import PING, Network, Outcome
from planner.hosts.on_host.status import LinkSeen

_LOG = logging.getLogger(__name__)
_PINGS_AT_ONCE, _PROBE_PINGS, _PING_S, _PROBE_S = 4, 16, 2.0, 20.0


@dataclass
class _Neighbour:
    """One of them."""

    link: LinkSeen
    is_there: bool = False
    clock: ClockOffset = field(default_factory=ClockOffset)


class Neighbours:
    """All of them; safe for several threads.

    Parameters
    ----------
    message_bytes
        What a message weighs beside its header and content.
    """

    def __init__(self, names: Sequence[str], message_bytes: int) -> None:
        self._lock, self._probing = threading.Lock(), threading.Lock()
        self._known = {name: _Neighbour(LinkSeen(message_bytes)) for name in names}

    def changed(self, name: str, there: bool) -> bool:  # noqa: FBT001 (a value, not a switch)
        """Note whether a neighbour is there; return whether it has been lost."""
        with self._lock:
            neighbour = self._known[name]
            was_there, neighbour.is_there = neighbour.is_there, there
        return was_there and not there

    def absent(self, names: Collection[str]) -> list[str]:
        """Return those of some neighbours that are not there."""
        with self._lock:
            return sorted(name for name in names if name in self._known and not self._known[name].is_there)

    def accepted(self, name: str, size_bytes: int, seconds: float) -> None:
        """Note that a message was accepted after some seconds; of who is no neighbour, nothing is noted."""
        ended_s = time.monotonic()
        with self._lock:
            if name in self._known:
                neighbour = self._known[name]
                best = neighbour.clock.best
                round_trip_s = 0.0 if best is None else best.round_trip_s
                neighbour.link.add(Transfer(size_bytes, ended_s - seconds, ended_s, round_trip_s))

    def probe(self, network: Network, order: bytes) -> None:
        """Measure the connections to the neighbours that an order names, one at a time.

        Empty messages go first: a host that has just begun has not yet seen how long one takes.
        """
        for name in probed_neighbours(order, list(self._known)):
            with self._probing:
                self._ping(network, name, _PROBE_PINGS)
                bytes_per_s = probe_link(partial(_probe, network, name))
            if bytes_per_s is not None:
                with self._lock:
                    self._known[name].link.probed(bytes_per_s)

    def ping(self, network: Network) -> None:
        """Look how far the clocks of those who are there are apart from ours."""
        for name, neighbour in self._known.items():
            if neighbour.is_there:
                self._ping(network, name, _PINGS_AT_ONCE)

    def record(self, queue: Callable[[str], int]) -> dict[str, object]:
        """Return name -> what is known, for JSON; `queue` says how many messages wait for a neighbour."""
        with self._lock:
            return {
                name: {
                    "there": neighbour.is_there,
                    **neighbour.link.record(),
                    "round_trip_s": neighbour.clock.round_trip_s,
                    "clock_offset_s": None if (best := neighbour.clock.best) is None else best.offset_s,
                    "queue": queue(name),
                }
                for name, neighbour in self._known.items()
            }

    def _ping(self, network: Network, name: str, count: int) -> None:
        for _ in range(count):
            seen = _pinged(network, name)
            if seen is None:
                return
            with self._lock:
                self._known[name].clock.add(seen)


def _probe(network: Network, name: str, content: bytes) -> bool:
    return network.send(name, PING, b"", content, _PROBE_S).outcome is Outcome.ACCEPTED


def _pinged(network: Network, name: str) -> Exchange | None:
    sent_ns = time.time_ns()
    reply = network.send(name, PING, b"", b"", _PING_S)
    received_ns = time.time_ns()
    if reply.outcome is not Outcome.ACCEPTED:
        return None
    try:
        arrived_ns, answered_ns = clock_answer(reply.data)
    except BadMessageError as exc:
        _LOG.warning("%s: %s", name, exc)
        return None
    return exchange(sent_ns, arrived_ns, answered_ns, received_ns)
