"""The requests of a client that have no answer yet; each ends once, with an answer or why there is none."""

import threading
import time
import uuid
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field

from planner.errors import HostError
from planner.hosts.on_host.messages import ATTEMPT
from profiling.arrays import Array

_PAUSE_S = 0.2  # before a request is tried again
_CLOSED = "the client was closed"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a request.

    Parameters
    ----------
    outputs
        Output name -> array.
    request
        The name under which `RequestClient.events` knows it.
    seconds
        From sending it to having the answer, by the client's clock.
    attempts
        How often it was sent: more than once if hosts were lost on the way.
    """

    outputs: dict[str, Array]
    request: str
    seconds: float
    plan: int
    attempts: int


@dataclass(slots=True)
class PendingRequest:
    """A request on its way: `name` is that of its latest attempt.

    Parameters
    ----------
    payloads
        What to send, by input.
    sent, deadline, again
        By `time.monotonic()`; `again` is when it is sent again if an attempt has failed.
    outputs_wanted
        How many outputs its answer has.
    reason
        Why its attempt before the latest failed.
    """

    payloads: Mapping[str, bytes]
    plan: int
    outputs_wanted: int
    sent: float
    deadline: float
    request: str = field(default_factory=lambda: uuid.uuid4().hex[:ATTEMPT])
    future: "Future[Answer]" = field(default_factory=Future)
    name: str = ""
    attempts: int = 0
    reason: str = ""
    again: float = 0.0
    outputs: dict[str, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # So that it cannot be cancelled any more: it is on its way.
        self.future.set_running_or_notify_cancel()


class PendingRequests:
    """They may be sent, answered and ended from several threads.

    Parameters
    ----------
    most
        How many there may be at once.
    """

    def __init__(self, most: int) -> None:
        self._lock = threading.Lock()
        self._sent: dict[str, PendingRequest] = {}
        self._paused: list[PendingRequest] = []
        self._room = threading.BoundedSemaphore(most)
        self._is_closed = False

    def __contains__(self, name: object) -> bool:
        return name in self._sent

    def names(self) -> list[str]:
        """Return the names of the attempts that are on their way."""
        with self._lock:
            return list(self._sent)

    def wait_for_room(self) -> None:
        """Wait until there is room for one more, and keep it for a request that is then sent."""
        self._room.acquire()

    def begin(self, pending: PendingRequest) -> str:
        """Return the name of a request's first attempt, which is to be sent.

        Raises
        ------
        HostError
            If they were closed; the room is free then.
        """
        with self._lock:
            if self._is_closed:
                self._room.release()
                raise HostError(_CLOSED)
            return self._begin_attempt(pending)

    def begin_again(self) -> list[tuple[PendingRequest, str]]:
        """Return failed requests that are to be sent again by now, with the names of their next attempts."""
        now = time.monotonic()
        with self._lock:
            due = [pending for pending in self._paused if pending.again <= now]
            self._paused = [pending for pending in self._paused if pending.again > now]
            return [(pending, self._begin_attempt(pending)) for pending in due]

    def _begin_attempt(self, pending: PendingRequest) -> str:
        """Give it a new name: what still comes of an earlier attempt belongs to nobody."""
        pending.name = pending.request + uuid.uuid4().hex[ATTEMPT:]
        pending.attempts += 1
        pending.outputs.clear()
        self._sent[pending.name] = pending
        return pending.name

    def of(self, name: str) -> PendingRequest | None:
        """Return the request of an attempt; None if it belongs to nobody any more."""
        with self._lock:
            return self._sent.get(name)

    def answered(self, name: str, output: str, array: Array) -> None:
        """Take an output of a request, which ends with its last one."""
        with self._lock:
            pending = self._sent.get(name)
            if pending is None:
                return
            pending.outputs[output] = array
            if len(pending.outputs) < pending.outputs_wanted:
                return
            del self._sent[name]
        seconds = time.monotonic() - pending.sent
        self._end(pending, Answer(pending.outputs, name, seconds, pending.plan, pending.attempts))

    def failed(self, name: str, reason: str, *, is_lasting: bool) -> bool:
        """Let an attempt fail; return whether it was on its way.

        Parameters
        ----------
        is_lasting
            Whether it would fail later, too. If not, and if there is time, its request does not end yet.
        """
        again = time.monotonic() + _PAUSE_S
        with self._lock:
            pending = self._sent.pop(name, None)
            if pending is None:
                return False
            if not is_lasting and again < pending.deadline and not self._is_closed:
                pending.reason, pending.again = reason, again
                self._paused.append(pending)
                return True
        self._end(pending, HostError(reason))
        return True

    def end_late(self) -> None:
        """End those whose deadline has passed."""
        now = time.monotonic()
        with self._lock:
            late = [pending for pending in (*self._sent.values(), *self._paused) if pending.deadline <= now]
            for pending in late:
                self._sent.pop(pending.name, None)
            self._paused = [pending for pending in self._paused if pending.deadline > now]
        for pending in late:
            before = f"; before, {pending.reason}" if pending.reason else ""
            self._end(pending, HostError(f"no answer within {pending.deadline - pending.sent:g} s{before}"))

    def close(self) -> None:
        """End all, and take none any more."""
        with self._lock:
            self._is_closed = True
            left = [*self._sent.values(), *self._paused]
            self._sent.clear()
            self._paused.clear()
        for pending in left:
            self._end(pending, HostError(_CLOSED))

    def _end(self, pending: PendingRequest, result: Answer | HostError) -> None:
        """End a request that no other thread finds any more, and without the lock: its waiters run here."""
        # First: who hears of the result may send the next request at once.
        self._room.release()
        if isinstance(result, Answer):
            pending.future.set_result(result)
        else:
            pending.future.set_exception(result)
