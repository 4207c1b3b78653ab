"""The period of a pipeline: the least seconds from one request to the next; its throughput is the inverse."""

from collections.abc import Sequence

from planner.problem.placement_problem import PlacementProblem


def period_s(
    problem: PlacementProblem,
    busy_s: Sequence[float],
    transfer_s: Sequence[float],
    link_s: Sequence[float],
) -> float:
    """Return the seconds that the busiest device or link works on a request.

    Parameters
    ----------
    busy_s
        Seconds that each device computes; further visits apart, counted with their device here.
    transfer_s
        Seconds per device of transfers that keep it from computing.
    link_s
        Seconds on each link.
    """
    loads = list(transfer_s)
    for device, seconds in enumerate(busy_s):
        loads[problem.physical_device(device)] += seconds
    return max((*loads, *link_s), default=0.0)
