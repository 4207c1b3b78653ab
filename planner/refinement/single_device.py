"""What all units on one device would cost, to compare a plan with."""

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from math import inf

from planner.errors import SolverError
from planner.plan.plan_record import SingleDevice
from planner.problem.cost_evaluation import Cost, broken_limits, evaluate
from planner.problem.placement_problem import Choice, PlacementProblem
from planner.problem.quantities import CostMetric, Quantity
from planner.problem.uniform_choices import one_device_choices
from planner.solver.best_wires import best_wires
from planner.solver.one_device import one_device_plan
from planner.solver.solver_options import SolverOptions
from profiling.precision import Precision

_TIME_LIMIT_S, _GAP = 10.0, 1e-4  # of a device's own solve, whose figure is shown in four digits


def single_device_rows(problem: PlacementProblem, options: SolverOptions) -> tuple[SingleDevice, ...]:
    """Return a row for each device that can run everything, in the precisions and the wires that are best.

    One that keeps all limits comes before any that does not; then the lower objective counts. Where mixed
    precisions keep the limits, one precision is named only if it is as good.
    """
    options = replace(options, time_limit_s=min(options.time_limit_s, _TIME_LIMIT_S), gap=_GAP)
    best: dict[str, SingleDevice] = {}
    for row in chain(_uniform_rows(problem), _mixed_rows(problem, options)):
        if row.device not in best or _rank(row) < _rank(best[row.device]):
            best[row.device] = row
    return tuple(best.values())


def _uniform_rows(problem: PlacementProblem) -> Iterator[SingleDevice]:
    for device, precision, choice in one_device_choices(problem):
        yield from _row(problem, device, _encoded(problem, choice), Precision(precision))


def _mixed_rows(problem: PlacementProblem, options: SolverOptions) -> Iterator[SingleDevice]:
    """Yield each device's plan of least objective within the limits; none where the solver finds none."""
    for device in dict.fromkeys(map(problem.physical_device, range(len(problem.devices)))):
        with suppress(SolverError):
            solved = one_device_plan(problem, device, options)
            if solved is not None and solved.choice is not None:
                yield from _row(problem, device, solved.choice)


def _row(
    problem: PlacementProblem, device: int, choice: Choice, precision: Precision | None = None
) -> Iterator[SingleDevice]:
    cost = evaluate(problem, choice)
    if cost.order is None or cost.violations or cost.objective == inf:
        return
    exceeded = dict(_exceeded(problem, cost))
    pairs = zip(problem.vertices, choice.options, strict=True)
    units = Counter(vertex.options[o].precision for vertex, o in pairs if not vertex.is_terminal)
    # A scenario may give some units other precisions.
    if precision is None or not units.keys() <= {precision.value, Precision.FP32.value}:
        precision = Precision(next(iter(units))) if len(units) == 1 else None
    yield SingleDevice(
        device=problem.devices[device].name,
        precision=precision,
        objective=cost.objective,
        latency_s=cost.latency_s,
        broken=tuple(exceeded),
        exceeded_by={name: by for name, by in exceeded.items() if by is not None},
        units=dict(sorted(units.items())),
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
