"""Sends to one neighbour in order, again until it is accepted or too late."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from planner.hosts.on_host.messages import Failure, TensorHeader, failure_bytes, header_bytes
from planner.hosts.on_host.network import Network, Outcome, Reply

# Two at once: the next message is on its way while the acceptance of the one before comes back.
_AT_ONCE = 2
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 1.0


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
        """Return the header with the seconds that are left now."""
        if isinstance(self.header, Failure):
            return failure_bytes(self.header)
        return header_bytes(replace(self.header, left_s=self.deadline - time.monotonic()))


@dataclass(frozen=True)
class Sent:
    """What became of a message; `reason` is None if it was accepted.

    Parameters
    ----------
    sent_ns, seconds
        When it was sent, by this host's clock, and how long until it was accepted.
    """

    message: Outgoing
    reason: str | None
    sent_ns: int = 0
    seconds: float = 0.0


class Outbox:
    """The messages for one neighbour.

    Parameters
    ----------
    done
        Told of each message when it has ended; called on a thread of the outbox.
    most_messages
        More than these are refused: with requests bounded at the source that does not happen.
    """

    def __init__(
        self, network: Network, neighbour: str, done: Callable[[Sent], None], most_messages: int
    ) -> None:
        self._network, self._neighbour, self._done = network, neighbour, done
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
            began = time.monotonic()
            sent_ns = time.time_ns()
            reply = self._network.send(
                self._neighbour, message.kind, message.header_now(), message.payload, left_s
            )
            if reply.outcome is Outcome.ACCEPTED:
                return Sent(message, None, sent_ns, time.monotonic() - began)
            if reply.outcome is Outcome.REFUSED:
                return Sent(message, f"{self._neighbour} refused it: {reply.reason}")
            self._closed.wait(min(pause_s, max(0.0, message.deadline - time.monotonic())))
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        return Sent(message, f"{self._neighbour} cannot be reached: {reply.reason or 'no answer'}")
