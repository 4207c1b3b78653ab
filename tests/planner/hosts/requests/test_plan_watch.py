"""The plan that a client runs by, from hosts that are asked: here in this process."""

import time

import pytest

from planner.errors import HostError
from planner.hosts.requests.plan_watch import PlanWatch
from planner.plan.bandwidth_ranges import BandwidthRange, FollowedLinks
from planner.plan.host_status import HostStatus, LinkStatus
from planner.scenario.link_schema import LinkSpec

MBIT = 1e6 / 8
LINKS = (LinkSpec.model_validate({"from": "a", "to": "b", "bandwidth_mbit_per_s": 1}),)
FOLLOWED = FollowedLinks(links=(("a", "b"),), unit="Mbit/s", own=1.0)
RANGES = (BandwidthRange(high=5.0, leave_above=6.0), BandwidthRange(low=5.0, leave_below=4.0))


class OneHost:
    """A host whose link has a bandwidth that only a probe shows, unless it was seen of late."""

    def __init__(self) -> None:
        self.seen: float | None = None
        self.true = 1.0
        self.is_old = False
        self.is_there = True
        self.probes = self.questions = 0

    def status(self, device: str) -> HostStatus:
        self.questions += 1
        if not self.is_there:
            raise HostError(f"{device} cannot be reached")
        link = LinkStatus(
            there=True,
            messages=0,
            bytes=0,
            bytes_per_s=None if self.seen is None else self.seen * MBIT,
            seen_s_ago=None if self.seen is None else 60.0 * self.is_old,
            round_trip_s=None,
            clock_offset_s=None,
            queue=0,
        )
        counts = dict.fromkeys(("stages", "open", "ready", "answered", "failed", "refused"), 0)
        return HostStatus(
            device=device, deployment="", plans=(), up_s=0.0, memory_mib=None, links={"b": link}, **counts
        )

    def probe(self, device: str, neighbours: tuple[str, ...] = ()) -> HostStatus:
        assert (device, neighbours) == ("a", ("b",))
        self.probes += 1
        self.seen, self.is_old = self.true, False
        return self.status(device)


@pytest.fixture
def host() -> OneHost:
    return OneHost()


@pytest.fixture
def watch(host):
    watch = PlanWatch(host, RANGES, FOLLOWED, LINKS)
    yield watch
    watch.close()


def test_the_first_plan_is_that_of_the_scenarios_bandwidth(host, watch):
    host.is_there = False
    watch.refresh()
    assert (watch.plan(), watch.bandwidth) == (0, None)


def test_a_link_that_shows_nothing_is_probed(host, watch):
    host.true = 50.0
    watch.refresh()
    assert (watch.plan(), watch.bandwidth, host.probes) == (1, 50.0, 1)
    watch.refresh()
    assert host.probes == 1


def test_a_link_that_has_shown_nothing_of_late_is_probed_again(host, watch):
    host.seen, host.is_old, host.true = 50.0, True, 2.0
    watch.refresh()
    assert (watch.plan(), watch.bandwidth) == (0, 2.0)


def test_a_host_that_is_gone_changes_nothing(host, watch):
    host.seen = 50.0
    watch.refresh()
    host.is_there = False
    watch.refresh()
    assert (watch.plan(), watch.bandwidth) == (1, 50.0)


def test_the_plan_changes_by_itself_while_requests_run(host, watch):
    host.seen = 50.0
    ends = time.monotonic() + 30
    while watch.plan() != 1:
        assert time.monotonic() < ends
        time.sleep(0.01)
    watch.close()
