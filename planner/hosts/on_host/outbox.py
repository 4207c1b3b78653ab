"""Sends to one neighbour in order, again until it is accepted or too late."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from planner.hosts.on_host.messages import REPEATED, Failure, TensorHeader, failure_bytes, header_bytes
from planner.hosts.on_host.network import Network, Outcome, Reply

# Two at once: the next message is on its way while the acceptance of the one before comes back.
_AT_ONCE = 2
_EARLIER_S, _EARLIER = 1.0, 0.1
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 1.0


def earlier(deadline: float) -> float:
    """Return when who is further on gives up, so that it can still say why; both by `time.monotonic()`."""
    return deadline - min(_EARLIER_S, _EARLIER * (deadline - time.monotonic()))


@dataclass(frozen=True)
class Outgoing:
    """A message for a neighbour.

    Parameters
    ----------
    deadline
        By `time.monotonic()`: when it is too late.
    """

    kind: str
    header: TensorHeader | Failure
    payload: bytes
    deadline: float

    def header_now(self) -> bytes:
        """Return the header with the seconds that are left when it is sent."""
        if isinstance(self.header, Failure):
            return failure_bytes(self.header)
        left_s = earlier(self.deadline) - time.monotonic()
        return header_bytes(replace(self.header, left_s=left_s))


@dataclass(frozen=True)
class Sent:
    """What became of a message.

    Parameters
    ----------
    reason
        None if it was accepted.
    sent_ns
        By `time.time_ns()`: when what arrived was sent; None where an acceptance got lost, and nobody knows.
    seconds, size_bytes
        How long that took, and how large header and payload were.
    is_lasting
        Whether it would not be accepted later either.
    """

    message: Outgoing
    reason: str | None
    sent_ns: int | None = None
    seconds: float = 0.0
    size_bytes: int = 0
    is_lasting: bool = False


class Outbox:
    """The messages for one neighbour.

    Parameters
    ----------
    done
        Told of each message when it has ended; called on a thread of the outbox.
    most_messages
        More than these are refused: with requests bounded at the source that does not happen.
    is_wanted
        Whether a message still has to go; asked before each time that it is sent.
    """

    def __init__(
        self,
        network: Network,
        neighbour: str,
        done: Callable[[Sent], None],
        most_messages: int,
        is_wanted: Callable[[Outgoing], bool],
    ) -> None:
        self._network, self._neighbour, self._done, self._is_wanted = network, neighbour, done, is_wanted
        self._messages: queue.Queue[Outgoing] = queue.Queue(most_messages)
        self._closed = threading.Event()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(_AT_ONCE)]
        for thread in self._threads:
            thread.start()

    def __len__(self) -> int:
        return self._messages.qsize()

    def put(self, message: Outgoing) -> None:
        """Take a message; what does not fit ends at once, with a reason."""
        try:
            self._messages.put_nowait(message)
        except queue.Full:
            self._done(Sent(message, f"too many messages wait for {self._neighbour}"))

    def close(self) -> None:
        """End; what waits is dropped."""
        self._closed.set()

    def _work(self) -> None:
        while not self._closed.is_set():
            with suppress(queue.Empty):
                self._done(self._sent(self._messages.get(timeout=_LONGEST_PAUSE_S)))

    def _sent(self, message: Outgoing) -> Sent:
        pause_s = _FIRST_PAUSE_S
        reply = Reply(Outcome.UNREACHABLE)
        while (left_s := message.deadline - time.monotonic()) > 0 and not self._closed.is_set():
            if not self._is_wanted(message):
                return Sent(message, "its request has ended")
            began, sent_ns = time.monotonic(), time.time_ns()
            header = message.header_now()
            reply = self._network.send(self._neighbour, message.kind, header, message.payload, left_s)
            if reply.outcome is Outcome.ACCEPTED:
                size_bytes = len(header) + len(message.payload)
                seconds = time.monotonic() - began
                known_ns = None if reply.data == REPEATED else sent_ns
                return Sent(message, None, known_ns, seconds, size_bytes)
            if reply.outcome is Outcome.REFUSED:
                return Sent(message, f"{self._neighbour} refused it: {reply.reason}", is_lasting=True)
            self._closed.wait(min(pause_s, max(0.0, message.deadline - time.monotonic())))
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        return Sent(message, f"{self._neighbour} cannot be reached: {reply.reason or 'no answer'}")
