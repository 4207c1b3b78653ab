"""The flow, written out once: scenario -> graph -> profile -> problem -> plan -> models -> proof."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from planner.costs.device_costs import noise_of
from planner.deployment.build import build_models
from planner.deployment.built_models import BuiltModels, VerificationTarget, verification_target
from planner.devices.quantization_schemes import schemes_of, trial_level
from planner.devices.runtime import local_runtime
from planner.errors import DataError, OutputError
from planner.inputs.prepared_scenario import group_units, load_datasets, load_source, prepare
from planner.plan.configuration import Configuration, configuration_of
from planner.plan.records import Objective, PartOf, Plan
from planner.problem.placement_problem import Choice
from planner.refinement.closed_loop import LoopState, SolvedPlan
from planner.refinement.infeasibility_text import conflict_text, models_conflict_text
from planner.refinement.joint_closed_loop import JointLoopState, SolvedModels, bound_best, solve_models
from planner.refinement.measured_models import MeasuredModels, keep_budgets
from planner.refinement.measured_scenario import MeasuredScenario, measure_scenario
from planner.refinement.models_assembly import assemble_models
from planner.refinement.outcome import ModelsOutcome, Outcome
from planner.refinement.plan_assembly import assemble_infeasible, assemble_plan, objective_name
from planner.refinement.planning_problem import PlanningProblem
from planner.scenario.loader import parse_scenario
from planner.scenario.schema import Scenario
from planner.scenario.several_models import SeveralModels
from planner.solver.infeasibility import find_conflict
from planner.solver.single_precision import uniform_precision_plans
from planner.user_objects import load_metric
from planner.verification.acceptance import broken_budget_sentences, require_equal_chain, with_measured
from planner.verification.measure_errors import measure_errors
from planner.verification.time_plan import time_in_place
from planner.verification.verify import verify
from profiling.errors import ModelError
from profiling.latency.plan_corrections import PlanTiming
from profiling.onnx_io.load import model_hash
from profiling.precision import Precision
from profiling.progress import Progress, silent
from profiling.quantization.quantize import Scheme
from profiling.records.profile import FORMAT as PROFILE_FORMAT
from profiling.records.profile import LatencyProfile, Profile


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
    planning = _with_shown_noise(measured, solved, target, progress)
    plan = assemble_plan(planning, solved.search, state.rounds)
    shown = verify(target, prepared.evaluation, prepared.runtime, prepared.metric, progress)
    require_equal_chain(shown)
    plan = with_measured(plan, scenario, shown)
    return Outcome(plan, built, _profiles(measured, state.latency), broken_budget_sentences(scenario, shown))


def solve_and_refine(measured: MeasuredScenario, progress: Progress = silent) -> tuple[LoopState, SolvedPlan]:
    """Solve, time the plan and solve again with the costs that it showed; return the best that was timed.

    Where none of its devices runs here, nothing is timed and the first solve stands.
    """
    progress("solving", 0, 1)
    state = LoopState(measured.latency)
    state, solved = _solve(measured, state)
    while state.asks_for_timing(solved):
        timings = _time(measured, solved.configuration, progress)
        if not timings:
            break
        state = state.with_timing(measured, solved, solved.choice, timings).believing_last()
        state, solved = _solve(measured, state)
    if solved.is_plan and state.timed:
        state, solved = _best_timed(measured, state, solved, progress)
    progress("solving", 1, 1)
    return state, solved


def _solve(measured: MeasuredScenario, state: LoopState) -> tuple[LoopState, SolvedPlan]:
    """Formulate and solve under the costs that are believed."""
    planning = measured.planning_problem(state.latency)
    search = measured.noise_limit_search.solve(planning.formulate(), state.search)
    return replace(state, search=search.state), SolvedPlan(planning, search)


def _best_timed(
    measured: MeasuredScenario, state: LoopState, solved: SolvedPlan, progress: Progress
) -> tuple[LoopState, SolvedPlan]:
    """Time plans in one precision that may be as good, and return the best of all that were timed."""
    search, last = measured.noise_limit_search, state.timed[-1]
    uniform, seen = search.uniform_precision_plans(solved.search.problem, state.near_best, state.search)
    state = replace(state, search=seen)
    for result in uniform:
        if result.choice is not None and not state.was_timed(result.choice):
            timings = _time(measured, configuration_of(solved.search.problem, result.choice), progress)
            state = state.with_timing(measured, solved, result.choice, timings)
    best = state.best
    if best is last and solved.choice == last.choice:  # it is proved under the costs that it showed
        return state, solved
    state = state.believing_best()
    planning = measured.planning_problem(state.latency)
    proved = search.bound_for(planning.formulate(), best.choice, state.search)
    return state, SolvedPlan(planning, proved)


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
    record = assemble_models(several, solved, {name: outcome.plan for name, outcome in outcomes.items()})
    failures = [f"{name}: {text}" for name, outcome in outcomes.items() for text in outcome.failures]
    return ModelsOutcome(record, outcomes, tuple(failures))


def measure_models(several: SeveralModels, progress: Progress = silent) -> MeasuredModels:
    """Prepare and profile each of several models."""
    scenarios = [one.scenario for one in several.models]
    return MeasuredModels(several, tuple(measure_scenario(prepare(s, progress), progress) for s in scenarios))


def _solve_and_refine_models(
    models: MeasuredModels, progress: Progress
) -> tuple[JointLoopState, SolvedModels]:
    """Solve, time each model's part and solve again; return the best plan that was timed."""
    progress("solving", 0, 1)
    state, solved = solve_models(models, JointLoopState.of(models))
    while state.asks_for_timing(solved):
        timings = _time_models(models, solved, solved.choice, progress)
        if not all(timings):
            break
        state = state.with_timing(models, solved, solved.choice, timings).believing_last()
        state, solved = solve_models(models, state)
    if solved.is_plan and state.timed:
        state = _time_uniform_models(models, state, solved, progress)
        if state.best != len(state.timed) - 1 or solved.choice != state.timed[state.best][0]:
            state, solved = bound_best(models, state)
    progress("solving", 1, 1)
    return state, solved


