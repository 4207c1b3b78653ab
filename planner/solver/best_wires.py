"""The forms in which tensors best cross links where the units' devices and precisions are given."""

from collections.abc import Callable

from planner.problem.placement_problem import Choice, PlacementProblem
from planner.problem.uniform_choices import may_encode
from planner.solver.result import SolveResult
from planner.solver.solve import solve, solve_restricted
from planner.solver.solver_options import SolverOptions


def best_wires(
    problem: PlacementProblem,
    choice: Choice,
    options: SolverOptions,
    solver: Callable[[PlacementProblem, SolverOptions], SolveResult] = solve,
) -> Choice | None:
    """Return a choice with the wires of least objective within the limits.

    Returns
    -------
    Choice or None
        The choice itself where no tensor can cross in another form; None if no wires keep the limits.

    Raises
    ------
    SolverError
        As `solve` does.
    """
    if not may_encode(problem, choice):
        return choice
    return solve_restricted(problem, [(option,) for option in choice.options], options, solver).choice
