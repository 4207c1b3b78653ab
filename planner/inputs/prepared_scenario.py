"""A scenario whose model and data are loaded, checked against each other, and calibrated."""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import onnx

from planner.conversion.cached_conversion import Converted, convert
from planner.conversion.equivalence_check import check_on_samples
from planner.conversion.model_source import conversion_request, saved_model_request
from planner.conversion.provenance import ConvertedFrom
from planner.devices.calibration_choices import CalibrationChoice
from planner.devices.quantization_schemes import choose_schemes, trial_level
from planner.devices.runtime import local_runtime
from planner.devices.tried_precisions import TriedPrecision
from planner.errors import DataError
from planner.inputs.auto_precisions import find_precisions
from planner.inputs.calibrated_model import (
    CalibratedModel,
    calibrate_once,
    calibration_choices,
    correct_biases_once,
)
from planner.inputs.dataset import Dataset, Input, check_labels, split_calibration
from planner.inputs.labels.class_names import check_class_names
from planner.inputs.load_samples import check_names, load_data
from planner.inputs.model_answers import check_answers, class_count
from planner.inputs.refused_units import refused_once
from planner.inputs.sample_doubts import check_values, sample_doubts
from planner.metrics.scenario_metric import scenario_metric
from planner.scenario.data_schema import SampleSpec
from planner.scenario.schema import Scenario
from planner.user_objects import Metric
from profiling.arrays import Feeds
from profiling.errors import ModelError
from profiling.graph.any_model import AnyModel, SavedModelStage, Stage, inputs_of, onnx_model
from profiling.graph.compressed_weights import CompressedWeights
from profiling.graph.operator_graph import OperatorGraph
from profiling.graph.unit_graph import build_graph
from profiling.on_device.create_session import Optimization
from profiling.onnx_io.load_model import load_model
from profiling.onnx_runtime_model import OnnxRuntimeModel
from profiling.precision import Precision
from profiling.preparation.rewrite_steps import prepare_model
from profiling.progress import Progress, silent
from profiling.quantization.calibration import Calibration
from profiling.quantization.qdq_model import INT8, Scheme
from profiling.records.cache import EntryKind, cached, entry_path
from profiling.runtime.open_session import Runtime
from profiling.runtime_model import RuntimeModel
from profiling.runtime_names import LITERT, ONNX_RUNTIME, TENSORFLOW
from profiling.several_runtimes.block_graph import BlockGraph
from profiling.several_runtimes.onnx_inputs import with_channels_last_inputs
from profiling.stage_session import naming_litert, runtime_of_model
from profiling.tensorflow_runtime.saved_model_graph import load_saved_model, read_saved_model_stage

log = logging.getLogger(__name__)

_LEAST_CALIBRATION = 4  # so that a quarter can be held back
_CHECKED = 4  # samples on which a conversion is checked


@dataclass(frozen=True, slots=True)
class SourceModel:
    """The user's model with static input shapes, converted if its runtime needs another form.

    Parameters
    ----------
    others
        Runtime -> the same there, where `model` is for LiteRT and devices run others.
    """

    model: AnyModel
    converted: Converted | None = None
    others: Mapping[str, AnyModel] = field(default_factory=dict)

    @property
    def channels_last(self) -> frozenset[str]:
        """Inputs whose samples have their channels last where they come from, and first in the graph."""
        inputs = self.converted.conversion.inputs if self.converted else ()
        return frozenset(end.name for end in inputs if end.channels_last)

    @property
    def inputs(self) -> list[Input]:
        """What a sample has to give."""
        return [
            Input(one.name, one.dtype, one.shape, one.name in self.channels_last)
            for one in inputs_of(self.model)
        ]


@dataclass(frozen=True, slots=True)
class GroupedModel:
    """The user's model with static shapes, and its units.

    Parameters
    ----------
    source
        Where devices run several runtimes, the one whose names and shapes the units have.
    """

    source: AnyModel
    model: RuntimeModel
    converted: Converted | None = None
    channels_last: frozenset[str] = frozenset()

    @property
    def graph(self) -> OperatorGraph:
        """Its units."""
        return self.model.graph

    @property
    def fp32(self) -> dict[str, AnyModel]:
        """Runtime -> the fp32 model there; the source where there is one."""
        graph = self.graph
        if not isinstance(graph, BlockGraph):
            return {runtime_of_model(self.source): self.source}
        return {runtime: part.graph.fp32_model for runtime, part in graph.parts.items()}


