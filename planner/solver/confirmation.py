"""Confirms what a solver claims: plans by their costs, bounds by the best plan, the rest by a second solver.

Solvers are wrong now and then. So a plan must keep the limits when the formulas price it, a bound must not
contradict a plan at hand, "infeasible" needs the relaxation's proof or a second solver that agrees, and an
optimum that no relaxation bounds is compared with a second solver's.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from math import inf

from planner.errors import OutOfTimeError, SolverFailure
from planner.problem.cost_evaluation import Cost, evaluate, is_feasible
from planner.problem.makespan import stage_order
from planner.problem.placement_problem import Choice, PlacementProblem
from planner.solver.device_order import DeviceOrder
from planner.solver.lagrangian.linear_quantity import parts_of_maximum
from planner.solver.result import SolveResult, SolveStatus, replace_choice
from planner.solver.second_opinion import second_opinion
from planner.solver.solver_options import Clock, SolverOptions

log = logging.getLogger(__name__)

LEAST_GAP = 1e-10  # absolute, where the objective is of order one: an optimum of 0 has no relative gap
LEAST_TIME_S = 0.5  # so that the last program can end by itself, and say something
# Options of all vertices up to which a second solver is asked: its program is built in a second or so.
_MOST_CHECKED = 3000
_CHECK_SHARE = 2.0  # times the first solver's seconds that a second one may take to compare an optimum
_TOLERANCE = 2e-6  # relative; both solvers take a constraint for kept within 1e-6


def confirmed_cost(problem: PlacementProblem, choice: Choice, solver: str) -> Cost:
    """Return what a solver's plan costs by the formulas.

    Raises
    ------
    SolverFailure
        If it breaks a limit by more than a solver's tolerance.
    """
    cost = evaluate(problem, choice)  # the solver's own sum differs in the last digits
    if not is_feasible(problem, cost, tolerance=_TOLERANCE):
        # Seen with CBC 2.10.3, whose preprocessing loses a row of some infeasible programs.
        raise SolverFailure(f"{solver} returned a plan that breaks a budget; try another solver")
    return cost


def is_contradicted(bound: float, objective: float) -> bool:
    """Return whether a plan with this objective is below a bound on it by more than rounding."""
    return bound > objective * (1 + _TOLERANCE) + LEAST_GAP


def is_among(
    problem: PlacementProblem,
    choice: Choice,
    keep: Sequence[Sequence[int]],
    device_order: DeviceOrder,
) -> bool:
    """Return whether a plan has only some options of each vertex, and runs in an order.

    Parameters
    ----------
    keep
        The numbers of each vertex's options.
    device_order
        Pairs of devices of which the first runs first, as far as that is decided.
    """
    chosen = [vertex.options[o] for vertex, o in zip(problem.vertices, choice.options, strict=True)]
    # Not only from unit to unit: a path may lead through devices that have no order.
    if stage_order(problem, chosen, device_order) is None:
        return False
    return all(option in kept for kept, option in zip(keep, choice.options, strict=True))


def confirm(
    problem: PlacementProblem,
    options: SolverOptions,
    result: SolveResult,
    dual_value: float | None,
    clock: Clock = time.perf_counter,
) -> SolveResult:
    """Return the result if nothing speaks against it, else what is known for sure.

    Parameters
    ----------
    dual_value
        What the relaxation proves of every plan, infinite if it proves that there is none; None if it
        proves nothing.

    Raises
    ------
    OutOfTimeError
        If a solver calls the limits impossible to keep and nothing confirms that in time.
    """
    if result.status is SolveStatus.INFEASIBLE:
        return _confirm_infeasible(problem, options, result, dual_value, clock)
    is_maximum = any(parts_of_maximum(problem, term.quantity) for term in problem.objective)
    # The relaxation of a maximum stays far below most optima.
    if result.status is SolveStatus.OPTIMAL and is_maximum and _is_small(problem):
        return _confirm_optimal(problem, options, result, clock)
    return result


def _is_small(problem: PlacementProblem) -> bool:
    """Return whether a second solve is soon done."""
    return sum(len(vertex.options) for vertex in problem.vertices) <= _MOST_CHECKED


def _confirm_infeasible(
    problem: PlacementProblem,
    options: SolverOptions,
    result: SolveResult,
    dual_value: float | None,
    clock: Clock,
) -> SolveResult:
    by_relaxation = dual_value == inf
    left_s = options.time_limit_s - result.runtime_s
    if by_relaxation and (left_s <= 0 or not _is_small(problem)):
        return result
    began = clock()
    # With a proof at hand, the explanation needs the time more than a second one.
    most_s = _CHECK_SHARE * result.runtime_s if by_relaxation else inf
    opinion = second_opinion(problem, options, max(min(left_s, most_s), LEAST_TIME_S), None, clock)
    result = replace(result, runtime_s=result.runtime_s + clock() - began)
    if opinion.choice is not None and opinion.objective is not None:
        log.warning("infeasible for %s, but a second solver has a plan", options.name)
        bound = 0.0 if by_relaxation else max(dual_value or 0.0, 0.0)  # costs are not negative
        return replace_choice(replace(result, bound=bound), opinion.choice, opinion.objective)
    if opinion.is_infeasible or by_relaxation:
        return result
    raise OutOfTimeError(
        f"{options.name} calls the limits impossible to keep, but no second solver agreed within "
        "the time limit"
    )


def _confirm_optimal(
    problem: PlacementProblem, options: SolverOptions, result: SolveResult, clock: Clock
) -> SolveResult:
    left_s = options.time_limit_s - result.runtime_s
    time_limit_s = min(left_s, max(LEAST_TIME_S, _CHECK_SHARE * result.runtime_s))
    if time_limit_s <= 0 or result.objective is None:
        return result
    began = clock()
    opinion = second_opinion(problem, options, time_limit_s, result.choice, clock)
    if (
        opinion.choice is None
        or opinion.objective is None
        or not is_contradicted(result.objective, opinion.objective)
    ):
        return result
    log.warning(
        "optimal for %s at %.9g, but a second solver has %.9g",
        options.name,
        result.objective,
        opinion.objective,
    )
    runtime_s = result.runtime_s + clock() - began
    return replace_choice(replace(result, bound=0.0, runtime_s=runtime_s), opinion.choice, opinion.objective)
