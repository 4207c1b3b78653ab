"""The best plan in each precision alone."""

from planner.problem.placement_problem import Choice, PlacementProblem
from planner.solver.result import SolveResult
from planner.solver.solve import solve_restricted
from planner.solver.solver_options import SolverOptions


def uniform_precision_plans(problem: PlacementProblem, options: SolverOptions) -> list[SolveResult]:
    """Return each precision's best plan in which every unit that can have it does, best first, each once.

    Raises
    ------
    SolverError
        As `solve` does.
    """
    precisions = (
        o.precision for vertex in problem.vertices if not vertex.is_terminal for o in vertex.options
    )
    by_choice: dict[Choice, SolveResult] = {}
    for precision in dict.fromkeys(precisions):
        result = _uniform_plan(problem, precision, options)
        if result.choice is not None:
            by_choice.setdefault(result.choice, result)
    return sorted(by_choice.values(), key=lambda result: result.objective or 0.0)


def _uniform_plan(problem: PlacementProblem, precision: str, options: SolverOptions) -> SolveResult:
    """Return the best plan in which each unit that can have a precision does; others take any."""
    keep = [
        tuple(o for o, option in enumerate(vertex.options) if option.precision == precision)
        or tuple(range(len(vertex.options)))
        for vertex in problem.vertices
    ]
    return solve_restricted(problem, keep, options)