@dataclass(frozen=True, slots=True)
class Prepared:
    """A scenario whose model and data are loaded and calibrated."""

    scenario: Scenario
    models: GroupedModel
    subject: CalibratedModel
    ranges: Path
    schemes: Mapping[str, Scheme]
    held_back: Dataset
    evaluation: Dataset
    metric: Metric | None
    converted_from: ConvertedFrom | None = None
    sample_doubts: tuple[str, ...] = ()
    tried_precisions: tuple[TriedPrecision, ...] = ()

    def warn_of_samples(self) -> None:
        """Tell why not to trust what samples show; once there is something that they show."""
        for doubt in self.sample_doubts:
            log.warning("%s", doubt)

    @property
    def runtime(self) -> Runtime:
        """How models run on this machine when a plan is tried out."""
        return local_runtime(self.scenario)

    def calibration(self, device: str) -> Calibration:
        """Return how a device quantizes."""
        return Calibration(self.schemes[device], self.ranges)

    @property
    def calibrations(self) -> list[Calibration]:
        """Every way in which numbers are rounded; 8-bit activations come before 16-bit ones."""
        precisions = self.scenario.rounded_precisions
        schemes = (self.schemes[name].as_rounded.at(p) for p in precisions for name in self.schemes)
        return [Calibration(scheme, self.ranges) for scheme in dict.fromkeys(schemes)]

    @property
    def calibration_choices(self) -> tuple[CalibrationChoice, ...]:
        """What calibration samples chose, of what the scenario leaves to them."""
        return calibration_choices(self.schemes, self.ranges, self.scenario.rounded_precisions)

    def level(self, device: str) -> Optimization:
        """Return how a device's stage is tried out here."""
        return trial_level(self.scenario, self.scenario.device(device), self.schemes[device])


@dataclass(frozen=True, slots=True)
class Datasets:
    """A scenario's samples: to calibrate with, held back from that, and to evaluate on."""

    calibration: Dataset
    held_back: Dataset
    evaluation: Dataset
    doubts: tuple[str, ...] = ()


def load_source(scenario: Scenario, progress: Progress = silent) -> SourceModel:
    """Read a scenario's model, converted if its runtime needs another form."""
    if scenario.has_blocks or LITERT in scenario.runtimes:
        with naming_litert():
            from planner.inputs.litert_source import load_tflite
        tflite, made = load_tflite(scenario, progress)
        check_inputs(scenario, tflite.inputs)
        makers: dict[str, Callable[[Scenario, Progress], AnyModel]] = {
            ONNX_RUNTIME: _as_onnx,
            TENSORFLOW: _as_saved_model,
        }
        wanted = [runtime for runtime in scenario.runtimes if runtime != LITERT]
        return SourceModel(tflite, made, {name: makers[name](scenario, progress) for name in wanted})
    shapes = {name: tuple(shape) for name, shape in scenario.input_shapes.items()}
    request = conversion_request(scenario.model, scenario.conversion, shapes)
    if request:
        # Before minutes of conversion.
        check_names(scenario.data.calibration, "data.calibration")
        check_names(scenario.data.evaluation, "data.evaluation")
    converted = convert(request, progress) if request else None
    source = load_model(converted.path, {}) if converted else load_model(Path(scenario.model), shapes)
    check_inputs(scenario, [value.name for value in source.graph.input])
    return SourceModel(source, converted)


def _as_onnx(scenario: Scenario, progress: Progress) -> onnx.ModelProto:
    """Return a scenario's model for ONNX Runtime, with the inputs that its `.tflite` form has."""
    shapes = {name: tuple(shape) for name, shape in scenario.input_shapes.items()}
    request = conversion_request(scenario.model, scenario.conversion, shapes)
    if request is None:
        raise ModelError(f"model: {scenario.model} is an ONNX file, which runtime litert does not take")
    converted = convert(request, progress)
    moved = [end.name for end in converted.conversion.inputs if end.channels_last]
    return with_channels_last_inputs(load_model(converted.path, {}), moved)


