"""A solver called through pulp: its failures as errors of ours, and what pulp's status says."""

from collections.abc import Mapping

import pulp

from planner.errors import SolverFailure
from planner.solver.result import SolveStatus

Start = Mapping[pulp.LpVariable, float]
"""Values of some variables that a solution is known to have."""
_STATUS = {
    pulp.LpSolutionOptimal: SolveStatus.OPTIMAL,
    pulp.LpSolutionIntegerFeasible: SolveStatus.FEASIBLE,
    pulp.LpSolutionInfeasible: SolveStatus.INFEASIBLE,
}


def call_solver(lp: pulp.LpProblem, solver: pulp.LpSolver) -> None:
    """Solve a program in place.

    Raises
    ------
    SolverFailure
        If the solver fails.
    """
    try:
        lp.solve(solver)
    except pulp.PulpSolverError as exc:
        raise SolverFailure(f"the solver failed: {exc}") from exc


def solve_status(lp: pulp.LpProblem) -> SolveStatus | None:
    """Return what the solver knows; None if it found no plan and proved nothing.

    pulp's `status` is right only about infeasibility (a plan at a time limit is "Optimal" there); for CBC's
    "Integer infeasible" it alone is.
    """
    if lp.status == pulp.LpStatusInfeasible:
        return SolveStatus.INFEASIBLE
    return _STATUS.get(lp.sol_status)