def _time_uniform_models(
    models: MeasuredModels, state: JointLoopState, solved: SolvedModels, progress: Progress
) -> JointLoopState:
    """Time the plans in one precision that may be as good."""
    joint = solved.search.joint
    for result in uniform_precision_plans(joint.problem, models.options):
        choice = result.choice
        if choice is None or (result.objective or 0.0) > state.near_best or state.was_timed(choice):
            continue
        keeps, _ = keep_budgets(models, joint, choice, [one.search for one in state.states])
        timings = _time_models(models, solved, choice, progress) if keeps else [{}]
        if all(timings):
            state = state.with_timing(models, solved, choice, timings)
    return state


def _time_models(
    models: MeasuredModels, solved: SolvedModels, choice: Choice, progress: Progress
) -> list[dict[str, PlanTiming]]:
    """Time each model's part of a choice."""
    joint = solved.search.joint
    return [
        _time(one, configuration_of(joint.parts[model].problem, joint.choice_of(model, choice)), progress)
        for model, one in enumerate(models.measured)
    ]


def _model_outcome(
    models: MeasuredModels, solved: SolvedModels, state: JointLoopState, model: int, progress: Progress
) -> Outcome:
    """Build and verify one model's part of a plan."""
    measured, several, part = models.measured[model], models.several, solved.part(model)
    built = measured.build(part.configuration)
    target = verification_target(measured.prepared, built)
    planning = _with_shown_noise(measured, part, target, progress)
    result = solved.search.result
    plan = msgspec.structs.replace(
        assemble_plan(planning, part.search, state.states[model].rounds),
        objective=Objective(
            name=objective_name(several.shared), value=result.objective, bound=result.bound, gap=result.gap
        ),
        part_of=PartOf(
            model=several.models[model].name,
            models=several.names,
            share=several.models[model].share,
            requests_per_s=several.requests_per_s and several.requests_per_s * several.models[model].share,
        ),
    )
    shown = verify(
        target, measured.prepared.evaluation, measured.prepared.runtime, measured.prepared.metric, progress
    )
    require_equal_chain(shown)
    scenario = measured.scenario
    profiles = _profiles(measured, state.states[model].latency)
    return Outcome(
        with_measured(plan, scenario, shown), built, profiles, broken_budget_sentences(scenario, shown)
    )


def _no_models_plan(models: MeasuredModels, solved: SolvedModels) -> ModelsOutcome:
    """Return why there is no plan for several models."""
    search = solved.search
    record = assemble_models(models.several, solved, {})
    if search.unmet:
        return ModelsOutcome(record, {}, search.unmet)
    left_s = models.options.time_limit_s - search.result.runtime_s
    found = find_conflict(search.problem, replace(models.options, time_limit_s=left_s))
    noises = [one.noise_model.predict for one in models.measured]
    return ModelsOutcome(record, {}, conflict=models_conflict_text(models.several, found, noises))


