"""The few plans that serve a changing bandwidth best, and when to change from one to another.

Whoever holds K plans runs the best of them at each bandwidth. To a plan that serves some bandwidths only the
mean of their 1/bandwidth matters, since its latency is a line over that: so the best plan for them is one of
the lower envelope, and so are the best K plans. Which ones, dynamic programming tells.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from planner.comparison.bandwidth_traces import BandwidthDistribution
from planner.comparison.lower_envelope import CostLine


@dataclass(frozen=True, slots=True)
class Selection:
    """Plans that are held.

    Parameters
    ----------
    lines
        Over 1/bandwidth, for slower and slower links.
    switches
        1/bandwidth at which each gives way to the next.
    mean
        Mean cost if the best of them runs at each bandwidth.
    free
        Mean cost if all plans of the envelope were held.
    """

    lines: tuple[CostLine[int], ...]
    switches: tuple[float, ...]
    mean: float
    free: float


def select_plans(lines: Sequence[CostLine[int]], occurrence: BandwidthDistribution, most: int) -> Selection:
    """Return the plans, `most` at most, with the least mean cost.

    Parameters
    ----------
    lines
        The lower envelope over x = 1/bandwidth in the order of x; slopes fall.
    """
    pairs = [(1 / value, share) for value, share in zip(occurrence.values, occurrence.shares, strict=True)]

    # What chains cost whose last line serves all slower links; it hands over where it meets the next one.
    chains: dict[int, tuple[float, tuple[int, ...]]] = {
        i: (_cost_from(pairs, line, 0.0), (i,)) for i, line in enumerate(lines)
    }
    best = min(chains.values())
    for _ in range(most - 1):
        longer: dict[int, tuple[float, tuple[int, ...]]] = {}
        # From K plans to K + 1: the last plan of a chain gives way to a later line of the envelope.
        for j, after in enumerate(lines):
            for i, (cost, chain) in chains.items():
                if i < j:
                    meeting = _intersection(lines[i], after)
                    saved = _cost_from(pairs, lines[i], meeting) - _cost_from(pairs, after, meeting)
                    longer[j] = min(longer.get(j, (float("inf"), ())), (cost - saved, (*chain, j)))
        chains = longer
        best = min([best, *chains.values()])
    chosen = tuple(lines[i] for i in best[1])
    # A plan of the envelope is best from where the one before it meets it.
    switches = tuple(_intersection(a, b) for a, b in itertools.pairwise(chosen))
    free = sum(share * min(line.at(x) for line in lines) for x, share in pairs)
    return Selection(chosen, switches, best[0], free)


def _cost_from(pairs: Sequence[tuple[float, float]], line: CostLine[int], start: float) -> float:
    return sum(share * line.at(x) for x, share in pairs if x > start)


def _intersection(first: CostLine[int], second: CostLine[int]) -> float:
    return (second.intercept - first.intercept) / (first.slope - second.slope)


def simulate(selection: Selection, occurrence: BandwidthDistribution, margin: float) -> tuple[float, int]:
    """Return the mean cost and the number of changes of a runtime that follows bandwidths in time.

    Parameters
    ----------
    margin
        How far beyond a switch-over bandwidth, as a fraction of it, the bandwidth has to go before the
        runtime changes plans.
    """
    lines, switches = selection.lines, selection.switches
    current, mean, changes = None, 0.0, 0
    for value, share in zip(occurrence.values, occurrence.shares, strict=True):
        x = 1 / value
        best = sum(x > switch for switch in switches)
        if current is None:
            current = best
        left_upwards = best > current and x > switches[current] * (1 + margin)
        left_downwards = best < current and x < switches[current - 1] / (1 + margin)
        if left_upwards or left_downwards:
            current, changes = best, changes + 1
        mean += share * lines[current].at(x)
    return mean, changes
