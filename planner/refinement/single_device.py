"""What all units on one device would cost, to compare a plan with."""

from collections.abc import Iterator
from math import inf

from planner.plan.plan_record import SingleDevice
from planner.problem.cost_evaluation import Cost, broken_limits, evaluate
from planner.problem.placement_problem import PlacementProblem
from planner.problem.quantities import CostMetric, Quantity
from planner.problem.uniform_choices import one_device_choices
from profiling.precision import Precision


def single_device_rows(problem: PlacementProblem) -> tuple[SingleDevice, ...]:
    """Return a row for each device that can run everything, in the precision that is best there.

    One that keeps all limits comes before any that does not; then the lower objective counts.
    """
    best: dict[str, SingleDevice] = {}
    for row in _rows(problem):
        if row.device not in best or _rank(row) < _rank(best[row.device]):
            best[row.device] = row
    return tuple(best.values())


def _rows(problem: PlacementProblem) -> Iterator[SingleDevice]:
    for device, precision, choice in one_device_choices(problem):
        cost = evaluate(problem, choice)
        if cost.order is not None and not cost.violations and cost.objective < inf:
            yield SingleDevice(
                device=problem.devices[device].name,
                precision=Precision(precision),
                objective=cost.objective,
                latency_s=cost.latency_s,
                broken=tuple(dict.fromkeys(_broken(problem, cost))),
            )


def _rank(row: SingleDevice) -> tuple[bool, float]:
    return bool(row.broken), row.objective


def _broken(problem: PlacementProblem, cost: Cost) -> Iterator[str]:
    """Yield the limits that a cost exceeds, by name."""
    for limit in broken_limits(problem, cost):
        yield _name(problem, limit.quantity)


def _name(problem: PlacementProblem, quantity: Quantity) -> str:
    if quantity.of is None:
        return quantity.metric.value
    parts = problem.links if quantity.metric is CostMetric.TRAFFIC else problem.devices
    return f"{quantity.metric.value} of {parts[quantity.of].name}"
