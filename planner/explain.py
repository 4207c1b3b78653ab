"""Which budgets stand in the way of a plan: found by leaving out one at a time."""

from collections.abc import Iterator
from dataclasses import replace

from planner.ilp import SolverOptions, solve
from planner.problem import PlacementProblem


def binding_budgets(problem: PlacementProblem, options: SolverOptions) -> tuple[str, ...]:
    """Return the scenario's keys of the budgets without which, one at a time, there is a plan.

    Parameters
    ----------
    problem
        One that has no plan. Empty if several budgets would have to go together.
    """
    return tuple(
        name for name, relaxed in _relaxations(problem) if solve(relaxed, options).choice is not None
    )


def _relaxations(problem: PlacementProblem) -> Iterator[tuple[str, PlacementProblem]]:
    if problem.noise_power is not None:
        yield "the error budgets", replace(problem, noise_power=None)
    if problem.latency_s is not None:
        yield "budget.latency_ms", replace(problem, latency_s=None)
    for device, limit in enumerate(problem.memory_bytes):
        if limit is not None:
            rest = (*problem.memory_bytes[:device], None, *problem.memory_bytes[device + 1 :])
            yield f"budget.memory_mib.{problem.devices[device]}", replace(problem, memory_bytes=rest)
