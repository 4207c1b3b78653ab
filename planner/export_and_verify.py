"""The flows of `plan export` and `plan verify`: a saved plan, built again or measured again."""

from collections.abc import Sequence
from pathlib import Path

from planner.deployment.build import build_models
from planner.deployment.built_models import BuiltModels, VerificationTarget
from planner.devices.quantization_schemes import schemes_of, trial_level
from planner.devices.runtime import local_runtime
from planner.errors import DataError, OutputError
from planner.inputs.prepared_scenario import group_units, load_datasets, load_source, prepare
from planner.metrics.scenario_metric import scenario_metric
from planner.plan.plan_record import Plan
from planner.refinement.outcome import Outcome
from planner.scenario.loader import parse_scenario
from planner.scenario.schema import Scenario
from planner.verification.acceptance import broken_budget_sentences, require_equal_chain, with_measured
from planner.verification.verify import verify
from profiling.errors import ModelError
from profiling.precision import Precision
from profiling.progress import Progress, silent
from profiling.quantization.qdq_model import Scheme


def export_plan(plan: Plan, progress: Progress = silent) -> BuiltModels:
    """Rebuild and split a saved plan without solving."""
    scenario = parse_scenario(bytes(plan.scenario))
    quantized = [a.unit for a in plan.assignments if a.precision is not Precision.FP32]
    prepared = prepare(scenario, progress, _planned_schemes(plan, scenario), quantized)
    if prepared.models.graph.model_sha256 != plan.model_sha256:
        raise ModelError(f"{prepared.scenario.model} is not the model that was planned: it has changed")
    if prepared.subject.samples != plan.calibration_sha256:
        raise DataError("data.calibration: the samples have changed since the plan was made; plan again")
    return build_models(prepared, plan)


def verify_plan(
    plan: Plan,
    mixed: Path,
    stages: Sequence[tuple[str, Path]],
    whole: Sequence[Path] = (),
    progress: Progress = silent,
) -> Outcome:
    """Measure an exported plan again on the evaluation data.

    Parameters
    ----------
    mixed
        File of the whole mixed-precision model.
    stages
        Device and file of each stage, in running order.
    whole
        Files of the whole model cut where the runtime changes; empty if it does not.
    """
    scenario = parse_scenario(bytes(plan.scenario))
    source = load_source(scenario, progress)
    data = load_datasets(scenario, source)
    models = group_units(scenario, source, data)
    runtime = local_runtime(scenario)
    schemes = _planned_schemes(plan, scenario)
    levels = [trial_level(scenario, scenario.device(name), schemes[name]) for name, _ in stages]
    files = [file for _, file in stages]
    target = VerificationTarget(models.source, mixed, files, levels, whole, models.fp32)
    if models.graph.model_sha256 != plan.model_sha256:
        raise ModelError(f"{scenario.model} is not the model that was planned: it has changed")
    verification = verify(target, data.evaluation, runtime, scenario_metric(scenario), progress)
    require_equal_chain(verification)
    plan = with_measured(plan, scenario, verification)
    return Outcome(plan, None, {}, broken_budget_sentences(scenario, verification))


def _planned_schemes(plan: Plan, scenario: Scenario) -> dict[str, Scheme]:
    if set(plan.quantization) != {device.name for device in scenario.devices}:
        raise OutputError("plan.json: its quantization does not fit the devices")
    return schemes_of(plan.quantization)
