"""The flow, written out once: scenario -> graph -> profile -> problem -> plan -> models -> proof."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from planner.costs.device_costs import noise_of
from planner.deployment.build import build_models
from planner.deployment.deliverable import BuiltModels, VerificationTarget, verification_target
from planner.devices.quantization_schemes import schemes_of, trial_level
from planner.devices.runtime import local_runtime
from planner.errors import DataError, OutputError, RebuildError
from planner.inputs.prepared_scenario import Prepared, group_units, load_datasets, load_source, prepare
from planner.plan.configuration import Configuration, configuration_of
from planner.plan.records import Measured, Plan
from planner.refinement.closed_loop import close_loop
from planner.refinement.infeasibility_text import conflict_text
from planner.refinement.measured_scenario import measure_scenario
from planner.refinement.noise_limit_search import Tightened
from planner.refinement.outcome import Outcome
from planner.refinement.plan_assembly import compose_infeasible, compose_plan
from planner.refinement.question import PlanningProblem
from planner.scenario.loader import parse_scenario
from planner.scenario.schema import Scenario
from planner.solver.infeasibility import find_conflict
from planner.user_objects import load_metric
from planner.verification.error_budgets import broken_budgets, has_error_budget
from planner.verification.sample_size import too_few_evaluated
from planner.verification.time_plan import time_in_place
from planner.verification.verify import measure_errors, verify
from profiling.errors import ModelError
from profiling.latency.plan_corrections import PlanTiming
from profiling.onnx_io.load import model_hash
from profiling.precision import Precision
from profiling.progress import Progress, silent
from profiling.quantization.quantize import Scheme
from profiling.records.profile import FORMAT as PROFILE_FORMAT
from profiling.records.profile import Profile


def plan_scenario(scenario: Scenario, progress: Progress = silent) -> Outcome:
    """Find, build and verify the plan of a scenario; write nothing."""
    basis = measure_scenario(scenario, progress)
    prepared = basis.prepared

    def timed(chosen: Configuration) -> dict[str, PlanTiming]:
        progress("timing the plan", 0, 1)
        found = time_in_place(prepared, basis.build(chosen), chosen)
        progress("timing the plan", 1, 1)
        return found

    progress("solving", 0, 1)
    closed = close_loop(basis.ask, basis.latency, basis.tightening, timed)
    progress("solving", 1, 1)
    question, tightened = closed.question, closed.tightened
    if tightened.result.choice is None:
        conflict = conflict_text(scenario, find_conflict(tightened.problem, basis.options), basis.law.predict)
        return Outcome(compose_infeasible(question, tightened), None, {}, conflict=conflict)
    if tightened.unmet:
        return Outcome(compose_infeasible(question, tightened), None, {}, tightened.unmet)
    built = basis.build(configuration_of(tightened.problem, tightened.result.choice))
    deliverable = verification_target(prepared, built)
    question = _with_own_noise(question, prepared, deliverable, tightened, progress)
    plan = compose_plan(question, tightened, closed.rounds)
    measured = verify(deliverable, prepared.evaluation, prepared.runtime, prepared.metric, progress)
    _require_equal_chain(measured)
    plan = _with_measured(plan, scenario, measured)
    profiles = {
        name: Profile(PROFILE_FORMAT, name, profile, noise_of(scenario, prepared.schemes[name], basis.noise))
        for name, profile in closed.latency.items()
    }
    return Outcome(plan, built, profiles, _failures(scenario, measured))


def _with_own_noise(
    question: PlanningProblem,
    prepared: Prepared,
    deliverable: VerificationTarget,
    tightened: Tightened,
    progress: Progress,
) -> PlanningProblem:
    """Return the question with a law that gives the noise which the plan shows on calibration samples."""
    samples = prepared.subject.calibration.spread(question.scenario.profiling.noise_samples)
    seen = measure_errors(deliverable, samples, prepared.runtime, progress=progress).noise_relative_rms
    summed = tightened.cost.noise_power
    return replace(question, law=question.law.calibrated(summed, seen**2))


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
    deliverable = VerificationTarget(models.source, folder / "model.onnx", files, levels)
    if model_hash(models.graph.model) != plan.model_sha256:
        raise ModelError(f"{scenario.model} is not the model that was planned: it has changed")
    measured = verify(deliverable, data.evaluation, runtime, load_metric(scenario.metric), progress)
    _require_equal_chain(measured)
    plan = _with_measured(plan, scenario, measured)
    return Outcome(plan, None, {}, _failures(scenario, measured))


def _with_measured(plan: Plan, scenario: Scenario, measured: Measured) -> Plan:
    """Return a plan with what the evaluation data showed, and what they are too few to show."""
    planned = (one for one in plan.too_few_samples if one.data == "calibration")
    few = (*planned, *too_few_evaluated(scenario.budget, measured))
    return msgspec.structs.replace(plan, measured=measured, too_few_samples=few)


def _planned_schemes(plan: Plan, scenario: Scenario) -> dict[str, Scheme]:
    if set(plan.quantization) != {device.name for device in scenario.devices}:
        raise OutputError("plan.json: its quantization does not fit the devices")
    return schemes_of(plan.quantization)


def _require_equal_chain(measured: Measured) -> None:
    chain = measured.chain
    if not chain.basic_bit_equal:
        raise RebuildError("the chain of stages does not give the same bits as the whole model")
    if chain.integer_kernels < chain.integer_kernels_whole:
        raise RebuildError(
            f"the stages run {chain.integer_kernels} integer kernels, the whole model "
            f"{chain.integer_kernels_whole}: cutting lost a fusion"
        )


def _failures(scenario: Scenario, measured: Measured) -> tuple[str, ...]:
    """Return a sentence per error budget that the evaluation data broke."""
    if not has_error_budget(scenario.budget):
        return ()
    return tuple(
        f"{name} is {value:.6g} on {measured.samples} evaluation samples, budget {limit:.6g}"
        for name, limit, value in broken_budgets(scenario.budget, measured)
    )
