"""The plan set of a comparison: which few plans to hold, and where to change between them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from planner.comparison.bandwidth_traces import BandwidthDistribution
from planner.comparison.comparison_record import BestPlanRange, PlanSet, PlanSummary, SelectedPlan
from planner.comparison.lower_envelope import CostLine
from planner.comparison.plan_selection import select_plans, simulate
from planner.errors import ScenarioError

_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class PlanSetRequest:
    """What plan set is wanted.

    Parameters
    ----------
    most
        Plans that may be held, at most.
    occurrence
        How often each bandwidth occurs.
    hysteresis
        As in `PlanSet`.
    """

    most: int
    occurrence: BandwidthDistribution
    hysteresis: float = 0.0


def plan_set_of(
    request: PlanSetRequest, pieces: Sequence[BestPlanRange], plans: Sequence[PlanSummary]
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
    slowest = min(request.occurrence.values)
    if slowest < pieces[0].low * (1 - _ROUNDING):
        raise ScenarioError(
            f"--plans: no plan keeps budget.latency_ms at {slowest:g}, only from {pieces[0].low:.4g} on"
        )
    # From fast links to slow ones, as 1/bandwidth grows.
    order_of = dict.fromkeys(piece.plan for piece in reversed(pieces))
    lines = [CostLine(plans[n].fixed_s, plans[n].link_s, n) for n in order_of]
    selection = select_plans(lines, request.occurrence, request.most)
    bounds = [0.0, *selection.switches, float("inf")]
    values = list(zip(request.occurrence.values, request.occurrence.shares, strict=True))
    margin = 1 + request.hysteresis
    selected = []
    for line, (fast, slow) in zip(selection.lines, pairwise(bounds), strict=True):
        high, low = 1 / fast if fast else None, 1 / slow if slow < float("inf") else None
        selected.append(
            SelectedPlan(
                plan=line.plan,
                low=low,
                high=high,
                leave_below=None if low is None else low / margin,
                leave_above=None if high is None else high * margin,
                share=sum(share for value, share in values if fast < 1 / value <= slow),
            )
        )
    simulated = (
        simulate(selection, request.occurrence, request.hysteresis)
        if request.occurrence.in_time
        else (None, None)
    )
    return PlanSet(
        most=request.most,
        bandwidths=request.occurrence.source,
        plans=tuple(reversed(selected)),
        mean_latency_s=selection.mean,
        free_latency_s=selection.free,
        regret=max(0.0, selection.mean / selection.free - 1) if selection.free else 0.0,
        hysteresis=request.hysteresis,
        followed_latency_s=simulated[0],
        changes=simulated[1],
    )
