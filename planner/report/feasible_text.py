"""Why a plan is called feasible, not optimal, in words."""

from planner.formatting import counted
from planner.plan.plan_record import Plan, Tie
from planner.scenario.loader import parse_scenario
from planner.solver.result import OPTIMAL_GAP, SolveStatus


def _tie_text(tie: Tie) -> str:
    return (
        f"a tie: another plan may be better by {100 * tie.gap:.2g}%, which the costs cannot tell "
        f"({100 * tie.resolution:.2g}%); of such plans the simplest is taken, with "
        f"{counted(tie.changes, 'change')} of precision or device"
    )


def title_status(plan: Plan) -> str:
    """Return the status of a plan for a title: "optimal", and "tied for best" where costs cannot tell."""
    return plan.status if plan.tie is None else "tied for best"


def why_feasible(plan: Plan) -> str:
    """Return what left the gap of a plan open, and what helps; "" for one that is proved or has no gap."""
    gap = plan.objective.gap
    if plan.status != SolveStatus.FEASIBLE or gap is None:
        return ""
    if plan.tie is not None:
        return _tie_text(plan.tie)
    solver = parse_scenario(bytes(plan.scenario)).solver
    if plan.solver.runtime_s >= solver.time_limit_s:
        limit = f"{solver.time_limit_s:g} s"
        return f"solver.time_limit_s, {limit}, ended the search; a longer one may close the gap"
    if OPTIMAL_GAP < gap <= solver.gap:
        return f"solver.gap, {solver.gap:g}, ended the search; a smaller one goes on"
    if plan.rounds or plan.loop:
        return (
            "it is the best of the plans that were built and tried out; the bound is that of all plans under "
            "the last costs, so a gap stays"
        )
    return "the solver ended with this gap"
