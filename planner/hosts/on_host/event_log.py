"""What happened to requests on this host, for whoever asks afterwards: not sent along, where bytes count."""

from __future__ import annotations

from collections import deque

from planner.hosts.on_host.messages import Event, TensorHeader
from planner.hosts.on_host.open_requests import OpenRequest

_KEPT = 50_000
_MOST_TOLD = 20_000


class EventLog:
    """The latest events. Not safe for several threads: the host holds its lock."""

    def __init__(self) -> None:
        self._rows: deque[tuple[str, str, Event]] = deque(maxlen=_KEPT)

    def add(self, of: TensorHeader | OpenRequest, event: Event) -> None:
        """Keep an event of a request."""
        name = of.request if isinstance(of, TensorHeader) else of.name
        self._rows.append((of.client, name, event))

    def of_client(self, client: str) -> list[tuple[str, Event]]:
        """Return (request, event) of a client, the latest ones, in their order."""
        rows = [(request, event) for asked, request, event in self._rows if asked == client]
        return rows[-_MOST_TOLD:]
