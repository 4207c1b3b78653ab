"""How far the clocks of two hosts are apart, from small messages there and back.

The estimate of NTP (RFC 5905, section 8), from the exchange with the shortest way: what waits for other
messages is in the slower ones.
"""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import dataclass

from planner.hosts.on_host.messages import BadMessageError

_KEPT = 32
_ANSWER = struct.Struct("!QQ")


@dataclass(frozen=True)
class Exchange:
    """One message there and back.

    Parameters
    ----------
    round_trip_s
        Without what the other host took to answer.
    offset_s
        The other clock minus ours.
    """

    round_trip_s: float
    offset_s: float


def exchange(sent_ns: int, arrived_ns: int, answered_ns: int, received_ns: int) -> Exchange:
    """Return what four times show; the first and the last are of our clock, the others of the other one.

    >>> exchange(0, 1_000_500, 1_000_600, 300)
    Exchange(round_trip_s=2e-07, offset_s=0.0010004)
    """
    round_trip_ns = (received_ns - sent_ns) - (answered_ns - arrived_ns)
    offset_ns = ((arrived_ns - sent_ns) + (answered_ns - received_ns)) / 2
    return Exchange(round_trip_ns / 1e9, offset_ns / 1e9)


def clock_bytes(arrived_ns: int, answered_ns: int) -> bytes:
    """Return when a small message came and when it was answered, as bytes."""
    return _ANSWER.pack(arrived_ns, answered_ns)


def clock_answer(data: bytes) -> tuple[int, int]:
    """Return when the other host got a small message and when it answered, as it says.

    Raises
    ------
    BadMessageError
        If the bytes say something else.
    """
    try:
        arrived_ns, answered_ns = _ANSWER.unpack(data)
    except struct.error as exc:
        raise BadMessageError("an answer about the clock is not valid") from exc
    return arrived_ns, answered_ns


class ClockOffset:
    """The offset of one neighbour's clock, from its latest exchanges."""

    def __init__(self) -> None:
        self._exchanges: deque[Exchange] = deque(maxlen=_KEPT)

    def add(self, seen: Exchange) -> None:
        """Take one more exchange into account."""
        self._exchanges.append(seen)

    @property
    def best(self) -> Exchange | None:
        """The exchange with the shortest way, of the latest ones; None before the first."""
        return min(self._exchanges, key=lambda seen: seen.round_trip_s, default=None)

    @property
    def round_trip_s(self) -> float | None:
        """What an empty message takes there and back, of the latest ones; None before the first.

        The lower quartile: the shortest way tells the clocks best, but other messages cannot count on it,
        and the slower half may have waited behind them.
        """
        ordered = sorted(seen.round_trip_s for seen in self._exchanges)
        return ordered[len(ordered) // 4] if ordered else None
