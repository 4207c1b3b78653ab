"""Tells what happened to requests towards who asked for them, every now and then and behind all else."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from planner.hosts.on_host.event_log import (
    NOBODY,
    AskedBy,
    EventKind,
    EventLog,
    HostEvent,
    RequestEvents,
    in_messages,
    told_bytes,
    told_events,
)
from planner.hosts.on_host.messages import BadMessageError

if TYPE_CHECKING:
    from planner.hosts.on_host.host_manifest import HostManifest
    from planner.hosts.on_host.network import Network

_LOG = logging.getLogger(__name__)
_PERIOD_S = 0.25  # events of so long go in one message


class EventTeller:
    """The events of a host's requests, on their way to the source, and from there to who asked.

    Parameters
    ----------
    lock
        The host's.
    is_open
        Whether the host still works on a request; asked with the lock held.
    """

    def __init__(
        self,
        network: Network,
        manifest: HostManifest,
        lock: threading.RLock,
        is_open: Callable[[str], bool],
    ) -> None:
        self._network, self._manifest, self._lock, self._is_open = network, manifest, lock, is_open
        self._numbers = {name: number for number, name in enumerate(manifest.devices)}
        self._log, self._asked_by = EventLog(self._numbers[manifest.device]), AskedBy()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def start(self) -> None:
        """Begin to tell, and to hear what hosts further on tell."""
        self._network.hear(self._manifest.neighbours, self.hear)
        self._thread.start()

    def close(self) -> None:
        """End; what is not told yet is lost."""
        self._closed.set()

    def asked(self, request: str, client: str) -> None:
        """Note at the source who asked for a request."""
        self._asked_by.note(request, client)

    def tensor(self, kind: EventKind, request: str, number: int, other: str, clock_ns: int) -> bool:
        """Note that a tensor came from or went to another device, or client; return whether that is new."""
        event = HostEvent(kind, number, self._numbers.get(other, NOBODY), clock_ns)
        return self._log.add(request, event, time.monotonic())

    def stage(self, request: str, number: int, started_ns: int, finished_ns: int) -> None:
        """Note when a stage ran."""
        for kind, clock_ns in ((EventKind.STARTED, started_ns), (EventKind.FINISHED, finished_ns)):
            self._log.add(request, HostEvent(kind, number, NOBODY, clock_ns), time.monotonic())

    def forget_request(self, request: str) -> None:
        """Forget a request that has failed: it will be sent again under another name."""
        self._log.forget(request)

    def forget_client(self, client: str) -> None:
        """Forget a client that has gone."""
        self._asked_by.forget(client)

    def hear(self, sender: str, content: bytes) -> None:
        """Keep what a neighbour tells, to pass it on; what is not valid is left out: nobody waits for it."""
        try:
            entries = told_events(content, len(self._numbers))
        except BadMessageError as exc:
            _LOG.warning("told by %s: %s", sender, exc)
            return
        with self._lock:
            self._log.take(entries)

    def _work(self) -> None:
        while not self._closed.wait(_PERIOD_S):
            for receiver, entries in self._due().items():
                for group in in_messages(entries):
                    self._network.tell(receiver, told_bytes(group))

    def _due(self) -> dict[str, list[RequestEvents]]:
        """Return receiver -> what it is told now."""
        with self._lock:
            due = self._log.pop_due(time.monotonic(), self._is_open)
            if self._manifest.device == self._manifest.source:
                return self._asked_by.by_client(due)
        return {self._manifest.next_hop[self._manifest.source]: due} if due else {}
