"""What hosts tell a client of its requests: kept as it comes, and named when it is asked for."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import networkx as nx

from planner.hosts.on_host.event_log import NOBODY, EventKind, RequestEvents, told_bytes, told_events
from planner.hosts.routing import PlanRoutes
from planner.plan.manifest import PlanStages

_MOST_REQUESTS = 16384
_MOST_ENTRIES = 64  # of one request


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a request, by the clock of the host where it happened.

    Parameters
    ----------
    kind
        `received` and `sent` of a tensor, `started` and `finished` of a stage.
    subject
        The tensor's name, or the stage's number.
    other
        The host that a tensor came from or goes to; empty for a stage, and for what a client gave.
    clock_ns
        `time.time_ns()` of that host.
    """

    kind: str
    device: str
    subject: str
    other: str
    clock_ns: int


class ToldRequests:
    """What was told of the latest requests. Not safe for several threads: the client holds its lock.

    Parameters
    ----------
    devices
        How many the deployment has.
    """

    def __init__(self, devices: int) -> None:
        self._devices = devices
        self._entries: OrderedDict[str, list[bytes]] = OrderedDict()  # a fraction of what objects take

    def __len__(self) -> int:
        return len(self._entries)

    def expect(self, request: str) -> None:
        """Keep what will be told of a request."""
        self._entries[request] = []
        while len(self._entries) > _MOST_REQUESTS:
            self._entries.popitem(last=False)

    def forget(self, request: str) -> None:
        """Forget a request that has failed."""
        self._entries.pop(request, None)

    def take(self, entries: Iterable[RequestEvents]) -> None:
        """Keep what is told; of requests that are not this client's, nothing."""
        for entry in entries:
            known, content = self._entries.get(entry.request), told_bytes([entry])
            if known is not None and len(known) < _MOST_ENTRIES and content not in known:
                known.append(content)

    def of(self, request: str) -> list[RequestEvents]:
        """Return what was told of a request."""
        return [entry for one in self._entries.get(request, ()) for entry in told_events(one, self._devices)]


def named_events(
    entries: Iterable[RequestEvents], devices: Sequence[str], numbers: Mapping[str, int]
) -> tuple[Event, ...]:
    """Return events with names for numbers; of a tensor that the plan does not have, none.

    Parameters
    ----------
    numbers
        Of the plan's tensors.
    """
    names = {number: name for name, number in numbers.items()}
    found: dict[Event, None] = {}
    for entry in entries:
        for one in entry.events:
            is_stage = one.kind in {EventKind.STARTED, EventKind.FINISHED}
            subject = str(one.number) if is_stage else names.get(one.number)
            if subject is not None:
                other = "" if one.other == NOBODY else devices[one.other]
                kind, device = one.kind.name.lower(), devices[entry.device]
                found[Event(kind, device, subject, other, one.clock_ns)] = None
    return tuple(found)


def expected_events(manifest: PlanStages, links: nx.DiGraph) -> frozenset[tuple[str, str, str, str]]:
    """Return (kind, device, subject, other) of all events that the times of a request are told by."""
    expected = {("received", manifest.source, port.name, "") for port in manifest.inputs}
    for stage in manifest.stages:
        expected |= {(kind, stage.device, str(stage.number), "") for kind in ("started", "finished")}
    for tensor, before, after in PlanRoutes(manifest, links).crossings():
        expected |= {("sent", before, tensor, after), ("received", after, tensor, before)}
    return frozenset(expected)


def is_complete(events: Iterable[Event], expected: frozenset[tuple[str, str, str, str]]) -> bool:
    """Return whether everything was told that times need."""
    return expected <= {(event.kind, event.device, event.subject, event.other) for event in events}
