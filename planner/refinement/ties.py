"""Plans that costs cannot tell apart: of these the simplest is taken."""

from collections.abc import Sequence
from dataclasses import replace
from math import hypot

from planner.plan.plan_record import Tie
from planner.problem.cost_evaluation import Cost, evaluate
from planner.problem.placement_problem import PlacementProblem
from planner.problem.quantities import CostMetric
from planner.refinement.joint_loop_state import TimedModels
from planner.refinement.loop_state import TimedPlan
from planner.refinement.noise_limit_search import GAIN, NoiseLimitSearch, SearchResult, rounds_of
from planner.solver.heuristics.simpler_plan import count_changes, simpler_plan
from planner.solver.result import OPTIMAL_GAP, SolveResult, replace_choice

COARSEST = 5e-3
"""Of the seconds of a plan's stages: however noisy costs are, a plan is not given away for more."""


def resolution_of(standard_error: float) -> float:
    """Return by which fraction the seconds of two plans have to differ for costs to tell them apart.

    It is the costs' standard error, but at least 0.1 % and at most 0.5 %.
    """
    return min(COARSEST, max(GAIN, standard_error))


def margin_of(problem: PlacementProblem, cost: Cost, resolution: float) -> float:
    """Return how much of a plan's objective cannot be told, as its devices' seconds or joules err."""
    return resolution * measured_part(problem, cost)


def simplified(search: NoiseLimitSearch, found: SearchResult, resolution: float) -> SearchResult:
    """Return a simpler plan that the costs cannot tell from the one found, and that keeps the budgets.

    Without one, the plan found is returned.
    """
    choice = found.result.choice
    if choice is None or found.unmet:
        return found
    cost = evaluate(found.problem, choice)
    at_most = cost.objective + margin_of(found.problem, cost, resolution)
    simpler = simpler_plan(found.problem, choice, at_most)
    if simpler == choice:
        return found
    keeps, state = search.keeps(found.problem, simpler, found.state)
    if not keeps:
        return replace(found, state=state)
    result = replace_choice(found.result, simpler, evaluate(found.problem, simpler).objective)
    return replace(found, result=result, rounds=rounds_of(state, simpler), state=state)


def simplest_of(timed: Sequence[TimedPlan]) -> TimedPlan:
    """Return the simplest of the timed plans that are as good as the best, as far as timing tells.

    Plans that break a limit, as their own timing shows, are not as good as any that keeps it.
    """
    timed = [plan for plan in timed if plan.is_feasible] or timed
    best = min(timed, key=lambda plan: plan.objective)
    tied = [plan for plan in timed if plan.objective - best.objective <= _margin_between(plan, best)]
    return min(tied, key=lambda plan: (plan.changes, plan.objective))


def is_tied_with(plan: TimedPlan | TimedModels, objective: float, resolution: float) -> bool:
    """Return whether an objective is not below that of a timed plan by more than its seconds can tell."""
    return plan.objective - objective <= resolution * plan.measured_part


def tie_of(problem: PlacementProblem, result: SolveResult, resolution: float) -> Tie | None:
    """Return by how much others may be better, where the costs cannot tell that; None where they can."""
    if result.choice is None or result.gap is None or result.gap <= OPTIMAL_GAP:
        return None
    cost = evaluate(problem, result.choice)
    margin = margin_of(problem, cost, resolution)
    if (result.bound or 0.0) * (1 + OPTIMAL_GAP) < cost.objective - margin:
        return None
    changes = count_changes(problem, result.choice)
    return Tie(gap=result.gap, resolution=margin / cost.objective, changes=changes)


def measured_part(problem: PlacementProblem, cost: Cost) -> float:
    """Return which part of an objective follows from measured seconds."""
    busy_s, joules = sum(cost.busy_s), sum(cost.energy_j)
    measured = {
        CostMetric.LATENCY: busy_s,
        CostMetric.MAKESPAN: busy_s,
        CostMetric.PERIOD: busy_s,
        CostMetric.ENERGY: joules,
        CostMetric.MONEY: cost.money,
    }
    part = sum(term.weight * measured.get(term.quantity.metric, 0.0) for term in problem.objective)
    return min(cost.objective, part)


def _margin_between(one: TimedPlan, other: TimedPlan) -> float:
    error = hypot(one.standard_error, other.standard_error)
    return resolution_of(error) * min(one.measured_part, other.measured_part)
