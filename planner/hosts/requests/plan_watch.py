"""Asks for the bandwidth of links while requests run, and says by which plan the next one runs."""

import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Protocol

from planner.errors import HostError
from planner.hosts.requests.plan_following import PlanFollower, links_to_probe, seen_bandwidth
from planner.plan.bandwidth_ranges import BandwidthRange, FollowedLinks
from planner.plan.host_status import HostStatus
from planner.scenario.link_schema import LinkSpec

_PERIOD_S = 0.5
_IDLE_S = 5.0  # without requests for so long, nobody is asked


class HostQuestions(Protocol):
    """What hosts can be asked."""

    def status(self, device: str) -> HostStatus:
        """Return what a host tells of itself."""

    def probe(self, device: str, neighbours: tuple[str, ...] = ()) -> HostStatus:
        """Let a host measure its connections to some neighbours; return its status after that."""


class PlanWatch:
    """The plan to run by, kept up to date by a thread of its own while there are requests.

    Parameters
    ----------
    links
        Of the scenario.
    """

    def __init__(
        self,
        hosts: HostQuestions,
        ranges: Iterable[BandwidthRange],
        followed: FollowedLinks,
        links: tuple[LinkSpec, ...],
    ) -> None:
        self._hosts, self._followed, self._links = hosts, followed, links
        self._follower = PlanFollower(tuple(ranges), followed.own)
        self._lock = threading.Lock()
        self._used_s = time.monotonic()
        self._closed = threading.Event()
        self.bandwidth: float | None = None
        threading.Thread(target=self._work, daemon=True).start()

    def plan(self) -> int:
        """Return the plan for the next request."""
        self._used_s = time.monotonic()
        return self._follower.plan

    def refresh(self) -> None:
        """Ask hosts now; what cannot be reached changes nothing."""
        with self._lock:
            senders = dict.fromkeys(source for source, _ in self._followed.links)
            statuses = {}
            for device in senders:
                with suppress(HostError):
                    statuses[device] = self._hosts.status(device)
            for device, neighbour in links_to_probe(self._followed, statuses):
                with suppress(HostError):
                    statuses[device] = self._hosts.probe(device, (neighbour,))
            seen = seen_bandwidth(self._followed, self._links, statuses)
            if seen is not None:
                self.bandwidth = seen
                self._follower.follow(seen)

    def close(self) -> None:
        """End."""
        self._closed.set()

    def _work(self) -> None:
        while not self._closed.wait(_PERIOD_S):
            if time.monotonic() - self._used_s < _IDLE_S:
                self.refresh()
