"""The flow, written out once: scenario -> graph -> profile -> problem -> plan -> models -> proof.

It ends with values, and the caller writes them, as `planner.cli` does with `planner.output`. Other flows:

- `planner.run_models.plan_models`: several models that share devices
- `planner.export_and_verify`: a saved plan, built again or measured again
- `planner.comparison.compare.compare_scenario`: plans over bandwidths and budgets
- `planner.profile_device.profile_here`: the profile of this machine as one of the devices
- `planner.output.run_exported.run_folder`: runs an exported plan on samples
- `planner.problem_io.solve_file.solve_file`: solves a problem that is given as a file
"""

from dataclasses import replace

from planner.deployment.built_models import verification_target
from planner.inputs.prepared_scenario import prepare
from planner.plan.configuration import configuration_of
from planner.refinement.infeasibility_text import conflict_text
from planner.refinement.loop_state import LoopState, SolvedPlan
from planner.refinement.measured_scenario import MeasuredScenario, measure_scenario
from planner.refinement.outcome import Outcome
from planner.refinement.plan_assembly import assemble_infeasible, assemble_plan
from planner.scenario.schema import Scenario
from planner.solver.infeasibility import find_conflict
from planner.verification.acceptance import broken_budget_sentences, require_equal_chain, with_measured
from planner.verification.verify import verify
from profiling.progress import Progress, silent


def plan_scenario(scenario: Scenario, progress: Progress = silent) -> Outcome:
    """Find, build and verify the plan of a scenario; write nothing.

    Raises
    ------
    PlannerError, ProfilingError
        If the model, the data or the solver cannot do what the scenario asks.
    """
    prepared = prepare(scenario, progress)
    measured = measure_scenario(prepared, progress)
    state, solved = solve_and_refine(measured, progress)
    if not solved.is_plan:
        return _no_plan(measured, solved)
    built = measured.build(solved.configuration)
    target = verification_target(prepared, built)
    errors = measured.calibration_errors(target, progress)
    rounds = state.rounds_before(solved.choice)
    plan = assemble_plan(solved.with_calibrated_noise(errors), solved.found, rounds)
    verification = verify(target, prepared.evaluation, prepared.runtime, prepared.metric, progress)
    require_equal_chain(verification)
    plan = with_measured(plan, scenario, verification)
    return Outcome(
        plan, built, measured.profiles(state.latency), broken_budget_sentences(scenario, verification)
    )


def solve_and_refine(measured: MeasuredScenario, progress: Progress = silent) -> tuple[LoopState, SolvedPlan]:
    """Solve, time the plan and solve again with the costs that it showed; return the best that was timed.

    Where none of its devices runs here, nothing is timed and the first solve stands.
    """
    progress("solving", 0, 1)
    state = LoopState(measured.latency)
    state, solved = _solve(measured, state)
    while state.asks_for_timing(solved):
        timings = measured.timings(solved.configuration, progress)
        if not timings:
            break
        state = state.with_timing(measured, solved, solved.choice, timings).with_last_correction()
        state, solved = _solve(measured, state)
    if solved.is_plan and state.timed:
        state, solved = _best_timed(measured, state, solved, progress)
    progress("solving", 1, 1)
    return state, solved


def _solve(measured: MeasuredScenario, state: LoopState) -> tuple[LoopState, SolvedPlan]:
    """Formulate under the current costs, and search the noise limit that keeps the error budgets.

    Where there are any, each plan that a limit gives is built and run on held-back data, once.
    """
    planning = measured.planning_problem(state.latency)
    problem = planning.formulate()
    found = measured.noise_limit_search.solve_and_try_out(problem, state.search_state)
    return replace(state, search_state=found.state), SolvedPlan(planning, found)


def _best_timed(
    measured: MeasuredScenario, state: LoopState, solved: SolvedPlan, progress: Progress
) -> tuple[LoopState, SolvedPlan]:
    """Time plans in one precision that may be as good, and return the best of all that were timed."""
    search, last = measured.noise_limit_search, state.timed[-1]
    uniform, search_state = search.uniform_precision_plans(
        solved.found.unconstrained, state.timing_threshold, state.search_state
    )
    state = replace(state, search_state=search_state)
    for result in uniform:
        if result.choice is not None and not state.was_timed(result.choice):
            timings = measured.timings(configuration_of(solved.found.problem, result.choice), progress)
            state = state.with_timing(measured, solved, result.choice, timings)
    best = state.best
    if best is last and solved.choice == last.choice:  # it is proved under the costs that it showed
        return state, solved
    state = state.with_best_correction()
    planning = measured.planning_problem(state.latency)
    problem = planning.formulate()
    proved = search.bound_for(problem, best.choice, state.search_state)
    return state, SolvedPlan(planning, proved)


def _no_plan(measured: MeasuredScenario, solved: SolvedPlan) -> Outcome:
    """Return why there is no plan: budgets that cannot hold together, or errors that no limit mends."""
    found = solved.found
    plan = assemble_infeasible(solved.planning, found)
    if found.unmet:
        return Outcome(plan, None, {}, found.unmet)
    options = measured.options
    left_s = options.time_limit_s - found.result.runtime_s
    conflict = find_conflict(found.problem, replace(options, time_limit_s=left_s))
    return Outcome(
        plan, None, {}, conflict=conflict_text(measured.scenario, conflict, measured.noise_model.predict)
    )
