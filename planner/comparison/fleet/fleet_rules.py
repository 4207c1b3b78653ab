"""Which of a fleet's plans a class runs from which bandwidth to which.

Where a plan's latency is a line over 1/bandwidth, the rule is the lower envelope of the plans held, as far as
it keeps a limit on latency. Elsewhere costs are known at the fleet's own bandwidths only. More bandwidth
breaks no limit: so a plan that keeps its limits at one of them does at all faster ones.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf, sqrt

from planner.comparison.fleet.fleet_classes import WIDEST, FleetCell, FleetProblems
from planner.comparison.fleet.fleet_records import FleetRule
from planner.comparison.fleet.fleet_selection import FleetSelection, PortableChoice, cost_line
from planner.comparison.lower_envelope import EnvelopePiece, lower_envelope
from planner.comparison.plan_registry import PlanRegistry
from planner.comparison.sweep_points import LATENCY
from planner.plan.bandwidth_ranges import PlanCosts
from planner.problem.cost_evaluation import evaluate
from planner.problem.quantities import CostMetric
from planner.refinement.plan_assembly import busy_of
from planner.scenario.fleet_schema import DeviceClassSpec

_SAME_AT_ALL_BANDWIDTHS = {CostMetric.MEMORY, CostMetric.NOISE, CostMetric.TRAFFIC}


@dataclass(frozen=True, slots=True)
class _Range:
    """Bandwidths, None without end, in which a plan runs."""

    low: float | None
    high: float | None
    plan: int


def fleet_rules(
    classes: Sequence[DeviceClassSpec],
    cells: Sequence[FleetCell],
    selection: FleetSelection,
    problems: FleetProblems,
) -> Iterator[FleetRule]:
    """Yield which plan each class runs from which bandwidth to which, slow links first.

    No range holds a bandwidth at which its plan breaks a limit.
    """
    for device_class in classes:
        own = [c for c, cell in enumerate(cells) if cell.device_class.name == device_class.name]
        at_own_bandwidth = not device_class.bandwidths
        for one in _ranges(device_class, own, selection, problems):
            yield FleetRule(
                device_class=device_class.name,
                low=one.low,
                high=one.high,
                plan=one.plan,
                at_own_bandwidth=at_own_bandwidth,
                costs=_costs(device_class, selection.plans[one.plan], problems),
            )


def _costs(device_class: DeviceClassSpec, plan: PortableChoice, problems: FleetProblems) -> PlanCosts | None:
    """Return what a plan costs a class: its latency as a line over 1/bandwidth, or at the own one."""
    bandwidth = device_class.bandwidths[0].mbit_per_s if device_class.bandwidths else None
    problem = problems.problem(device_class, bandwidth)
    choice = plan.in_problem(problem)
    if choice is None:
        return None
    cost = evaluate(problem, choice)
    fixed_s, link_s = cost.latency_s, 0.0
    if bandwidth is not None:
        points = problems.points(device_class)
        fixed_s, link_s = PlanRegistry(points).latency_line(cost, points.scenario(bandwidth, {}))
    return PlanCosts(fixed_s=fixed_s, link_s=link_s, compute_s=busy_of(problem, cost))


def _ranges(
    device_class: DeviceClassSpec,
    own: Sequence[int],
    selection: FleetSelection,
    problems: FleetProblems,
) -> list[_Range]:
    best = [_best_plan(selection.costs[c]) for c in own]
    if all(plan is None for plan in best):
        return []
    if not device_class.bandwidths:
        return [_Range(None, None, plan) for plan in best if plan is not None]
    known = [(one.mbit_per_s, plan) for one, plan in zip(device_class.bandwidths, best, strict=True)]
    if problems.has_lines(device_class):
        fastest = max(c for c, plan in zip(own, best, strict=True) if plan is not None)
        held = {k: selection.plans[k] for k, cost in enumerate(selection.costs[fastest]) if cost < inf}
        return _ranges_of_lines(device_class, held, problems, min(b for b, plan in known if plan is not None))
    limited = {limit.quantity.metric for limit in problems.problem(device_class, None).limits}
    return _joined(_between(known) if limited <= _SAME_AT_ALL_BANDWIDTHS else _from_each_on(known))


def _best_plan(costs: Sequence[float]) -> int | None:
    least = min(costs, default=inf)
    return costs.index(least) if least < inf else None


def _ranges_of_lines(
    device_class: DeviceClassSpec, held: dict[int, PortableChoice], problems: FleetProblems, served: float
) -> list[_Range]:
    """Return the ranges of plans whose latencies are lines over 1/bandwidth.

    Parameters
    ----------
    served
        The slowest bandwidth at which a plan is known to keep all limits.
    """
    problem = problems.problem(device_class, 1.0)
    latest = problem.tightest_limit(CostMetric.LATENCY)
    at_one, at_half = (
        problems.problem(device_class, bandwidth).with_limit(LATENCY, None) for bandwidth in (1.0, 0.5)
    )
    lines = [cost_line(plan, (1.0, at_one), (2.0, at_half), k) for k, plan in held.items()]
    low, high = (1 / value for value in reversed(WIDEST))
    pieces = lower_envelope(lambda x: min(lines, key=lambda one: one.at(x)), low, high)
    slowest = min(served, _slowest(pieces, latest))
    return list(_cut_off(pieces, slowest))


def _slowest(pieces: Sequence[EnvelopePiece[int]], latest: float) -> float:
    """Return the slowest bandwidth at which the best of lines takes no longer than a limit; 0 without end."""
    for piece in reversed(pieces):
        line = piece.line
        if line.at(piece.high) <= latest:
            return 0.0 if piece is pieces[-1] else 1 / piece.high
        if line.at(piece.low) <= latest:
            return 1 / min(piece.high, (latest - line.intercept) / line.slope)
    return inf


def _cut_off(pieces: Sequence[EnvelopePiece[int]], slowest: float) -> Iterator[_Range]:
    """Yield the ranges of pieces over 1/bandwidth, slow ones first, without what is slower than `slowest`."""
    for piece in reversed(pieces):
        slow = 0.0 if piece is pieces[-1] else 1 / piece.high
        fast = inf if piece is pieces[0] else 1 / piece.low
        if fast > slowest:
            low = max(slow, slowest)
            yield _Range(low or None, None if fast == inf else fast, piece.line.plan)


def _between(known: Sequence[tuple[float, int | None]]) -> Iterator[_Range]:
    """Yield ranges that meet in the middle, by magnitudes, between bandwidths, and are open at both ends."""
    middles = [sqrt(slow * fast) for (slow, _), (fast, _) in pairwise(known)]
    for low, high, (_, plan) in zip([None, *middles], [*middles, None], known, strict=True):
        if plan is not None:
            yield _Range(low, high, plan)


def _from_each_on(known: Sequence[tuple[float, int | None]]) -> Iterator[_Range]:
    """Yield ranges from the bandwidth at which a plan keeps its limits to the next one."""
    highs = [*(bandwidth for bandwidth, _ in known[1:]), None]
    for (low, plan), high in zip(known, highs, strict=True):
        if plan is not None:
            yield _Range(low, high, plan)


def _joined(ranges: Iterator[_Range]) -> list[_Range]:
    """Return ranges with neighbours of the same plan made one."""
    joined: list[_Range] = []
    for one in ranges:
        if joined and joined[-1].plan == one.plan and joined[-1].high == one.low:
            joined[-1] = _Range(joined[-1].low, one.high, one.plan)
        else:
            joined.append(one)
    return joined
