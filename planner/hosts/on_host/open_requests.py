"""The requests that a host works on: what each still waits for, and those that have ended, for a while."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

from planner.hosts.on_host.host_manifest import HostedPlan, HostedStage
from planner.hosts.on_host.messages import Array, Event

# Ended requests are remembered, so that what comes twice is not computed twice.
_REMEMBERED = 8192


@dataclass
class OpenRequest:
    """One request on this host.

    Parameters
    ----------
    deadline
        By `time.monotonic()`.
    arrays
        Tensors that stages here still read, by name.
    seen
        Names of the tensors that have come or arisen here.
    handed_to
        Neighbours that got something of it.
    """

    name: str
    client: str
    plan: int
    deadline: float
    arrays: dict[str, Array] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    started: set[int] = field(default_factory=set)
    events: dict[Event, None] = field(default_factory=dict)
    handed_to: set[str] = field(default_factory=set)

    def take(self, name: str, array: Array, plan: HostedPlan) -> Iterator[HostedStage]:
        """Keep a tensor if a stage reads it, and yield the stages that can start now, each once."""
        self.seen.add(name)
        if plan.tensors[name].stages:
            self.arrays[name] = array
        for stage in plan.stages:
            ready = all(spec.name in self.arrays for spec in stage.inputs)
            if ready and stage.number not in self.started:
                self.started.add(stage.number)
                yield stage

    def is_complete(self, plan: HostedPlan) -> bool:
        """Return whether nothing more will come or arise here."""
        return len(self.seen) == len(plan.tensors)


class OpenRequests:
    """All requests of a host. Not safe for several threads: the host holds its lock.

    Parameters
    ----------
    most
        How many may be open.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: dict[str, OpenRequest] = {}
        # Complete here, but another host may still work on them: by name, in the order in which they went.
        self._handed_on: dict[str, OpenRequest] = {}
        self._ended: OrderedDict[str, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[OpenRequest]:
        return iter(list(self._open.values()))

    @property
    def is_full(self) -> bool:
        """Whether no further request fits."""
        return len(self._open) >= self._most

    def get(self, name: str) -> OpenRequest | None:
        """Return an open request, if it is one."""
        return self._open.get(name)

    def has_ended(self, name: str) -> bool:
        """Return whether a request has ended here."""
        return name in self._ended

    def add(self, request: OpenRequest) -> None:
        """Open a request."""
        self._open[request.name] = request

    def end(self, name: str) -> None:
        """Close a request, and remember for a while that it has ended."""
        request = self._open.pop(name, None)
        if request is not None and request.handed_to:
            request.arrays.clear()
            self._handed_on[name] = request
        self._ended[name] = None
        while len(self._ended) > _REMEMBERED:
            self._ended.popitem(last=False)

    def handed_to(self, neighbour: str) -> list[OpenRequest]:
        """Return the requests, ended here or not, of which a neighbour got something."""
        requests = (*self._handed_on.values(), *self._open.values())
        return [request for request in requests if neighbour in request.handed_to]

    def pop_late(self, now: float) -> list[OpenRequest]:
        """Return the open requests whose deadline has passed, closed; forget those that others had."""
        late = [request for request in self._open.values() if request.deadline <= now]
        for request in late:
            self.end(request.name)
        gone = [name for name, request in self._handed_on.items() if request.deadline <= now]
        for name in gone:
            del self._handed_on[name]
        return late
