"""The plan set of a comparison: which few plans to hold, and where to change between them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from planner.comparison.bandwidth_traces import BandwidthDistribution
from planner.comparison.lower_envelope import Line
from planner.comparison.plan_selection import select_plans, simulate
from planner.comparison.records import BestPlanRange, PlanSet, PlanSummary, SelectedPlan
from planner.errors import ScenarioError

_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class PlanSetRequest:
    """What plan set is wanted.

    Parameters
    ----------
    most
        Plans that may be held.
    occurrence
        How often each bandwidth is met.
    hysteresis
        As in `PlanSet`.
    """

    most: int
    occurrence: BandwidthDistribution
    hysteresis: float = 0.0


def plan_set_of(
    order: PlanSetRequest, pieces: Sequence[BestPlanRange], plans: Sequence[PlanSummary]
) -> PlanSet:
    """Return the plans to hold.

    Raises
    ------
    ScenarioError
        If there are no ranges to choose from.
    """
    if not pieces:
        raise ScenarioError(
            "--plans: chooses from the ranges of bandwidths in which plans are best; there are none, since "
            "the objective is not latency, one bandwidth alone is compared, or no plan keeps the budgets"
        )
    slowest = min(order.occurrence.values)
    if slowest < pieces[0].low * (1 - _ROUNDING):
        raise ScenarioError(
            f"--plans: no plan keeps budget.latency_ms at {slowest:g}, only from {pieces[0].low:.4g} on"
        )
    # From fast links to slow ones, as 1/bandwidth grows.
    order_of = dict.fromkeys(piece.plan for piece in reversed(pieces))
    lines = [Line(plans[n].fixed_s, plans[n].link_s, n) for n in order_of]
    found = select_plans(lines, order.occurrence, order.most)
    bounds = [0.0, *found.switches, float("inf")]
    values = list(zip(order.occurrence.values, order.occurrence.shares, strict=True))
    margin = 1 + order.hysteresis
    held = []
    for line, (fast, slow) in zip(found.lines, pairwise(bounds), strict=True):
        high, low = 1 / fast if fast else None, 1 / slow if slow < float("inf") else None
        held.append(
            SelectedPlan(
                plan=line.plan,
                low=low,
                high=high,
                leave_below=None if low is None else low / margin,
                leave_above=None if high is None else high * margin,
                share=sum(share for value, share in values if fast < 1 / value <= slow),
            )
        )
    followed = (
        simulate(found, order.occurrence, order.hysteresis) if order.occurrence.in_time else (None, None)
    )
    return PlanSet(
        most=order.most,
        bandwidths=order.occurrence.source,
        plans=tuple(reversed(held)),
        mean_latency_s=found.mean,
        free_latency_s=found.free,
        regret=max(0.0, found.mean / found.free - 1) if found.free else 0.0,
        hysteresis=order.hysteresis,
        followed_latency_s=followed[0],
        changes=followed[1],
    )