def _time(
    measured: MeasuredScenario, configuration: Configuration, progress: Progress
) -> dict[str, PlanTiming]:
    """Build a plan and time it on the devices that this machine stands for; empty if there are none."""
    progress("timing the plan", 0, 1)
    timings = time_in_place(measured.prepared, measured.build(configuration), configuration)
    progress("timing the plan", 1, 1)
    return timings


def _no_plan(measured: MeasuredScenario, solved: SolvedPlan) -> Outcome:
    """Return why there is no plan: budgets that cannot hold together, or errors that no limit mends."""
    search = solved.search
    plan = assemble_infeasible(solved.planning, search)
    if search.unmet:
        return Outcome(plan, None, {}, search.unmet)
    options = measured.options
    left_s = options.time_limit_s - search.result.runtime_s
    found = find_conflict(search.problem, replace(options, time_limit_s=left_s))
    return Outcome(
        plan, None, {}, conflict=conflict_text(measured.scenario, found, measured.noise_model.predict)
    )


def _with_shown_noise(
    measured: MeasuredScenario, solved: SolvedPlan, target: VerificationTarget, progress: Progress
) -> PlanningProblem:
    """Return what was solved, with a noise model that gives what the plan shows on calibration samples."""
    prepared, planning = measured.prepared, solved.planning
    samples = prepared.subject.calibration.spread(measured.scenario.profiling.noise_samples)
    noise_rms = measure_errors(target, samples, prepared.runtime, progress=progress).noise_relative_rms
    summed = solved.search.cost.noise_power
    return replace(planning, noise_model=planning.noise_model.calibrated(summed, noise_rms**2))


def _profiles(measured: MeasuredScenario, latency: Mapping[str, LatencyProfile]) -> dict[str, Profile]:
    """Return device -> its profile with the costs under which the plan was solved."""
    scenario, schemes = measured.scenario, measured.prepared.schemes
    return {
        name: Profile(PROFILE_FORMAT, name, profile, noise_of(scenario, schemes[name], measured.noise))
        for name, profile in latency.items()
    }


def export_plan(plan: Plan, progress: Progress = silent) -> BuiltModels:
    """Rebuild and split a saved plan without solving."""
    scenario = parse_scenario(bytes(plan.scenario))
    quantized = [a.unit for a in plan.assignments if a.precision is not Precision.FP32]
    prepared = prepare(scenario, progress, _planned_schemes(plan, scenario), quantized)
    if model_hash(prepared.models.graph.model) != plan.model_sha256:
        raise ModelError(f"{prepared.scenario.model} is not the model that was planned: it has changed")
    if prepared.subject.samples != plan.calibration_sha256:
        raise DataError("data.calibration: the samples have changed since the plan was made; plan again")
    return build_models(prepared, plan)


def verify_plan(
    plan: Plan, folder: Path, stages: Sequence[tuple[str, Path]], progress: Progress = silent
) -> Outcome:
    """Measure an exported plan again on the evaluation data.

    Parameters
    ----------
    stages
        Device and file of each stage, in running order.
    """
    scenario = parse_scenario(bytes(plan.scenario))
    source = load_source(scenario, progress)
    data = load_datasets(scenario, source)
    models = group_units(scenario, source, data)
    runtime = local_runtime(scenario)
    schemes = _planned_schemes(plan, scenario)
    levels = [trial_level(scenario, scenario.device(name), schemes[name]) for name, _ in stages]
    files = [file for _, file in stages]
    target = VerificationTarget(models.source, folder / "model.onnx", files, levels)
    if model_hash(models.graph.model) != plan.model_sha256:
        raise ModelError(f"{scenario.model} is not the model that was planned: it has changed")
    shown = verify(target, data.evaluation, runtime, load_metric(scenario.metric), progress)
    require_equal_chain(shown)
    plan = with_measured(plan, scenario, shown)
    return Outcome(plan, None, {}, broken_budget_sentences(scenario, shown))


def _planned_schemes(plan: Plan, scenario: Scenario) -> dict[str, Scheme]:
    if set(plan.quantization) != {device.name for device in scenario.devices}:
        raise OutputError("plan.json: its quantization does not fit the devices")
    return schemes_of(plan.quantization)
