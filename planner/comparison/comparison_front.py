"""The Pareto front of a comparison: latency against noise, energy and what else a scenario prices."""

from collections.abc import Iterable, Iterator, Sequence

from planner.comparison.comparison_record import ParetoFront, ParetoPoint
from planner.comparison.plan_registry import PlanRegistry
from planner.comparison.sweep_points import SweepPoints
from planner.comparison.timed_sweep import ShownCosts
from planner.errors import ScenarioError
from planner.problem.cost_evaluation import evaluate, is_feasible
from planner.problem.placement_problem import Choice, PlacementProblem
from planner.problem.quantities import CostMetric, Quantity
from planner.scenario.schema import Scenario
from planner.solver.pareto_front import pareto_front
from planner.solver.solve_cache import solve_cached
from profiling.progress import Progress

AXES = tuple(measure.value for measure in CostMetric)
_FEWEST, _MOST = 2, 3  # quantities of a front
_ROUNDING = 1e-9  # relative


def parse_axes(text: str, scenario: Scenario) -> tuple[CostMetric, ...]:
    """Return the quantities that `--pareto latency,noise` names.

    Raises
    ------
    ScenarioError
        If one is unknown or there twice, there are fewer than two or more than three, or the scenario does
        not say what devices draw.
    """
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in AXES:
            raise ScenarioError(f"--pareto {text}: {name!r} is none of {', '.join(AXES)}")
    if len(set(names)) < len(names) or not _FEWEST <= len(names) <= _MOST:
        raise ScenarioError(f"--pareto {text}: name two or three different quantities of {', '.join(AXES)}")
    if CostMetric.ENERGY in names and not scenario.knows_energy:
        raise ScenarioError(f"--pareto {text}: energy needs devices[].active_watt in the scenario")
    return tuple(CostMetric(name) for name in names)


def comparison_front(
    points: SweepPoints,
    plans: PlanRegistry,
    axes: Sequence[CostMetric],
    most: int,
    progress: Progress,
    shown: ShownCosts,
) -> ParetoFront:
    """Return the front at the scenario's own bandwidths; its plans are noted down.

    Budgets on what is no axis hold. Plans that were timed have what they showed, and are on the front where
    none of them and of the plans that were found for it is better.
    """
    problem = points.problem(None, {})
    solved = 0

    def best(front_problem: PlacementProblem) -> Choice | None:
        nonlocal solved
        progress("walking along the front", solved, solved + 1)
        solved += 1
        return solve_cached(front_problem, points.basis.options, plans.choices).choice

    front = pareto_front(problem, [Quantity(axis) for axis in axes], most, best)
    progress("walking along the front", solved, solved)
    for corner in front.corners:
        shown.registered(corner.choice, plans, None, {})
    return ParetoFront(
        axes=tuple(axis.value for axis in axes),
        points=tuple(_undominated(_priced(plans, axes, shown), axes)),
        complete=front.complete,
    )


def _priced(plans: PlanRegistry, axes: Sequence[CostMetric], shown: ShownCosts) -> Iterator[ParetoPoint]:
    """Yield what each plan that keeps the budgets on what is no axis is of the axes."""
    law = shown.points.basis.noise_model
    quantities = [Quantity(axis) for axis in axes]
    for number, (chosen, choice) in enumerate(zip(plans.chosen, plans.choices, strict=True)):
        problem = shown.points_of(chosen).problem(None, {})
        for quantity in quantities:
            problem = problem.with_limit(quantity, None)
        cost = evaluate(problem, choice)
        if is_feasible(problem, cost):
            values = {quantity.metric: cost.value(quantity) for quantity in quantities}
            yield ParetoPoint(
                plan=number,
                values={
                    axis.value: law.predict(value) ** 0.5 if axis is CostMetric.NOISE else value
                    for axis, value in values.items()
                },
            )


def _undominated(found: Iterable[ParetoPoint], axes: Sequence[CostMetric]) -> list[ParetoPoint]:
    """Return the points that no other is at least as good as in every axis, by the first axis."""
    kept: list[ParetoPoint] = []
    for point in sorted(found, key=lambda one: [one.values[axis.value] for axis in axes]):
        values = point.values
        if not any(
            all(one.values[axis] <= values[axis] * (1 + _ROUNDING) for axis in values) for one in kept
        ):
            kept.append(point)
    return kept