def _as_saved_model(scenario: Scenario, progress: Progress) -> SavedModelStage:
    """Return a scenario's model for TensorFlow."""
    shapes = {name: tuple(shape) for name, shape in scenario.input_shapes.items()}
    request = saved_model_request(scenario.model, scenario.conversion, shapes)
    return read_saved_model_stage(convert(request, progress).path.read_bytes())


def check_inputs(scenario: Scenario, names: Sequence[str]) -> None:
    """Refuse what a scenario says of inputs that its model has not."""
    unknown = set(scenario.inputs) - set(names)
    if unknown:
        raise ModelError(
            f"inputs.{sorted(unknown)[0]}: the model has no such input; it has {', '.join(names)}"
        )


def group_units(scenario: Scenario, source: SourceModel, data: Datasets) -> GroupedModel:
    """Prepare a model on its samples, group it, and check budgets and labels against its answers."""
    model = _grouped(source, scenario, data)
    graph = model.graph
    scores = graph.tensors[graph.outputs[0]]
    check_answers(scenario.budget, scores)
    if scenario.budget.accuracy_drop is not None and data.evaluation.classes is None:
        raise DataError("budget.accuracy_drop needs data.evaluation.labels, a class index per sample")
    classes = class_count(scores.dtype, scores.shape)
    if classes is not None:
        for part in (data.calibration, data.held_back):
            _check_classes(part, scenario.data.calibration, classes, "data.calibration")
        _check_classes(data.evaluation, scenario.data.evaluation, classes, "data.evaluation")
    return GroupedModel(source.model, model, source.converted, source.channels_last)


def _grouped(source: SourceModel, scenario: Scenario, data: Datasets) -> RuntimeModel:
    samples = data.calibration.samples
    if isinstance(source.model, Stage):
        from planner.inputs.litert_source import litert_model_of, model_in_runtimes

        if not scenario.has_blocks:
            return litert_model_of(source.model, scenario.model)
        graphs = [
            load_saved_model(other.content)
            if isinstance(other, SavedModelStage)
            else build_graph(prepare_model(onnx_model(other), samples))
            for other in source.others.values()
        ]
        return model_in_runtimes(source.model, scenario.model, graphs, few_samples(data.calibration))
    model = onnx_model(source.model)
    graph = build_graph(prepare_model(model, samples))
    del model.graph.output[:]
    model.graph.output.extend(graph.model.graph.output)  # whose shapes runs have shown
    return OnnxRuntimeModel(graph)


def _check_classes(data: Dataset, spec: SampleSpec, classes: int, where: str) -> None:
    """Refuse labels that cannot be those of a model's classes."""
    check_labels(data.classes, classes, where)
    check_class_names(data.class_names, spec.label_offset, classes, where)


