"""The same placement problem for CP-SAT of OR-tools: a model as people write it, over integers.

Costs become integers of at least nine digits, rounded down, so that the bound holds for the real costs; the
plan is priced by the planner's own `cost_evaluation`.

Needs ortools 9.8 or later (`pip install ortools`). That is no extra of this package: it cannot be installed
beside the extra `qat`, for tensorflow-model-optimization wants absl-py < 2, and ortools wants >= 2.
"""

import time
from dataclasses import dataclass
from enum import StrEnum
from math import inf

from cp_sat_objective import add_limits_and_objective
from cp_sat_placement import Placement
from ortools.sat.python import cp_model

from planner.problem.cost_evaluation import evaluate, is_feasible
from planner.problem.placement_problem import Choice, PlacementProblem

_TOLERANCE = 2e-6  # relative, of limits; what the planner grants its own solvers
_LEAST_TIME_S = 0.5


class CpSatStatus(StrEnum):
    """What CP-SAT says."""

    OPTIMAL = "optimal"
    FEASIBLE = "feasible"
    INFEASIBLE = "infeasible"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class CpSatAnswer:
    """CP-SAT's answer in the problem's own units; None for what it does not have.

    Parameters
    ----------
    objective
        Of its plan, by `cost_evaluation`; None, too, if that plan breaks a limit by what rounding allows.
    seconds
        Of building the model and solving it.
    """

    status: CpSatStatus
    choice: Choice | None
    objective: float | None
    bound: float | None
    seconds: float


_STATUS = {
    cp_model.OPTIMAL: CpSatStatus.OPTIMAL,
    cp_model.FEASIBLE: CpSatStatus.FEASIBLE,
    cp_model.INFEASIBLE: CpSatStatus.INFEASIBLE,
    cp_model.UNKNOWN: CpSatStatus.UNKNOWN,
}


def solve_with_cp_sat(
    problem: PlacementProblem, time_limit_s: float, gap: float, workers: int = 2
) -> CpSatAnswer:
    """Solve within a time limit that building the model counts in.

    Raises
    ------
    NotModelledError
        If the problem has wires, or contiguous devices beside others.
    RuntimeError
        If the model is not valid, or CP-SAT's plan is none.
    """
    began = time.perf_counter()
    placement = Placement(problem)
    scale = add_limits_and_objective(placement)
    solver = cp_model.CpSolver()
    left_s = time_limit_s - (time.perf_counter() - began)
    solver.parameters.max_time_in_seconds = max(left_s, _LEAST_TIME_S)
    solver.parameters.relative_gap_limit = gap
    solver.parameters.num_workers = workers
    code = solver.solve(placement.model)
    seconds = time.perf_counter() - began
    if code not in _STATUS:
        raise RuntimeError(f"CP-SAT calls the model {solver.status_name(code)}: {placement.model.validate()}")
    status = _STATUS[code]
    if status is CpSatStatus.INFEASIBLE:
        return CpSatAnswer(status, None, None, None, seconds)
    bound = max(solver.best_objective_bound, 0.0) / scale
    if status is CpSatStatus.UNKNOWN:
        return CpSatAnswer(status, None, None, bound, seconds)
    choice = Choice(
        tuple(next(o for o, x in enumerate(row) if solver.boolean_value(x)) for row in placement.takes)
    )
    return CpSatAnswer(status, choice, _priced(problem, choice), bound, seconds)


def _priced(problem: PlacementProblem, choice: Choice) -> float | None:
    cost = evaluate(problem, choice)
    if cost.order is None or cost.violations or cost.latency_s == inf:
        raise RuntimeError(f"CP-SAT's plan breaks a rule: {cost.violations or 'order or links'}")
    return cost.objective if is_feasible(problem, cost, _TOLERANCE) else None
