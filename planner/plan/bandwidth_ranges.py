"""For which bandwidths plans are meant, and what they cost there."""

from planner.json_record import Record
from planner.scenario.link_schema import LinkSpec

FACTOR = "x"  # unit of a bandwidth that is a factor of each link's own


class BandwidthRange(Record, frozen=True, kw_only=True):
    """Where one plan of several is the best, and beyond where it is left; None without end.

    Parameters
    ----------
    low, high
        From which bandwidth (itself included) and to which it is the best one held.
    leave_below, leave_above
        The same with the margin against flapping.
    """

    low: float | None = None
    high: float | None = None
    leave_below: float | None = None
    leave_above: float | None = None

    def is_best_at(self, bandwidth: float) -> bool:
        """Return whether the plan is the best one at a bandwidth."""
        return (self.low is None or bandwidth >= self.low) and (self.high is None or bandwidth < self.high)

    def is_kept_at(self, bandwidth: float) -> bool:
        """Return whether a runtime that runs the plan stays with it at a bandwidth."""
        too_slow = self.leave_below is not None and bandwidth < self.leave_below
        return not (too_slow or (self.leave_above is not None and bandwidth > self.leave_above))


class PlanCosts(Record, frozen=True, kw_only=True):
    """What a plan is predicted to cost.

    Parameters
    ----------
    fixed_s, link_s
        Its latency is fixed_s + link_s / bandwidth of the links that are followed.
    compute_s
        Device -> seconds that it computes.
    """

    fixed_s: float
    link_s: float = 0.0
    compute_s: dict[str, float]
    throughput_per_s: float | None = None

    def latency_s(self, bandwidth: float | None) -> float | None:
        """Return the seconds of a request at a bandwidth; None if they depend on one that is not known."""
        if not self.link_s:
            return self.fixed_s
        return None if bandwidth is None else self.fixed_s + self.link_s / bandwidth


class FollowedLinks(Record, frozen=True, kw_only=True):
    """The links whose bandwidth decides which of several plans runs.

    Parameters
    ----------
    links
        (from, to) of each.
    unit
        What a bandwidth counts: Mbit/s, or `x` for the factor of each link's own in the scenario.
    own
        The bandwidth in that unit of the scenario itself.
    low, high
        Between which bandwidths plans were compared; None where that is not known.
    """

    links: tuple[tuple[str, str], ...]
    unit: str
    own: float
    low: float | None = None
    high: float | None = None

    def bytes_per_s(self, link: LinkSpec, bandwidth: float | None) -> float:
        """Return a link's bytes per second where the followed ones have a bandwidth, None for their own."""
        if bandwidth is None or (link.source, link.target) not in self.links:
            return link.bandwidth_bytes_per_s
        return link.bandwidth_bytes_per_s * self.mbit_per_s(link, bandwidth) / link.bandwidth_mbit_per_s

    def mbit_per_s(self, link: LinkSpec, bandwidth: float) -> float:
        """Return what a bandwidth of the followed links is for one of them."""
        return link.bandwidth_mbit_per_s * bandwidth if self.unit == FACTOR else bandwidth
