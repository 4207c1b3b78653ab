"""The solver's answer to the integer program, read off its variables."""

from collections.abc import Sequence

import pulp

from planner.problem.placement_problem import Choice
from planner.solver.milp.program import Program
from planner.solver.result import SolveStatus

_STATUS = {
    pulp.LpSolutionOptimal: SolveStatus.OPTIMAL,
    pulp.LpSolutionIntegerFeasible: SolveStatus.FEASIBLE,
    pulp.LpSolutionInfeasible: SolveStatus.INFEASIBLE,
}


def solve_status(lp: pulp.LpProblem) -> SolveStatus | None:
    """Return what the solver knows; None if it found no plan and proved nothing.

    pulp's `status` is right only about infeasibility (a plan at a time limit is "Optimal" there); for CBC's
    "Integer infeasible" it alone is.
    """
    if lp.status == pulp.LpStatusInfeasible:
        return SolveStatus.INFEASIBLE
    return _STATUS.get(lp.sol_status)


def decoded_choice(program: Program) -> Choice:
    """Return the choice that the variables of a solved program stand for."""
    problem = program.problem
    wires = tuple(_wire(program.w.get(f, {})) for f in range(len(problem.flows)))
    return Choice(tuple(_greatest(row) for row in program.x), wires if any(wires) else ())


def _greatest(row: Sequence[pulp.LpVariable]) -> int:
    # A solver's 1 may be 0.9999999.
    values = [x.value() for x in row]
    return values.index(max(values))


def _wire(row: dict[int, pulp.LpVariable]) -> int:
    return max(row, key=lambda number: (row[number].value() > 0.5) * number, default=0)  # noqa: PLR2004
