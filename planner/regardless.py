"""Plans found regardless of noise: the best of all, and the best in each precision alone."""

from dataclasses import replace

from planner.evaluate import evaluate, is_feasible
from planner.ilp import SolveResult, solve
from planner.problem import Choice, PlacementProblem
from planner.solvers import SolverOptions


def plans_regardless(problem: PlacementProblem, options: SolverOptions) -> list[SolveResult]:
    """Return plans that keep all limits of a problem, best first, and each plan once.

    Parameters
    ----------
    problem
        Without a limit on noise.

    Raises
    ------
    SolverError
        As `solve` does.
    """
    found: dict[Choice, SolveResult] = {}
    whole = solve(problem, options)
    for result in (whole, *(_alone(problem, one, options) for one in _quantized(problem))):
        if result.choice is not None:
            found.setdefault(result.choice, result)
    return sorted(found.values(), key=lambda result: result.objective or 0.0)


def _quantized(problem: PlacementProblem) -> list[str]:
    options = (o for vertex in problem.vertices for o in vertex.options if o.quantized)
    return list(dict.fromkeys(o.precision for o in options))


def _alone(problem: PlacementProblem, precision: str, options: SolverOptions) -> SolveResult:
    """Return the best plan in which each unit that has a precision has that one."""
    kept = [
        tuple(o for o, option in enumerate(vertex.options) if option.precision == precision)
        or tuple(range(len(vertex.options)))
        for vertex in problem.vertices
    ]
    result = solve(problem.restricted(kept), options)
    if result.choice is None:
        return result
    choice = result.choice.among_all(kept)
    cost = evaluate(problem, choice)
    return replace(result, choice=choice if is_feasible(problem, cost) else None, objective=cost.objective)
