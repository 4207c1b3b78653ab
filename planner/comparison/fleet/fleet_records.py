"""The plans to hold for a fleet, as compare.json says it."""

from planner.json_record import Record
from planner.plan.bandwidth_ranges import PlanCosts


class FleetRow(Record, frozen=True, kw_only=True):
    """A class of devices at a bandwidth.

    Parameters
    ----------
    bandwidth
        Mbit/s of the fleet's links; None for their own.
    share
        Of the fleet.
    plan, objective
        The best plan held, and what it costs here; None if none of them is possible here.
    best, bound
        What the best of all plans that were found costs here, and what none is below; None if there is none.
    reason
        Why there is no plan, or no best one.
    """

    device_class: str
    bandwidth: float | None
    share: float
    plan: int | None
    objective: float | None
    best: float | None
    bound: float | None
    reason: str = ""


class FleetRule(Record, frozen=True, kw_only=True):
    """The plan that a class runs from one bandwidth to another; None without end.

    Parameters
    ----------
    at_own_bandwidth
        Whether the class has no bandwidths: the plan is for its links as they are described.
    costs
        What the plan costs the class; None in records of older versions.
    """

    device_class: str
    low: float | None
    high: float | None
    plan: int
    at_own_bandwidth: bool = False
    costs: PlanCosts | None = None


class FleetPlans(Record, frozen=True, kw_only=True):
    """The few plans whose best one, for each class and bandwidth, gives the least mean objective.

    Parameters
    ----------
    most
        How many were allowed.
    status
        `optimal` if no other plans, as many at most, have a smaller mean and no cell is left out that a plan
        could serve; `infeasible` if no plan is possible anywhere, `unknown` if the solver found none.
    mean_objective, bound
        Over the classes and bandwidths that a plan serves; no set of plans that serves these is below the
        bound.
    free_objective
        Mean if each ran its own best plan.
    regret
        mean_objective / free_objective - 1.
    served
        Share of the fleet that a plan serves.
    candidates
        How many plans were chosen from.
    """

    device: str
    links: tuple[str, ...]
    most: int
    status: str
    mean_objective: float | None
    bound: float | None
    gap: float | None
    free_objective: float | None
    regret: float | None
    served: float
    candidates: int
    rows: tuple[FleetRow, ...]
    rule: tuple[FleetRule, ...]


def plan_for(rule: tuple[FleetRule, ...], device_class: str, bandwidth: float | None) -> int | None:
    """Return the plan that a rule picks for a class at a bandwidth; None if it has none for it.

    Parameters
    ----------
    bandwidth
        None for the links as they are described, or for any where one plan runs at all of them.

    Examples
    --------
    >>> slow = FleetRule(device_class="phone", low=None, high=3.0, plan=1)
    >>> fast = FleetRule(device_class="phone", low=3.0, high=None, plan=0)
    >>> plan_for((slow, fast), "phone", 2.0), plan_for((slow, fast), "phone", 3.0)
    (1, 0)
    >>> plan_for((slow, fast), "tablet", 2.0) is None
    True
    """
    own = [one for one in rule if one.device_class == device_class]
    if bandwidth is None:
        return own[0].plan if len(own) == 1 and own[0].low is None and own[0].high is None else None
    holds = (
        one
        for one in own
        if not one.at_own_bandwidth
        and (one.low is None or one.low <= bandwidth)
        and (one.high is None or bandwidth < one.high)
    )
    return next((one.plan for one in holds), None)
