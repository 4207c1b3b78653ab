"""At the source: which requests are on their way and for whom, and which wait until others have ended."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from planner.hosts.on_host.messages import ATTEMPT, Busy, Refused

M = TypeVar("M")


@dataclass
class Admitted:
    """A request that is on its way.

    Parameters
    ----------
    deadline
        By `time.monotonic()`.
    missing
        (plan, number) of the outputs that its client has not been sent yet.
    """

    client: str
    deadline: float
    missing: set[tuple[int, int]]


@dataclass
class _Waiting(Generic[M]):
    """A request that waits, with its messages."""

    request: Admitted
    messages: list[M] = field(default_factory=list)


class Admission(Generic[M]):
    """At most so many requests at once; the others wait in order, each with all of its messages.

    Not safe for several threads: the host holds its lock.

    Parameters
    ----------
    most, most_waiting
        How many requests may be on their way, and how many messages may wait.
    """

    def __init__(self, most: int, most_waiting: int) -> None:
        self._most, self._most_waiting = most, most_waiting
        self._admitted: dict[str, Admitted] = {}
        self._waiting: OrderedDict[str, _Waiting[M]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._admitted)

    @property
    def waiting(self) -> int:
        """How many messages wait."""
        return sum(len(one.messages) for one in self._waiting.values())

    def get(self, name: str) -> Admitted | None:
        """Return a request that is on its way, if it is one."""
        return self._admitted.get(name)

    def admit(self, name: str, request: Admitted, message: M) -> bool:
        """Let a request in, or keep its message until there is room; return whether it is in.

        Raises
        ------
        Busy
            If too many messages wait.
        Refused
            If another client's request of that name waits.
        """
        if name in self._admitted:
            return True
        if not self._waiting and len(self._admitted) < self._most:
            self._admitted[name] = request
            return True
        if self.waiting >= self._most_waiting:
            raise Busy("too many requests wait")
        waiting = self._waiting.setdefault(name, _Waiting(request))
        if waiting.request.client != request.client:
            raise Refused("another client's request has that name")
        waiting.messages.append(message)
        return False

    def leave(self, name: str) -> Admitted | None:
        """Forget a request that has ended, and return it."""
        return self._admitted.pop(name, None)

    def pop_waiting(self) -> list[M]:
        """Let in the request that has waited longest, if there is room, and return its messages."""
        if not self._waiting or len(self._admitted) >= self._most:
            return []
        name, waiting = self._waiting.popitem(last=False)
        self._admitted[name] = waiting.request
        return waiting.messages

    def late(self, now: float) -> list[str]:
        """Return the names of requests on their way whose deadline has passed."""
        return [name for name, request in self._admitted.items() if request.deadline <= now]

    def pop_late_waiting(self, now: float) -> list[M]:
        """Forget requests that have waited beyond their deadline, and return their messages."""
        return self._pop(name for name, one in self._waiting.items() if one.request.deadline <= now)

    def of_client(self, client: str) -> list[str]:
        """Return the names of a client's requests that are on their way."""
        return [name for name, request in self._admitted.items() if request.client == client]

    def earlier_attempts(self, name: str, client: str) -> list[str]:
        """Return the names of a client's other attempts at the same request that are on their way."""
        return [
            other for other in self.of_client(client) if other != name and other[:ATTEMPT] == name[:ATTEMPT]
        ]

    def pop_waiting_attempts(self, name: str, client: str) -> list[M]:
        """Forget the other attempts at a request that wait, and return their messages."""
        return self._pop(
            other
            for other, one in self._waiting.items()
            if one.request.client == client and other != name and other[:ATTEMPT] == name[:ATTEMPT]
        )

    def pop_waiting_of(self, client: str) -> list[M]:
        """Forget a client's requests that wait, and return their messages."""
        return self._pop(name for name, one in self._waiting.items() if one.request.client == client)

    def _pop(self, names: Iterable[str]) -> list[M]:
        return [message for name in list(names) for message in self._waiting.pop(name).messages]
