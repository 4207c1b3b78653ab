"""What all units on one device would cost, to compare a plan with."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from math import inf

from planner.errors import SolverError
from planner.plan.plan_record import SingleDevice
from planner.problem.cost_evaluation import Cost, broken_limits, evaluate
from planner.problem.placement_problem import Choice, PlacementProblem
from planner.problem.quantities import CostMetric, Quantity
from planner.problem.uniform_choices import one_device_choices
from planner.solver.best_wires import best_wires
from planner.solver.solver_options import SolverOptions
from profiling.precision import Precision


def single_device_rows(problem: PlacementProblem) -> tuple[SingleDevice, ...]:
    """Return a row for each device that can run everything, in the precision and the wires that are best.

    One that keeps all limits comes before any that does not; then the lower objective counts.
    """
    best: dict[str, SingleDevice] = {}
    for row in _rows(problem):
        if row.device not in best or _rank(row) < _rank(best[row.device]):
            best[row.device] = row
    return tuple(best.values())


def _rows(problem: PlacementProblem) -> Iterator[SingleDevice]:
    for device, precision, choice in one_device_choices(problem):
        cost = evaluate(problem, _encoded(problem, choice))
        if cost.order is not None and not cost.violations and cost.objective < inf:
            exceeded = dict(_exceeded(problem, cost))
            yield SingleDevice(
                device=problem.devices[device].name,
                precision=Precision(precision),
                objective=cost.objective,
                latency_s=cost.latency_s,
                broken=tuple(exceeded),
                exceeded_by={name: by for name, by in exceeded.items() if by is not None},
            )


def _encoded(problem: PlacementProblem, choice: Choice) -> Choice:
    """Return a choice with its best wires, of those that break limits where none keeps them."""
    for limits in (problem.limits, ()):
        with suppress(SolverError):
            if best := best_wires(replace(problem, limits=limits), choice, SolverOptions()):
                return best
    return choice


def _rank(row: SingleDevice) -> tuple[bool, float]:
    return bool(row.broken), row.objective


def _exceeded(problem: PlacementProblem, cost: Cost) -> Iterator[tuple[str, float | None]]:
    """Yield the name of each limit that a cost exceeds, and by which fraction of it."""
    for limit in broken_limits(problem, cost):
        ratio = cost.value(limit.quantity) / limit.at_most if limit.at_most else inf
        if limit.quantity.metric is CostMetric.NOISE:
            ratio **= 0.5  # of a power
        yield _name(problem, limit.quantity), ratio - 1 if ratio < inf else None


def _name(problem: PlacementProblem, quantity: Quantity) -> str:
    if quantity.of is None:
        return quantity.metric.value
    parts = problem.links if quantity.metric is CostMetric.TRAFFIC else problem.devices
    return f"{quantity.metric.value} of {parts[quantity.of].name}"
