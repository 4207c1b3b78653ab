"""Plans over bandwidths and budgets: measured once, re-priced and re-solved at each of them."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from planner.comparison.baseline_rows import add_baselines
from planner.comparison.breakpoints import Breakpoints
from planner.comparison.comparison_front import comparison_front
from planner.comparison.comparison_record import (
    FORMAT,
    BestPlanRange,
    Comparison,
    ParetoFront,
    PlanSet,
    PlanSummary,
    Row,
)
from planner.comparison.fleet.fleet_plans import FleetPlanner
from planner.comparison.plan_measurements import add_measurements, measure_plans
from planner.comparison.plan_registry import PlanRegistry
from planner.comparison.plan_set import PlanSetRequest, plan_set_of
from planner.comparison.sweep_points import Sweep, SweepPoints, with_budgets
from planner.inputs.model_answers import check_answers
from planner.inputs.prepared_scenario import prepare
from planner.problem.quantities import CostMetric
from planner.refinement.measured_scenario import SOLVING, MeasuredScenario, measure_scenario
from planner.refinement.plan_assembly import objective_name
from planner.scenario.fleet_schema import FleetSpec
from planner.scenario.schema import Scenario
from profiling.progress import Progress, silent


@dataclass(frozen=True, slots=True)
class CompareRequest:
    """What a comparison holds besides the best plan of each point and its baselines.

    Parameters
    ----------
    jobs
        Processes that solve points and rows' baselines side by side.
    axes, corners
        Of a Pareto front, and how many points of it; no axes for none.
    plan_set
        None for none.
    trials
        Whether each plan is built and measured.
    fleet_plans
        Plans to hold for the scenario's fleet, at most; then nothing else is compared.
    """

    jobs: int = 1
    axes: tuple[CostMetric, ...] = ()
    corners: int = 12
    plan_set: PlanSetRequest | None = None
    trials: bool = False
    fleet_plans: int | None = None


@dataclass(frozen=True, slots=True)
class CompareResult:
    """A comparison, and what its plans' models follow from: for plan sets, and figures."""

    record: Comparison
    plans: PlanRegistry
    measured: MeasuredScenario


def compare_scenario(
    scenario: Scenario, sweep: Sweep, request: CompareRequest, progress: Progress = silent
) -> CompareResult:
    """Load, prepare and profile a scenario, and compare its plans over a sweep; write nothing.

    Raises
    ------
    PlannerError, ProfilingError
        As `plan_scenario` and `compare` do.
    """
    prepared = prepare(scenario, progress)
    measured = measure_scenario(prepared, progress)
    if scenario.fleet is not None and request.fleet_plans is not None:
        found = compare_fleet(measured, scenario.fleet, request, progress)
    else:
        found = compare(measured, sweep, request, progress)
    prepared.warn_of_samples()
    return found


def compare_fleet(
    measured: MeasuredScenario, fleet: FleetSpec, request: CompareRequest, progress: Progress = silent
) -> CompareResult:
    """Return the plans to hold for a fleet, and the rule that picks one.

    Raises
    ------
    DataError, ProfileError
        If a budget is on answers that the model does not give, or a class's profile is of no use.
    """
    begun = time.perf_counter()
    graph = measured.prepared.models.graph
    check_answers(measured.scenario.budget, graph.tensors[graph.outputs[0]])
    planner = FleetPlanner(measured, fleet, request.jobs)
    found, plans = planner.plan(request.fleet_plans or 1, progress)
    record = Comparison(
        format=FORMAT,
        objective=objective_name(measured.scenario),
        links=found.links,
        unit="Mbit/s",
        units=tuple(unit.name for unit in graph.units),
        plans=tuple(plans.lines),
        baseline_plans=(),
        pieces=(),
        rows=(),
        solves=planner.solves,
        runtime_s=time.perf_counter() - begun,
        fleet=found,
        noisy_costs=measured.noisy_costs,
    )
    return CompareResult(record, plans, measured)


def compare(
    measured: MeasuredScenario,
    sweep: Sweep,
    request: CompareRequest | None = None,
    progress: Progress = silent,
) -> CompareResult:
    """Return the best plan at each bandwidth and budget of a sweep, and where it changes.

    What was solved or measured before, by a run that was interrupted, say, is not done again.

    Raises
    ------
    DataError
        If a budget is on answers and the model's first output names no class.
    ScenarioError
        If a plan set is asked for and there are no ranges of bandwidths.
    """
    request = request or CompareRequest()
    begun = time.perf_counter()
    graph = measured.prepared.models.graph
    for budgets in sweep.budget_sets():
        check_answers(with_budgets(measured.scenario, budgets).budget, graph.tensors[graph.outputs[0]])
    progress(SOLVING, 0, 1)
    points = SweepPoints(measured, sweep)
    plans, rivals = PlanRegistry(points), PlanRegistry(points)
    ranges = Breakpoints(points, plans)
    sets = list(sweep.budget_sets())
    ranges.warm_cache(sets, request.jobs)
    pieces: list[BestPlanRange] = []
    rows: list[Row] = []
    for number, budgets in enumerate(sets):
        progress("comparing plans", number, len(sets))
        ranges_here, rows_here = ranges.over_bandwidths(budgets)
        pieces += ranges_here
        rows += rows_here
    progress("comparing plans", len(sets), len(sets))
    pieces, rows = _in_order_of_bandwidth(plans, pieces, rows)
    rows = [
        row
        if row.plan is None
        else replace(row, too_few_samples=points.too_few_samples(row.budgets, plans.chosen[row.plan]))
        for row in rows
    ]
    plan_set: PlanSet | None = None
    if request.plan_set is not None:
        plan_set = plan_set_of(request.plan_set, pieces, plans.lines)
    rows = list(add_baselines(points, rows, rivals, request.jobs, progress))
    front: ParetoFront | None = None
    if request.axes:
        front = comparison_front(points, plans, request.axes, request.corners, progress)
    lines: tuple[list[PlanSummary], list[PlanSummary]] = plans.lines, rivals.lines
    if request.trials:
        lines = measure_plans(points, plans, rivals, progress)
        rows = [add_measurements(row, points, *lines) for row in rows]
    bandwidths = sweep.bandwidths
    record = Comparison(
        format=FORMAT,
        objective=objective_name(measured.scenario),
        links=bandwidths.links if bandwidths else (),
        unit=bandwidths.unit if bandwidths else "",
        units=tuple(unit.name for unit in measured.prepared.models.graph.units),
        plans=tuple(lines[0]),
        baseline_plans=tuple(lines[1]),
        pieces=tuple(pieces),
        rows=tuple(rows),
        solves=ranges.solves,
        runtime_s=time.perf_counter() - begun,
        front=front,
        plan_set=plan_set,
        noisy_costs=measured.noisy_costs,
    )
    return CompareResult(record, plans, measured)


def _in_order_of_bandwidth(
    plans: PlanRegistry, pieces: Sequence[BestPlanRange], rows: Sequence[Row]
) -> tuple[list[BestPlanRange], list[Row]]:
    """Return ranges and rows with plans numbered as one meets them, from the lowest bandwidth up.

    Plans that are best nowhere within the budgets are forgotten.
    """
    met = [*(piece.plan for piece in pieces), *(row.plan for row in rows if row.plan is not None)]
    numbers = plans.renumber(met)
    plans.discard(len(set(met)))
    return (
        [replace(piece, plan=numbers[piece.plan]) for piece in pieces],
        [row if row.plan is None else replace(row, plan=numbers[row.plan]) for row in rows],
    )
