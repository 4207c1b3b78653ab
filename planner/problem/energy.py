"""The energy of a request: what devices draw while they compute, while they wait, and for messages."""

from collections.abc import Sequence
from math import inf

from planner.problem.placement_problem import PlacementProblem


def energy_j(
    problem: PlacementProblem, busy_s: Sequence[float], latency_s: float, other_j: Sequence[float]
) -> tuple[float, ...]:
    """Return joules per device: active while busy, idle for the rest of the request, and for messages.

    Parameters
    ----------
    busy_s
        Seconds that each device computes; further visits apart, counted with their device here.
    other_j
        Joules per device that do not follow from time: of messages, and of units beyond their watts.
    """
    if latency_s == inf:  # nothing ever ends, so that idle energy has no bound
        return (inf,) * len(busy_s)
    joules = list(other_j)
    for d, (device, seconds) in enumerate(zip(problem.devices, busy_s, strict=True)):
        physical = problem.physical_device(d)
        joules[physical] += (device.active_w - device.idle_w) * seconds
        joules[physical] += device.idle_w * latency_s if physical == d else 0.0
    return tuple(joules)
