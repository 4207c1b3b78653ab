"""The flow, written out once: scenario -> graph -> profile -> problem -> plan -> models -> proof.

It ends with values, and the caller writes them, as `planner.cli` does with `planner.output`. Other flows:

- `planner.run_models.plan_models`: several models that share devices
- `planner.export_and_verify`: a saved plan, built again or measured again
- `planner.comparison.bandwidth_and_budget_sweep.compare_scenario`: plans over bandwidths and budgets
- `planner.profile_device.profile_here`: the profile of this machine as one of the devices
- `planner.output.run_exported.run_folder`: runs an exported plan on samples
- `planner.problem_io.solve_file.solve_file`: solves a problem that is given as a file
"""

from dataclasses import replace

import msgspec

from planner.deployment.built_models import verification_target
from planner.inputs.prepared_scenario import prepare
from planner.refinement.closed_loop import cost_error_after, formulate_and_solve, refine
from planner.refinement.fixed_costs import FixedCosts, plan_again
from planner.refinement.infeasibility_text import conflict_text
from planner.refinement.loop_state import LoopState, SolvedPlan
from planner.refinement.measured_scenario import SOLVING, MeasuredScenario, measure_scenario
from planner.refinement.outcome import Outcome
from planner.refinement.plan_assembly import assemble_infeasible, assemble_plan
from planner.refinement.single_device import single_device_rows
from planner.scenario.schema import Scenario
from planner.solver.infeasibility import find_conflict
from planner.verification.acceptance import broken_budget_sentences, require_equal_chain, with_measured
from planner.verification.verify import verify
from profiling.progress import Progress, silent


def plan_scenario(
    scenario: Scenario, progress: Progress = silent, fixed: FixedCosts | None = None
) -> Outcome:
    """Find, build and verify the plan of a scenario; write nothing.

    Parameters
    ----------
    fixed
        Costs to plan with, of an earlier plan: no device is profiled, and no plan timed.

    Raises
    ------
    PlannerError, ProfilingError
        If the model, the data or the solver cannot do what the scenario asks.
    """
    if fixed is None:
        prepared = prepare(scenario, progress)
        measured = measure_scenario(prepared, progress)
        state, solved = solve_and_refine(measured, progress)
    else:
        prepared = prepare(fixed.with_precisions(scenario), progress, fixed.schemes(scenario))
        measured = measure_scenario(prepared, progress, fixed.of(prepared))
        state, solved = plan_again(measured, fixed)
    if not solved.is_plan:
        return _no_plan(measured, solved)
    progress("building the stages", 0, 1)
    built = measured.build(solved.configuration)
    target = verification_target(prepared, built)
    errors = measured.calibration_errors(target, progress)
    rounds = state.rounds_before(solved.choice)
    error = cost_error_after(measured, state)
    plan = assemble_plan(solved.with_calibrated_noise(errors), solved.found, rounds, error)
    verification = verify(target, prepared.evaluation, prepared.runtime, prepared.metric, progress)
    require_equal_chain(verification)
    plan = with_measured(plan, scenario, verification)
    alone = single_device_rows(solved.found.problem, measured.options)
    plan = msgspec.structs.replace(
        plan,
        single_device=alone,
        noisy_costs=measured.noisy_costs,
        costs_of="" if fixed is None else fixed.name,
        tried_precisions=prepared.tried_precisions if fixed is None else fixed.tried_precisions(scenario),
    )
    prepared.warn_of_samples()
    return Outcome(
        plan, built, measured.profiles(state.latency), broken_budget_sentences(scenario, verification)
    )


def solve_and_refine(measured: MeasuredScenario, progress: Progress = silent) -> tuple[LoopState, SolvedPlan]:
    """Solve, time the plan and solve again with the costs that it showed; return the best that was timed.

    Where none of its devices runs here, nothing is timed and the first solve stands.
    """
    progress(SOLVING, 0, 1)
    state, solved = formulate_and_solve(measured, LoopState(measured.latency))
    state, solved = refine(measured, state, solved, progress)
    progress(SOLVING, 1, 1)
    return state, solved


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
