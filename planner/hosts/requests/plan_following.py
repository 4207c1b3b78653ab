"""Which of several plans runs: follows the bandwidth of links, with a margin against flapping."""

from collections.abc import Mapping, Sequence

from planner.plan.bandwidth_ranges import FACTOR, BandwidthRange, FollowedLinks
from planner.plan.host_status import HostStatus, LinkStatus
from planner.scenario.link_schema import LinkSpec

_MBIT_BYTES = 1e6 / 8
_OLD_S = 3.0  # a link that has shown nothing for so long is probed


class PlanFollower:
    """The plan that runs, as bandwidths are seen: the rule of `planner.comparison.plan_selection.simulate`.

    Parameters
    ----------
    ranges
        Of each plan; together they cover every bandwidth.
    bandwidth
        At which the first plan is chosen.
    """

    def __init__(self, ranges: Sequence[BandwidthRange], bandwidth: float) -> None:
        self._ranges = tuple(ranges)
        self.plan = self._best(bandwidth)

    def follow(self, bandwidth: float) -> int:
        """Return the plan to run, now that a bandwidth is seen."""
        if not self._ranges[self.plan].is_kept_at(bandwidth):
            self.plan = self._best(bandwidth)
        return self.plan

    def _best(self, bandwidth: float) -> int:
        return next(number for number, one in enumerate(self._ranges) if one.is_best_at(bandwidth))


def seen_bandwidth(
    followed: FollowedLinks, links: Sequence[LinkSpec], statuses: Mapping[str, HostStatus]
) -> float | None:
    """Return the bandwidth of the followed links, in their unit: of several, that of the slowest.

    Parameters
    ----------
    links
        Of the scenario.
    statuses
        What hosts told of themselves, by device.

    Returns
    -------
    float | None
        None while no link has shown any.
    """
    own = {(link.source, link.target): link.bandwidth_mbit_per_s for link in links}
    seen = []
    for ends in followed.links:
        link = _link_status(statuses, *ends)
        if link is not None and link.bytes_per_s is not None:
            mbit_per_s = link.bytes_per_s / _MBIT_BYTES
            seen.append(mbit_per_s / own[ends] if followed.unit == FACTOR else mbit_per_s)
    return min(seen, default=None)


def links_to_probe(followed: FollowedLinks, statuses: Mapping[str, HostStatus]) -> list[tuple[str, str]]:
    """Return the followed links that are used by hosts, and have shown no bandwidth of late."""
    return [
        ends
        for ends in followed.links
        if (link := _link_status(statuses, *ends)) is not None
        and link.there
        and (link.bytes_per_s is None or link.seen_s_ago is None or link.seen_s_ago > _OLD_S)
    ]


def _link_status(statuses: Mapping[str, HostStatus], source: str, target: str) -> LinkStatus | None:
    return statuses[source].links.get(target) if source in statuses else None
