"""Plans over bandwidths and budgets: measured once, re-priced and re-solved at each of them."""

import time
from dataclasses import dataclass

from msgspec.structs import replace

from planner.comparison.baseline_rows import add_baselines, with_plan_on_one_device
from planner.comparison.comparison_front import comparison_front
from planner.comparison.comparison_record import (
    FORMAT,
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
from planner.comparison.solved_sweep import solve_sweep
from planner.comparison.sweep_points import Sweep, SweepPoints, with_budgets
from planner.comparison.timed_sweep import ShownCosts, TimedSweep, solve_and_time
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
    prepared = prepare(scenario, progress, more_budgets={*sweep.budgets, *request.axes})
    measured = measure_scenario(prepared, progress)
    if scenario.fleet is not None and request.fleet_plans is not None:
        found = compare_fleet(measured, scenario.fleet, request, progress)
    else:
        found = compare_timed(measured, sweep, request, progress)
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
        tried_precisions=measured.prepared.tried_precisions,
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
    _check_budgets(measured, sweep)
    progress(SOLVING, 0, 1)
    solved = solve_sweep(SweepPoints(measured, sweep), request.jobs, progress)
    return _compared(measured, TimedSweep(solved, ShownCosts.of(solved.points)), request, begun, progress)


def compare_timed(
    measured: MeasuredScenario, sweep: Sweep, request: CompareRequest, progress: Progress = silent
) -> CompareResult:
    """Return what `compare` does, with plans that were timed in place where their devices run here."""
    begun = time.perf_counter()
    _check_budgets(measured, sweep)
    progress(SOLVING, 0, 1)
    timed = solve_and_time(measured, sweep, request.jobs, progress)
    return _compared(measured, timed, request, begun, progress)


def _check_budgets(measured: MeasuredScenario, sweep: Sweep) -> None:
    """Refuse budgets on answers that the model does not give."""
    graph = measured.prepared.models.graph
    for budgets in sweep.budget_sets():
        check_answers(with_budgets(measured.scenario, budgets).budget, graph.tensors[graph.outputs[0]])


def _compared(
    measured: MeasuredScenario,
    timed: TimedSweep,
    request: CompareRequest,
    begun: float,
    progress: Progress,
) -> CompareResult:
    """Return a comparison of what was solved, with all that is held besides."""
    solved = timed.solved
    points, plans, pieces = solved.points, solved.plans, solved.pieces
    rivals = PlanRegistry(points)
    rows: list[Row] = list(solved.rows)
    rows = [
        row
        if row.plan is None
        else replace(
            row,
            too_few_samples=points.too_few_samples(row.budgets, plans.chosen[row.plan]),
            held_back_verdicts=points.held_back_verdicts(row.budgets, plans.chosen[row.plan]),
        )
        for row in rows
    ]
    plan_set: PlanSet | None = None
    if request.plan_set is not None:
        plan_set = plan_set_of(request.plan_set, pieces, plans.lines)
    rows = list(add_baselines(points, rows, rivals, request.jobs, progress, timed.costs))
    rows = [with_plan_on_one_device(row, plans, rivals, timed.costs) for row in rows]
    front: ParetoFront | None = None
    if request.axes:
        front = comparison_front(points, plans, request.axes, request.corners, progress, timed.costs)
    lines: tuple[list[PlanSummary], list[PlanSummary]] = plans.lines, rivals.lines
    if request.trials:
        lines = measure_plans(points, plans, rivals, progress)
        rows = [add_measurements(row, points, *lines) for row in rows]
    bandwidths = points.sweep.bandwidths
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
        solves=solved.solves,
        runtime_s=time.perf_counter() - begun,
        front=front,
        plan_set=plan_set,
        noisy_costs=measured.noisy_costs,
        tried_precisions=measured.prepared.tried_precisions,
    )
    return CompareResult(record, plans, measured)
