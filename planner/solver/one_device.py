"""The best plan with all units on one device, each in the precision that is best for it."""

from collections.abc import Callable

from planner.problem.placement_problem import PlacementProblem
from planner.solver.result import SolveResult
from planner.solver.solve import solve, solve_restricted
from planner.solver.solver_options import SolverOptions


def one_device_plan(
    problem: PlacementProblem,
    device: int,
    options: SolverOptions,
    solver: Callable[[PlacementProblem, SolverOptions], SolveResult] = solve,
) -> SolveResult | None:
    """Return the plan of least objective, within all limits, that has every unit on a device.

    Parameters
    ----------
    device
        Number of a device; its visits count as it.

    Returns
    -------
    SolveResult or None
        None if the device cannot run a unit.

    Raises
    ------
    SolverError
        As `solve` does.
    """
    keep = [
        tuple(
            o
            for o, option in enumerate(vertex.options)
            if vertex.is_terminal or problem.physical_device(option.device) == device
        )
        for vertex in problem.vertices
    ]
    return solve_restricted(problem, keep, options, solver) if all(keep) else None
