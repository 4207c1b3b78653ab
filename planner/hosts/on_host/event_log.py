"""What happened to requests: kept where it happened, and told once the request is done with there.

Nobody waits for it, and what is lost is missed by nobody but the report: so tensors carry none of it. A
message holds the events of several requests, each an entry of a head and its events, in network order:

| bytes | what |
|---|---|
| 16 | request |
| 2 | device, by its number in the deployment |
| 1 | events |
| 13 each | kind; tensor's or stage's number (2); the other device (2); clock of the device in ns (8) |
"""

from __future__ import annotations

import struct
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum

from planner.hosts.on_host.messages import BadMessageError

NOBODY = 2**16 - 1  # the other device of what has none: a stage, or what a client gave
MOST_TOLD_BYTES = 4096  # of a message: on a slow link, a tensor behind it waits for no more
_HEAD, _EVENT = struct.Struct("!16sHB"), struct.Struct("!BHHQ")
_MOST_EVENTS = 2**8 - 1
_MOST_REQUESTS = 4096
_MOST_OTHERS_BYTES = 2**20
_MOST_ASKED = 8192
_QUIET_S = 0.2  # without an event for so long, nothing more is expected


class EventKind(IntEnum):
    """What happens to a request: a tensor comes or goes, a stage begins or ends."""

    RECEIVED = 0
    SENT = 1
    STARTED = 2
    FINISHED = 3


@dataclass(frozen=True)
class HostEvent:
    """Something that happened to a request on one device.

    Parameters
    ----------
    number
        The tensor's, or the stage's.
    other
        The device that a tensor came from or goes to.
    clock_ns
        `time.time_ns()` of that device.
    """

    kind: EventKind
    number: int
    other: int
    clock_ns: int


@dataclass(frozen=True)
class RequestEvents:
    """What happened to a request on one device, or a part of it."""

    request: str
    device: int
    events: tuple[HostEvent, ...]

    @property
    def size_bytes(self) -> int:
        """What it adds to a message."""
        return _HEAD.size + len(self.events) * _EVENT.size


def told_bytes(entries: Iterable[RequestEvents]) -> bytes:
    """Return entries as bytes."""
    parts = []
    for entry in entries:
        parts.append(_HEAD.pack(bytes.fromhex(entry.request), entry.device, len(entry.events)))
        parts += [_EVENT.pack(one.kind, one.number, one.other, one.clock_ns) for one in entry.events]
    return b"".join(parts)


def told_events(data: bytes, devices: int) -> list[RequestEvents]:
    """Return the entries that bytes are.

    Parameters
    ----------
    devices
        How many the deployment has.

    Raises
    ------
    BadMessageError
        If the bytes are none, or too many, or name another device or kind.
    """
    if len(data) > MOST_TOLD_BYTES:
        raise BadMessageError(f"events of {len(data)} bytes")
    entries, at = [], 0
    try:
        while at < len(data):
            request, device, count = _HEAD.unpack_from(data, at)
            rows = data[at + _HEAD.size : at + _HEAD.size + count * _EVENT.size]
            if len(rows) < count * _EVENT.size:
                raise BadMessageError("events are cut off")
            events = tuple(HostEvent(EventKind(kind), *rest) for kind, *rest in _EVENT.iter_unpack(rows))
            _check_devices([device, *(one.other for one in events if one.other != NOBODY)], devices)
            entries.append(RequestEvents(request.hex(), device, events))
            at += entries[-1].size_bytes
    except (struct.error, ValueError) as exc:
        raise BadMessageError(f"events are not valid: {exc}") from exc
    return entries


def _check_devices(numbers: Iterable[int], devices: int) -> None:
    if any(number >= devices for number in numbers):
        raise BadMessageError("events of a device that is none")


def in_messages(entries: Iterable[RequestEvents]) -> Iterator[list[RequestEvents]]:
    """Yield entries in groups that fit into a message each."""
    group: list[RequestEvents] = []
    size_bytes = 0
    for entry in entries:
        size_bytes += entry.size_bytes
        if group and size_bytes > MOST_TOLD_BYTES:
            yield group
            group, size_bytes = [], entry.size_bytes
        group.append(entry)
    if group:
        yield group


class EventLog:
    """The events of one device until they are told, and those that others told it to pass on.

    Both are bounded: the oldest are forgotten. Not safe for several threads: the host holds its lock.

    Parameters
    ----------
    device
        Its number in the deployment.
    """

    def __init__(self, device: int) -> None:
        self._device = device
        # By request: when the latest event was added, and (kind, number, other) -> the first clock.
        self._own: OrderedDict[str, tuple[float, dict[tuple[EventKind, int, int], int]]] = OrderedDict()
        self._others: deque[RequestEvents] = deque()
        self._others_bytes = 0

    def __len__(self) -> int:
        return len(self._own) + len(self._others)

    def add(self, request: str, event: HostEvent, now: float) -> bool:
        """Keep an event, and return whether it is new; what is known already stays as it is."""
        _, known = self._own.pop(request, (0.0, {}))
        what = event.kind, event.number, event.other
        is_new = what not in known
        known.setdefault(what, event.clock_ns)
        self._own[request] = now, known
        while len(self._own) > _MOST_REQUESTS:
            self._own.popitem(last=False)
        return is_new

    def forget(self, request: str) -> None:
        """Forget a request that has failed: it will be sent again under another name."""
        self._own.pop(request, None)

    def take(self, entries: Iterable[RequestEvents]) -> None:
        """Keep what another device told, to pass it on."""
        for entry in entries:
            self._others.append(entry)
            self._others_bytes += entry.size_bytes
        while self._others_bytes > _MOST_OTHERS_BYTES:
            self._others_bytes -= self._others.popleft().size_bytes

    def pop_due(self, now: float, is_open: Callable[[str], bool]) -> list[RequestEvents]:
        """Return and forget what may be told: of requests that are done with here, and what others told.

        A request is done with once it is open no more and nothing has happened to it for a moment: its
        last tensor has gone by then.
        """
        entries = list(self._others)
        self._others.clear()
        self._others_bytes = 0
        done = []
        for request, (latest, _) in self._own.items():
            if latest > now - _QUIET_S:
                break
            if not is_open(request):
                done.append(request)
        for request in done:
            _, known = self._own.pop(request)
            events = [HostEvent(*what, clock_ns) for what, clock_ns in known.items()]
            for begin in range(0, len(events), _MOST_EVENTS):
                part = tuple(events[begin : begin + _MOST_EVENTS])
                entries.append(RequestEvents(request, self._device, part))
        return entries


class AskedBy:
    """At the source: who asked for which request, for a while after it has ended.

    Not safe for several threads: the host holds its lock.
    """

    def __init__(self) -> None:
        self._clients: OrderedDict[str, str] = OrderedDict()

    def __len__(self) -> int:
        return len(self._clients)

    def note(self, request: str, client: str) -> None:
        """Remember who asked for a request."""
        self._clients[request] = client
        while len(self._clients) > _MOST_ASKED:
            self._clients.popitem(last=False)

    def by_client(self, entries: Iterable[RequestEvents]) -> dict[str, list[RequestEvents]]:
        """Return client -> what is told of its requests; what nobody here asked for is left out."""
        found: dict[str, list[RequestEvents]] = {}
        for entry in entries:
            client = self._clients.get(entry.request)
            if client is not None:
                found.setdefault(client, []).append(entry)
        return found

    def forget(self, client: str) -> None:
        """Forget a client that has gone."""
        for request in [request for request, one in self._clients.items() if one == client]:
            del self._clients[request]
