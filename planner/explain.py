"""Which budgets stand in the way of a plan: found by leaving out one at a time."""

from collections.abc import Iterator
from dataclasses import replace

from planner.ilp import solve
from planner.problem import Energy, PlacementProblem
from planner.solvers import SolverOptions


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
    if problem.energy is not None:
        yield from _energy_relaxations(problem, problem.energy)
    for device, limit in enumerate(problem.memory_bytes):
        if limit is not None:
            rest = (*problem.memory_bytes[:device], None, *problem.memory_bytes[device + 1 :])
            yield f"budget.memory_mib.{problem.devices[device]}", replace(problem, memory_bytes=rest)


def _energy_relaxations(problem: PlacementProblem, energy: Energy) -> Iterator[tuple[str, PlacementProblem]]:
    if energy.total_j is not None:
        yield "budget.total_energy_j", replace(problem, energy=replace(energy, total_j=None))
    for device, limit in enumerate(energy.limits_j):
        if limit is not None:
            rest = (*energy.limits_j[:device], None, *energy.limits_j[device + 1 :])
            relaxed = replace(problem, energy=replace(energy, limits_j=rest))
            yield f"budget.energy_j.{problem.devices[device]}", relaxed
