"""The flow, written out once: scenario -> graph -> profile -> problem -> plan -> models -> proof."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import msgspec
import onnx

from planner.compose import Question, chosen_options, compose_infeasible, compose_plan, int8_units
from planner.data import Dataset, check_labels, load_data, split_calibration
from planner.errors import DataError, OutputError, RebuildError, ScenarioError
from planner.explain import binding_budgets
from planner.formulate import Formulation
from planner.ilp import SolveResult
from planner.law import Trial
from planner.loop import close_loop
from planner.measure import (
    MEASURE_HERE,
    Subject,
    calibrate_once,
    device_costs,
    latency_profile,
    local_runtime,
    measured_devices,
    noise_law,
    noise_profiles,
    runtime_of,
)
from planner.metrics import broken_budgets, has_error_budget
from planner.plan import Measured, Metrics, Plan
from planner.rebuild import rebuild
from planner.scenario import DeviceSpec, Scenario
from planner.scenario_file import parse_scenario
from planner.schemes import choose_schemes, scheme_here, schemes_of, trial_level
from planner.solvers import SolverOptions
from planner.split import Placement, StageModel, split
from planner.tighten import Tightening
from planner.user_code import Metric, load_metric
from planner.verify import Deliverable, measure_errors, verify
from profiling.bundle import write_bundle
from profiling.errors import ModelError
from profiling.graph import ModelGraph, build_graph
from profiling.latency import order_of, time_plan
from profiling.model import load_model, model_hash
from profiling.prepare import prepare_model
from profiling.profile import FORMAT as PROFILE_FORMAT
from profiling.profile import LatencyProfile, Profile
from profiling.progress import Progress, silent
from profiling.quantize import Calibration, Scheme
from profiling.refine import InPlace
from profiling.session import Optimization, Runtime

_LEAST_CALIBRATION = 4  # so that a quarter can be held back


@dataclass(frozen=True, slots=True)
class Models:
    """The user's model with static shapes, and its units."""

    source: onnx.ModelProto
    graph: ModelGraph


@dataclass(frozen=True, slots=True)
class Prepared:
    """A scenario whose model and data are loaded and calibrated."""

    scenario: Scenario
    models: Models
    subject: Subject
    ranges: Path
    schemes: Mapping[str, Scheme]
    held_back: Dataset
    evaluation: Dataset
    metric: Metric | None

    @property
    def runtime(self) -> Runtime:
        """How models run on this machine when a plan is tried out."""
        return local_runtime(self.scenario)

    def calibration(self, device: str) -> Calibration:
        """Return how a device quantizes."""
        return Calibration(self.schemes[device], self.ranges)

    def level(self, device: str) -> Optimization:
        """Return how a device's stage is tried out here."""
        return trial_level(self.scenario, self.scenario.device(device), self.schemes[device])


