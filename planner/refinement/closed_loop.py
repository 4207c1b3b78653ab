"""The closed loop: times a plan in place, corrects the costs by what it showed, and solves again.

Each step is a function from a `LoopState` to the next one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from planner.devices.runtime import origin_of
from planner.plan.configuration import Configuration, configuration_of
from planner.plan.plan_record import LoopRound
from planner.problem.cost_evaluation import evaluate, is_feasible
from planner.problem.placement_problem import Choice
from planner.refinement.loop_state import LoopState, SolvedPlan, TimedPlan
from planner.refinement.measured_scenario import MeasuredScenario
from planner.refinement.planning_problem import PlanningProblem
from planner.refinement.ties import is_tied_with, measured_part, resolution_of, simplest_of, simplified
from planner.solver.heuristics.simpler_plan import count_changes
from profiling.latency.plan_corrections import apply_corrections
from profiling.latency.plan_timing import PlanTiming
from profiling.precision import Precision
from profiling.progress import Progress, silent
from profiling.records.profile import LatencyProfile


def formulate_and_solve(measured: MeasuredScenario, state: LoopState) -> tuple[LoopState, SolvedPlan]:
    """Formulate under the current costs, and search the noise limit that keeps the error budgets.

    Where there are any, each plan that a limit gives is built and run on held-back data, once. Of plans
    that the measured costs cannot tell apart, the simplest is taken.
    """
    planning = measured.planning_problem(state.latency)
    problem = planning.formulate()
    search = measured.noise_limit_search
    found = search.solve_and_try_out(problem, state.search_state)
    found = simplified(search, found, resolution_of(cost_error_after(measured, state)))
    return replace(state, search_state=found.state), SolvedPlan(planning, found)


def refine(
    measured: MeasuredScenario, state: LoopState, solved: SolvedPlan, progress: Progress = silent
) -> tuple[LoopState, SolvedPlan]:
    """Time a plan and solve again with the costs that it showed; return the best that was timed.

    Where none of its devices runs here, nothing is timed and the plan stands. A plan is not timed either
    that the costs cannot tell from the best one that was.
    """
    while state.asks_for_timing(solved) and _is_better(measured, state, solved):
        timings = measured.timings(solved.configuration, progress)
        if not timings:
            break
        state = with_timing(measured, state, solved, solved.choice, timings).with_last_correction()
        state, solved = formulate_and_solve(measured, state)
    if solved.is_plan and state.timed:
        return _best_timed(measured, state, solved, progress)
    return state, solved


def _is_better(measured: MeasuredScenario, state: LoopState, solved: SolvedPlan) -> bool:
    """Return whether a plan is predicted to be better than all timed ones, by more than costs can tell."""
    if not state.timed or not state.best.is_feasible:
        return True
    resolution = resolution_of(cost_error_after(measured, state))
    return not is_tied_with(state.best, solved.found.result.objective or 0.0, resolution)


def cost_error_after(measured: MeasuredScenario, state: LoopState) -> float:
    """Return the standard error of the seconds that profiles and timings showed, as a fraction of them."""
    errors = [profile.standard_error for profile in measured.latency.values()]
    return max((*errors, *(plan.standard_error for plan in state.timed)), default=0.0)


def with_timing(
    measured: MeasuredScenario,
    state: LoopState,
    solved: SolvedPlan,
    choice: Choice,
    timings: Mapping[str, PlanTiming],
) -> LoopState:
    """Return the state after a plan was timed; the current costs stay."""
    problem, planning = solved.found.problem, solved.planning
    configuration = configuration_of(problem, choice)
    latency = corrected(state.latency, timings, measured.latency)
    shown = measured.planning_problem(latency).formulate()
    cost = evaluate(shown, choice)
    part, changes = measured_part(shown, cost), count_changes(shown, choice)
    keeps = is_feasible(shown, cost)
    plan = TimedPlan(choice, configuration, timings, latency, cost.objective, part, changes, keeps)
    before = state.timed[-1].configuration if state.timed else configuration
    expected = planning.chain_ratio_to_fp32(problem, evaluate(problem, choice))
    loop_round = _round(planning, plan, before, expected)
    return replace(state, timed=(*state.timed, plan), rounds=(*state.rounds, loop_round))


def corrected(
    latency: Mapping[str, LatencyProfile],
    timings: Mapping[str, PlanTiming],
    measured: Mapping[str, LatencyProfile],
) -> dict[str, LatencyProfile]:
    """Return profiles with the seconds that a plan's own run showed in place of what was expected.

    Parameters
    ----------
    measured
        The profiles before any plan corrected them.
    """
    return {
        device: apply_corrections(profile, timings[device], measured[device])
        if device in timings
        else profile
        for device, profile in latency.items()
    }


def with_correction(
    measured: MeasuredScenario, state: LoopState, timings: Mapping[str, PlanTiming]
) -> LoopState:
    """Return the state whose current costs are corrected by a plan's timing as well."""
    return replace(state, latency=corrected(state.latency, timings, measured.latency))


def _best_timed(
    measured: MeasuredScenario, state: LoopState, solved: SolvedPlan, progress: Progress
) -> tuple[LoopState, SolvedPlan]:
    """Time plans in one precision that may be as good, and return the best of all that were timed."""
    search, last = measured.noise_limit_search, state.timed[-1]
    before = measured.planning_problem(measured.latency).formulate()
    uniform, search_state = search.uniform_precision_plans(
        solved.found.unconstrained, before, state.timing_threshold, state.search_state
    )
    state = replace(state, search_state=search_state)
    for result in uniform:
        if result.choice is not None and not state.was_timed(result.choice):
            timings = measured.timings(configuration_of(solved.found.problem, result.choice), progress)
            state = with_timing(measured, state, solved, result.choice, timings)
    best = simplest_of(state.timed)
    if not best.is_feasible:  # nothing timed keeps the limits; this plan does, as far as is known
        return state, solved
    if best is last and solved.choice == last.choice:  # it is proved under the costs that it showed
        return state, solved
    state = with_correction(measured, state, best.timings)
    planning = measured.planning_problem(state.latency)
    problem = planning.formulate()
    proved = search.bound_for(problem, best.choice, state.search_state)
    return state, SolvedPlan(planning, proved)


def _round(
    planning: PlanningProblem, plan: TimedPlan, before: Configuration, chain_ratio: float
) -> LoopRound:
    source = planning.scenario.device(planning.scenario.source)
    origin = origin_of(planning.scenario, source)[0].name
    device = origin if origin in plan.timings else next(iter(plan.timings))
    pairs = zip(_units(plan.configuration), _units(before), strict=True)
    return LoopRound(
        objective=plan.objective,
        device=device,
        predicted_ratio_to_fp32=planning.ratio_to_fp32(plan.configuration, device),
        measured_ratio_to_fp32=plan.timings[device].ratio_to_fp32,
        predicted_chain_ratio_to_fp32=chain_ratio,
        measured_chain_ratio_to_fp32=plan.timings[device].chain_ratio_to_fp32,
        changed_units=sum(now != then for now, then in pairs),
    )


def _units(configuration: Configuration) -> Iterator[tuple[str, Precision]]:
    yield from zip(configuration.devices, configuration.precisions, strict=True)
