"""The bandwidth of a connection: from its messages, or from a probe of bounded size and time."""

from __future__ import annotations

import os
import statistics
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_KEPT = 8
_LEAST_BYTES = 2048  # a smaller message takes too little time to tell
_TOO_QUICK_S = 0.01  # hosts take some milliseconds of their own: of less than this they would be the most
_LEAST_MESSAGES = 3  # so that one hiccup, or what a host does once when it starts, is not taken for the link
_FIRST_BYTES, _MOST_BYTES, _GROWTH = 2**12, 2**18, 4
_LONG_ENOUGH_S, _REPEATS, _MOST_S = 0.02, 3, 4.0
_EMPTY_MESSAGES = 3
_SEPARATOR, ALL_NEIGHBOURS = "/", b"*"  # no device has such a name


@dataclass(frozen=True)
class Transfer:
    """A message that was accepted.

    Parameters
    ----------
    size_bytes
        Of header and content.
    began_s, ended_s
        From sending it until its acceptance was there, by `time.monotonic()`.
    round_trip_s
        What a message without content takes there and back, the engine's own bytes included.
    """

    size_bytes: int
    began_s: float
    ended_s: float
    round_trip_s: float

    @property
    def left_s(self) -> float:
        """When its last byte had been sent."""
        return self.ended_s - self.round_trip_s


class LinkBandwidth:
    """Bytes per second of a connection in one direction, from its latest messages.

    Messages queue behind each other, and small ones say more about latency than about bandwidth: so each
    counts from when the one before had left, the median of the latest ones is taken, and only if these are
    several, large enough, and took so long that what hosts themselves take is little beside it. Two of which
    one was sent before the other had left count together: a busy receiver accepts both at once, and the
    second by itself would seem to take no time.

    Parameters
    ----------
    message_bytes
        What a message weighs beside its header and content. Of one that had the connection for itself they
        are in the round trip; between two that queued they take time of their own.
    """

    def __init__(self, message_bytes: int) -> None:
        self._message_bytes = message_bytes
        self._left_s = float("-inf")
        self._before: tuple[int, float] | None = None  # bytes of the message before, when it began to leave
        self._is_before_alone = False  # whether the latest entry is that message by itself
        self._latest: deque[tuple[float, float]] = deque(maxlen=_KEPT)  # bytes per second, seconds
        self.bytes_per_s: float | None = None
        self.seen_at_s: float | None = None

    def add(self, transfer: Transfer) -> None:
        """Take a message into account."""
        queued = transfer.began_s < self._left_s
        size_bytes = transfer.size_bytes + (self._message_bytes if queued else 0)
        since_s = max(transfer.began_s, self._left_s)
        before, self._before = self._before, (size_bytes, since_s)
        together = before is not None and queued
        if before is not None and together:
            size_bytes, since_s = size_bytes + before[0], before[1]
        self._left_s = max(self._left_s, transfer.left_s)
        if transfer.size_bytes < _LEAST_BYTES:
            self._is_before_alone = False
            return
        if together and self._is_before_alone:
            self._latest.pop()
        self._is_before_alone = not together
        seconds = self._left_s - since_s
        rate = size_bytes / seconds if seconds > 0 else float("inf")
        self._latest.append((rate, seconds))
        if len(self._latest) < _LEAST_MESSAGES:
            return
        # The lower of two in the middle: so more than half took that long, and the rate in the middle did.
        middle_s = statistics.median_low([taken for _, taken in self._latest])
        if middle_s >= max(_TOO_QUICK_S, transfer.round_trip_s):
            self._see(statistics.median(rate for rate, _ in self._latest), transfer.ended_s)

    def set(self, bytes_per_s: float, now_s: float) -> None:
        """Take the outcome of a probe instead of what was seen before."""
        self._latest.clear()
        self._is_before_alone = False
        self._see(bytes_per_s, now_s)

    def _see(self, bytes_per_s: float, now_s: float) -> None:
        self.bytes_per_s, self.seen_at_s = bytes_per_s, now_s


def probe_link(send: Callable[[bytes], bool], clock: Callable[[], float] = time.monotonic) -> float | None:
    """Return the bytes per second of a connection, from messages that grow until they take long enough.

    At most 1 MiB is sent, and nothing more once four seconds have passed. What the engine adds to a message
    takes its part of an empty one, too, and so is counted out.

    Parameters
    ----------
    send
        Sends bytes, waits until they are accepted, and says whether they were.

    Returns
    -------
    float | None
        None if a message was not accepted.
    """
    ends_s = clock() + _MOST_S

    def seconds(size_bytes: int) -> float | None:
        content = os.urandom(size_bytes)  # so that nothing on the way makes it smaller
        began_s = clock()
        return clock() - began_s if send(content) else None

    empty = [seconds(0) for _ in range(_EMPTY_MESSAGES)]
    round_trip_s = min((taken for taken in empty if taken is not None), default=None)
    if round_trip_s is None:
        return None
    size_bytes = _FIRST_BYTES
    while True:
        all_taken: list[float] = []
        # Only what takes long is sent again: it may have been a hiccup, and then larger ones follow.
        while not all_taken or (
            len(all_taken) < _REPEATS
            and clock() < ends_s
            and (size_bytes >= _MOST_BYTES or all_taken[-1] - round_trip_s >= _LONG_ENOUGH_S)
        ):
            taken = seconds(size_bytes)
            if taken is None:
                return None
            all_taken.append(taken)
        taken = statistics.median_low(all_taken)
        if taken - round_trip_s >= _LONG_ENOUGH_S or size_bytes >= _MOST_BYTES or clock() >= ends_s:
            break
        size_bytes *= _GROWTH
    # On a quick link empty messages may take as long by chance: then it is this quick at least.
    on_the_way_s = taken - round_trip_s if taken > round_trip_s else taken
    return size_bytes / on_the_way_s if on_the_way_s > 0 else None


def probe_order(neighbours: Sequence[str]) -> bytes:
    """Return the bytes that name neighbours to measure connections to; all of them if there are none."""
    return _SEPARATOR.join(neighbours).encode() or ALL_NEIGHBOURS


def probed_neighbours(order: bytes, neighbours: Sequence[str]) -> list[str]:
    """Return which of its neighbours a host is asked to measure, in their order; none without an order."""
    named = order.decode(errors="replace").split(_SEPARATOR)
    return [name for name in neighbours if order == ALL_NEIGHBOURS or name in named]