@dataclass(frozen=True, slots=True)
class Built:
    """A plan's models."""

    mixed: onnx.ModelProto
    stages: tuple[StageModel, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a run.

    Parameters
    ----------
    built, profiles
        None and empty where there is no plan.
    failures
        Error budgets that the evaluation data broke, or that no plan can keep, as sentences.
    binding
        If no plan keeps all budgets: those without which, one at a time, there is one.
    """

    plan: Plan
    built: Built | None
    profiles: Mapping[str, Profile]
    failures: tuple[str, ...] = ()
    binding: tuple[str, ...] = ()


def load_models(scenario: Scenario) -> Models:
    """Read a scenario's model and group it into units."""
    shapes = {name: tuple(shape) for name, shape in scenario.input_shapes.items()}
    source = load_model(Path(scenario.model), shapes)
    graph = build_graph(prepare_model(source))
    unknown = set(scenario.inputs) - set(graph.inputs)
    if unknown:
        raise ModelError(
            f"inputs.{sorted(unknown)[0]}: the model has no such input; it has {', '.join(graph.inputs)}"
        )
    return Models(source, graph)


def prepare(
    scenario: Scenario, progress: Progress = silent, schemes: Mapping[str, Scheme] | None = None
) -> Prepared:
    """Load a scenario's model and data, check them against each other, and calibrate.

    Parameters
    ----------
    schemes
        How each device quantizes; chosen if not given.
    """
    progress("reading the model", 0, 1)
    models = load_models(scenario)
    calibration, held_back, evaluation = _load_data(scenario, models.graph)
    metric = load_metric(scenario.metric)
    progress("reading the model", 1, 1)
    schemes = schemes or choose_schemes(scenario)
    subject = Subject.of(models.graph, calibration)
    ranges = calibrate_once(subject, progress)
    return Prepared(scenario, models, subject, ranges, schemes, held_back, evaluation, metric)


def profile_devices(prepared: Prepared, progress: Progress = silent) -> dict[str, LatencyProfile]:
    """Return the seconds of every device that is not scaled from another."""
    return {
        device.name: latency_profile(
            prepared.scenario, device, prepared.subject, prepared.calibration(device.name), progress
        )
        for device in measured_devices(prepared.scenario)
    }


def profile_here(scenario: Scenario, device: str, progress: Progress = silent) -> Profile:
    """Measure a scenario's model on this machine as one of its devices.

    Raises
    ------
    ScenarioError
        If there is no such device.
    """
    here = _device(scenario, device).model_copy(update={"profile": MEASURE_HERE, "scaled_from": None})
    scheme = scheme_here(scenario, here, runtime_of(here))
    prepared = prepare(scenario, progress, {device: scheme})
    calibration = prepared.calibration(device)
    latency = latency_profile(scenario, here, prepared.subject, calibration, progress)
    noise = noise_profiles(scenario, prepared.subject, [calibration], progress)
    return Profile(PROFILE_FORMAT, device, latency, noise[scheme])


def _device(scenario: Scenario, name: str) -> DeviceSpec:
    names = [each.name for each in scenario.devices]
    if name not in names:
        raise ScenarioError(f"--device {name}: no such device; devices are {', '.join(names)}")
    return scenario.device(name)


def bundle_device(scenario: Scenario, device: str, folder: Path, progress: Progress = silent) -> None:
    """Write what one of a scenario's devices needs to be measured by itself into an empty folder.

    Raises
    ------
    ScenarioError
        If there is no such device.
    """
    there = _device(scenario, device)
    spec = scenario.quantization_of(there)
    # Bits of weights do not change seconds; whether kernels overflow there is found out there.
    scheme = Scheme(bool(spec.symmetric), bool(spec.reduce_range))
    prepared = prepare(scenario, progress, {device: scheme})
    feeds = prepared.subject.calibration.samples[0]
    graph, calibration = prepared.models.graph, prepared.calibration(device)
    order = order_of(graph, calibration, device, runtime_of(there), scenario.profiling.rounds or 0)
    progress("writing the bundle", 0, 1)
    write_bundle(graph, calibration, feeds, order, folder)
    progress("writing the bundle", 1, 1)


def plan_scenario(scenario: Scenario, progress: Progress = silent) -> Outcome:
    """Find, build and verify the plan of a scenario; write nothing."""
    prepared = prepare(scenario, progress)
    graph, subject = prepared.models.graph, prepared.subject
    latency = profile_devices(prepared, progress)
    calibrations = [prepared.calibration(device.name) for device in scenario.devices]
    noise = noise_profiles(scenario, subject, calibrations, progress)
    costs = device_costs(scenario, latency, noise, prepared.schemes)
    source = scenario.source
    trial = Trial(prepared.calibration(source), prepared.level(source))
    law = noise_law(scenario, subject, trial, costs[source], progress)

    def ask(latency: Mapping[str, LatencyProfile]) -> Question:
        costs = device_costs(scenario, latency, noise, prepared.schemes)
        return Question(scenario, graph, prepared.schemes, subject.samples, costs, law)

    @lru_cache(maxsize=2)  # one of the last plans that are tried out is the one that is delivered
    def build(chosen: tuple[tuple[str, bool], ...]) -> Built:
        return _build(prepared, int8_units(chosen), tuple(device for device, _ in chosen))

    def tightening(formulation: Formulation) -> Tightening:
        def try_out(result: SolveResult) -> Metrics:
            deliverable = _deliverable(prepared, build(chosen_options(formulation, result)))
            return measure_errors(deliverable, prepared.held_back, prepared.runtime, prepared.metric)

        return Tightening(scenario.budget, options, try_out, law)

    def time_in_place(chosen: tuple[tuple[str, bool], ...]) -> dict[str, InPlace]:
        progress("timing the plan", 0, 1)
        found = _time_in_place(prepared, build(chosen).mixed, frozenset(int8_units(chosen)))
        progress("timing the plan", 1, 1)
        return found

    options = SolverOptions(scenario.solver.name, scenario.solver.time_limit_s, scenario.solver.gap)
    progress("solving", 0, 1)
    closed = close_loop(ask, latency, tightening, time_in_place)
    progress("solving", 1, 1)
    question, formulation, tightened = closed.question, closed.formulation, closed.tightened
    if tightened.result.choice is None:
        binding = binding_budgets(tightened.problem, options)
        return Outcome(compose_infeasible(question, tightened), None, {}, binding=binding)
    if tightened.unmet:
        return Outcome(compose_infeasible(question, tightened), None, {}, tightened.unmet)
    plan = compose_plan(question, formulation, tightened, closed.rounds)
    built = build(chosen_options(formulation, tightened.result))
    deliverable = _deliverable(prepared, built)
    measured = verify(deliverable, prepared.evaluation, prepared.runtime, prepared.metric, progress)
    _require_equal_chain(measured)
    plan = msgspec.structs.replace(plan, measured=measured)
    profiles = {
        name: Profile(PROFILE_FORMAT, name, profile, noise[prepared.schemes[name]])
        for name, profile in closed.latency.items()
    }
    return Outcome(plan, built, profiles, _failures(scenario, measured))


def _time_in_place(prepared: Prepared, mixed: onnx.ModelProto, int8: frozenset[int]) -> dict[str, InPlace]:
    """Return device -> seconds of a plan's whole model, for the devices that this machine stands for."""
    here = [d for d in measured_devices(prepared.scenario) if d.profile in (None, MEASURE_HERE)]
    graph, feeds = prepared.models.graph, prepared.subject.calibration.samples[0]
    rounds = prepared.scenario.profiling.rounds or 0
    found: dict[Runtime, InPlace] = {}
    for device in here:
        runtime = runtime_of(device)
        if runtime not in found:
            found[runtime] = time_plan(graph, mixed, int8, feeds, runtime, rounds)
    return {device.name: found[runtime_of(device)] for device in here}


def export_plan(plan: Plan, progress: Progress = silent) -> Built:
    """Rebuild and split a saved plan without solving."""
    scenario = parse_scenario(bytes(plan.scenario))
    prepared = prepare(scenario, progress, _planned_schemes(plan, scenario))
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
    models = load_models(scenario)
    _, _, evaluation = _load_data(scenario, models.graph)
    runtime = local_runtime(scenario)
    schemes = _planned_schemes(plan, scenario)
    levels = [trial_level(scenario, scenario.device(name), schemes[name]) for name, _ in stages]
    files = [file for _, file in stages]
    deliverable = Deliverable(models.source, folder / "model.onnx", files, levels)
    if model_hash(models.graph.model) != plan.model_sha256:
        raise ModelError(f"{scenario.model} is not the model that was planned: it has changed")
    measured = verify(deliverable, evaluation, runtime, load_metric(scenario.metric), progress)
    _require_equal_chain(measured)
    plan = msgspec.structs.replace(plan, measured=measured)
    return Outcome(plan, None, {}, _failures(scenario, measured))


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


def build_models(prepared: Prepared, plan: Plan) -> Built:
    """Return a plan's mixed-precision model and its stages."""
    graph = prepared.models.graph
    int8_names, device_of = plan.int8_units(), plan.devices()
    devices = {device.name for device in prepared.scenario.devices}
    if set(device_of) != {unit.name for unit in graph.units} or not devices.issuperset(device_of.values()):
        raise OutputError("plan.json: its assignments do not fit the model's units or the devices")
    int8 = [unit.index for unit in graph.units if unit.quantizable and unit.name in int8_names]
    return _build(prepared, int8, tuple(device_of[unit.name] for unit in graph.units))


def _build(prepared: Prepared, int8: list[int], devices: tuple[str, ...]) -> Built:
    schemes = {index: prepared.schemes[devices[index]] for index in int8}
    mixed = rebuild(prepared.models.graph, schemes, prepared.ranges)
    scenario = prepared.scenario
    placement = Placement(devices, scenario.source, scenario.sink, frozenset(scenario.inputs))
    return Built(mixed, split(mixed, prepared.models.graph, placement))


def _load_data(scenario: Scenario, graph: ModelGraph) -> tuple[Dataset, Dataset, Dataset]:
    """Return (calibration, held-back, evaluation) data."""
    inputs = [graph.tensors[name] for name in graph.inputs]
    calibration = load_data(scenario.data.calibration, inputs, "data.calibration")
    evaluation = load_data(scenario.data.evaluation, inputs, "data.evaluation")
    if len(calibration.samples) < _LEAST_CALIBRATION:
        raise DataError(
            f"data.calibration: needs at least {_LEAST_CALIBRATION} samples, "
            f"got {len(calibration.samples)}: a quarter is held back to tighten budgets"
        )
    scores = graph.tensors[graph.outputs[0]]
    if scores.is_float:
        check_labels(calibration.classes, scores.elements, "data.calibration")
        check_labels(evaluation.classes, scores.elements, "data.evaluation")
    if scenario.budget.accuracy_drop is not None and evaluation.classes is None:
        raise DataError("budget.accuracy_drop needs data.evaluation.labels, a class index per sample")
    return (*split_calibration(calibration), evaluation)


def _deliverable(prepared: Prepared, built: Built) -> Deliverable:
    return Deliverable(
        prepared.models.source,
        built.mixed,
        [stage.model for stage in built.stages],
        [prepared.level(stage.device) for stage in built.stages],
    )


def _failures(scenario: Scenario, measured: Measured) -> tuple[str, ...]:
    """Return a sentence per error budget that the evaluation data broke."""
    if not has_error_budget(scenario.budget):
        return ()
    return tuple(
        f"{name} is {value:.6g} on {measured.samples} evaluation samples, budget {limit:.6g}"
        for name, limit, value in broken_budgets(scenario.budget, measured)
    )