def prepare(
    scenario: Scenario,
    progress: Progress = silent,
    schemes: Mapping[str, Scheme] | None = None,
    trusted: Collection[str] = (),
    more_budgets: Collection[str] = (),
) -> Prepared:
    """Load a scenario's model and data, check them against each other, and calibrate.

    With `precisions: auto` the scenario of what is returned names those that were found.

    Parameters
    ----------
    schemes
        How each device quantizes; chosen if not given.
    trusted
        Units that a plan quantizes already, whatever this machine makes of them.
    more_budgets
        Budgets, and costs that are minimized, beside those of the scenario.
    """
    progress("reading the model", 0, 1)
    metric = scenario_metric(scenario)
    source = load_source(scenario, progress)
    data = load_datasets(scenario, source)
    models = group_units(scenario, source, data)
    progress("reading the model", 1, 1)
    log.info(
        "%d units; samples: %d to calibrate with, %d held back, %d to evaluate on",
        len(models.graph.units),
        len(data.calibration.samples),
        len(data.held_back.samples),
        len(data.evaluation.samples),
    )
    schemes = schemes or choose_schemes(scenario)
    for device, scheme in schemes.items():
        log.info("device %s quantizes by %s", device, scheme.label)
    subject = CalibratedModel.of(models.model, data.calibration)
    tensor_ranges = (scheme.tensor_ranges for scheme in schemes.values())
    ranges = calibrate_once(subject, progress, {r for r in tensor_ranges if not r.is_minmax})
    # Corrected biases make no unit come out wrong; what does must not be in the models that judge them.
    plain = {device: replace(one.as_rounded, bias_correction=False) for device, one in schemes.items()}
    reasons = refused_once(scenario, subject, plain, ranges, progress)
    reasons = {
        precision: {unit: why for unit, why in refused.items() if unit not in trusted}
        for precision, refused in reasons.items()
    }
    int8 = Calibration(INT8, ranges)
    tried: tuple[TriedPrecision, ...] = ()
    if scenario.tries_precisions:
        _, offered = _restricted(scenario, models, subject, reasons, int8, progress)
        scenario, tried = find_precisions(scenario, offered, schemes, ranges, more_budgets, progress)
    scenario = scenario.model_copy(update={"precisions": scenario.offered_precisions})
    models, subject = _restricted(scenario, models, subject, reasons, int8, progress)
    corrected = {
        scheme.at(precision).reduce_range
        for scheme in schemes.values()
        for precision in scenario.rounded_precisions
        if scheme.at(precision).bias_correction
    }
    ranges = correct_biases_once(subject, ranges, corrected, progress)
    made = (
        check_on_samples(models.converted, few_samples(data.calibration), progress)
        if models.converted
        else None
    )
    samples = data.held_back, data.evaluation
    return Prepared(scenario, models, subject, ranges, schemes, *samples, metric, made, data.doubts, tried)


def _restricted(
    scenario: Scenario,
    models: GroupedModel,
    subject: CalibratedModel,
    reasons: Mapping[Precision, Mapping[str, str]],
    calibration: Calibration,
    progress: Progress,
) -> tuple[GroupedModel, CalibratedModel]:
    """Return model and subject in which units lack what they are refused, and weights weigh what counts.

    A unit that lacks a static precision has none of them: one that is not measured takes none away.
    """
    measured = scenario.measured_precisions
    model = models.model.with_refused({p: units for p, units in reasons.items() if p in measured})
    models, subject = replace(models, model=model), replace(subject, model=model)
    if scenario.weights == "compressed":
        return _compressed(models, subject, calibration, progress)
    return models, subject


def _compressed(
    models: GroupedModel, subject: CalibratedModel, calibration: Calibration, progress: Progress
) -> tuple[GroupedModel, CalibratedModel]:
    """Return model and subject with what weights weigh compressed, from the cache where it is known."""

    def make() -> CompressedWeights:
        progress("compressing weights", 0, 1)
        sizes_found = CompressedWeights(models.model.compressed_weights(calibration))
        progress("compressing weights", 1, 1)
        return sizes_found

    path = entry_path(
        EntryKind.COMPRESSED,
        models.model.made_by(EntryKind.COMPRESSED),
        subject=subject.fingerprint,
        runtime=models.model.runtime_version,
    )
    sizes = cached(path, CompressedWeights, make)
    model = models.model.with_compressed_weights(sizes.units)
    return replace(models, model=model), replace(subject, model=model)


def few_samples(data: Dataset) -> list[Feeds]:
    """Return the samples on which a conversion is checked."""
    return list(data.spread(_CHECKED).samples)


def load_datasets(scenario: Scenario, source: SourceModel) -> Datasets:
    """Return a scenario's samples, checked against the model's inputs."""
    inputs = source.inputs
    calibration = load_data(scenario.data.calibration, inputs, "data.calibration")
    evaluation = load_data(scenario.data.evaluation, inputs, "data.evaluation")
    if len(calibration.samples) < _LEAST_CALIBRATION:
        raise DataError(
            f"data.calibration: needs at least {_LEAST_CALIBRATION} samples, "
            f"got {len(calibration.samples)}: a quarter is held back to tighten budgets"
        )
    check_values(source.model, calibration, "data.calibration")
    check_values(source.model, evaluation, "data.evaluation")
    doubts = tuple(sample_doubts(calibration, evaluation))
    return Datasets(*split_calibration(calibration), evaluation, doubts)
