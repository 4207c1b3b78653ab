"""The requests that a host works on: what each still waits for, and those that have ended, for a while."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum

from planner.hosts.on_host.host_manifest import HostedPlan, HostedStage
from planner.hosts.on_host.messages import Array

# Ended requests are remembered, so that what comes twice is not computed twice.
_REMEMBERED = 8192


class _End(Enum):
    """How a request ended here."""

    COMPLETE = "complete"
    FAILED = "failed"


@dataclass
class OpenRequest:
    """One request on this host.

    Parameters
    ----------
    client
        Who gave its inputs here; None where a neighbour did.
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
    client: str | None
    plan: int
    deadline: float
    arrays: dict[str, Array] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    started: set[int] = field(default_factory=set)
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

    def waits_for(self, neighbour: str, plan: HostedPlan) -> bool:
        """Return whether a tensor is still to come from a neighbour."""
        return any(
            tensor.sender == neighbour and name not in self.seen for name, tensor in plan.tensors.items()
        )

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
        # Complete here, but another host may still work on them: in the order in which they were handed on.
        self._handed_on: OrderedDict[str, OpenRequest] = OrderedDict()
        self._ended: OrderedDict[str, _End] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    @property
    def is_full(self) -> bool:
        """Whether no further request fits."""
        return len(self._open) >= self._most

    def get(self, name: str) -> OpenRequest | None:
        """Return an open request, if it is one."""
        return self._open.get(name)

    def has_ended(self, name: str) -> bool:
        """Return whether a request has ended here: it is complete, or has failed."""
        return name in self._ended

    def has_failed(self, name: str) -> bool:
        """Return whether a request has failed, here or elsewhere."""
        return self._ended.get(name) is _End.FAILED

    def add(self, request: OpenRequest) -> None:
        """Open a request."""
        self._open[request.name] = request

    def end(self, name: str) -> None:
        """Close a request that is complete here; for a while it is known who else works on it."""
        request = self._open.pop(name, None)
        if request is not None and request.handed_to:
            request.arrays.clear()
            self._handed_on[name] = request
            while len(self._handed_on) > self._most:
                self._handed_on.popitem(last=False)
        self._remember(name, _End.COMPLETE)

    def fail(self, name: str) -> frozenset[str]:
        """Close a request that has failed, and return the neighbours that got something of it."""
        request = self._open.pop(name, None) or self._handed_on.pop(name, None)
        self._remember(name, _End.FAILED)
        if request is None:
            return frozenset()
        request.arrays.clear()
        return frozenset(request.handed_to)

    def forget(self, name: str) -> None:
        """Forget who else works on a request, as it has been answered."""
        self._handed_on.pop(name, None)

    def lost_with(self, neighbour: str, plans: Sequence[HostedPlan]) -> list[OpenRequest]:
        """Return the requests that a neighbour got something of, complete here or not, or owes something."""
        requests = (*self._handed_on.values(), *self._open.values())
        return [
            request
            for request in requests
            if neighbour in request.handed_to or request.waits_for(neighbour, plans[request.plan])
        ]

    def late(self, now: float) -> list[OpenRequest]:
        """Return the open requests whose deadline has passed; forget such ones that others work on."""
        gone = [name for name, request in self._handed_on.items() if request.deadline <= now]
        for name in gone:
            del self._handed_on[name]
        return [request for request in self._open.values() if request.deadline <= now]

    def _remember(self, name: str, end: _End) -> None:
        self._ended[name] = end
        self._ended.move_to_end(name)
        while len(self._ended) > _REMEMBERED:
            self._ended.popitem(last=False)
