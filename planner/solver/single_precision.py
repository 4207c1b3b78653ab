"""Plans without a limit on noise: the best of all, and the best in each precision alone."""

from collections.abc import Iterable

from planner.problem.placement_problem import Choice, PlacementProblem
from planner.solver.result import SolveResult
from planner.solver.solve import solve, solve_restricted
from planner.solver.solver_options import SolverOptions


def unconstrained_noise_plans(problem: PlacementProblem, options: SolverOptions) -> list[SolveResult]:
    """Return the best plan of all and the best ones in one precision, best first, each once.

    Parameters
    ----------
    problem
        Without a limit on noise.

    Raises
    ------
    SolverError
        As `solve` does.
    """
    return _sorted([solve(problem, options), *uniform_precision_plans(problem, options)])


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
    return _sorted([_uniform_plan(problem, precision, options) for precision in dict.fromkeys(precisions)])


def _sorted(results: Iterable[SolveResult]) -> list[SolveResult]:
    by_choice: dict[Choice, SolveResult] = {}
    for result in results:
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
