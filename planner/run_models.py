"""The flow of `plan` for several models that share devices; `planner.run` is that of one."""

from dataclasses import replace

import msgspec

from planner.deployment.built_models import verification_target
from planner.inputs.prepared_scenario import prepare
from planner.plan.plan_record import Objective, PartOf
from planner.refinement.infeasibility_text import models_conflict_text
from planner.refinement.joint_closed_loop import formulate_and_solve_models, refine_models
from planner.refinement.joint_loop_state import JointLoopState, SolvedModels
from planner.refinement.measured_models import MeasuredModels
from planner.refinement.measured_scenario import SOLVING, measure_scenario
from planner.refinement.models_assembly import assemble_models
from planner.refinement.outcome import ModelsOutcome, Outcome
from planner.refinement.plan_assembly import assemble_plan, objective_name
from planner.scenario.several_models import SeveralModels
from planner.solver.infeasibility import find_conflict
from planner.verification.acceptance import broken_budget_sentences, require_equal_chain, with_measured
from planner.verification.verify import verify
from profiling.progress import Progress, silent


def plan_models(several: SeveralModels, progress: Progress = silent) -> ModelsOutcome:
    """Find, build and verify the plan of several models that share devices; write nothing.

    Raises
    ------
    PlannerError, ProfilingError
        As `plan_scenario`.
    """
    models = measure_models(several, progress)
    state, solved = _solve_and_refine_models(models, progress)
    if not solved.is_plan:
        return _no_models_plan(models, solved)
    outcomes = {
        one.name: _model_outcome(models, solved, state, number, progress)
        for number, one in enumerate(several.models)
    }
    plans = {name: outcome.plan for name, outcome in outcomes.items()}
    record = msgspec.structs.replace(assemble_models(several, solved, plans), noisy_costs=models.noisy_costs)
    failures = [f"{name}: {text}" for name, outcome in outcomes.items() for text in outcome.failures]
    return ModelsOutcome(record, outcomes, tuple(failures))


def measure_models(several: SeveralModels, progress: Progress = silent) -> MeasuredModels:
    """Prepare and profile each of several models."""
    memory = [f"memory_mib.{device}" for device in several.shared.budget.memory_mib]
    prepared = (prepare(one.scenario, progress, more_budgets=memory) for one in several.models)
    return MeasuredModels(several, tuple(measure_scenario(one, progress) for one in prepared))


def _solve_and_refine_models(
    models: MeasuredModels, progress: Progress
) -> tuple[JointLoopState, SolvedModels]:
    """Solve, time each model's part and solve again; return the best plan that was timed."""
    progress(SOLVING, 0, 1)
    state, solved = formulate_and_solve_models(models, JointLoopState.of(models))
    state, solved = refine_models(models, state, solved, progress)
    progress(SOLVING, 1, 1)
    return state, solved


def _model_outcome(
    models: MeasuredModels, solved: SolvedModels, state: JointLoopState, model: int, progress: Progress
) -> Outcome:
    """Build and verify one model's part of a plan."""
    measured, several, part = models.measured[model], models.several, solved.part(model)
    progress("building the stages", 0, 1)
    built = measured.build(part.configuration)
    target = verification_target(measured.prepared, built)
    errors = measured.calibration_errors(target, progress)
    result = solved.found.result
    rounds = state.states[model].rounds_before(part.choice)
    plan = msgspec.structs.replace(
        assemble_plan(part.with_calibrated_noise(errors), part.found, rounds),
        objective=Objective(
            name=objective_name(several.shared), value=result.objective, bound=result.bound, gap=result.gap
        ),
        part_of=PartOf(
            model=several.models[model].name,
            models=several.names,
            share=several.models[model].share,
            requests_per_s=several.requests_per_s and several.requests_per_s * several.models[model].share,
        ),
        noisy_costs=models.noisy_costs,
    )
    verification = verify(
        target, measured.prepared.evaluation, measured.prepared.runtime, measured.prepared.metric, progress
    )
    require_equal_chain(verification)
    measured.prepared.warn_of_samples()
    scenario = measured.scenario
    profiles = measured.profiles(state.states[model].latency)
    return Outcome(
        with_measured(plan, scenario, verification),
        built,
        profiles,
        broken_budget_sentences(scenario, verification),
    )


def _no_models_plan(models: MeasuredModels, solved: SolvedModels) -> ModelsOutcome:
    """Return why there is no plan for several models."""
    found = solved.found
    record = assemble_models(models.several, solved, {})
    if found.unmet:
        return ModelsOutcome(record, {}, found.unmet)
    left_s = models.options.time_limit_s - found.result.runtime_s
    conflict = find_conflict(found.problem, replace(models.options, time_limit_s=left_s))
    noises = [one.noise_model.predict for one in models.measured]
    return ModelsOutcome(record, {}, conflict=models_conflict_text(models.several, conflict, noises))
