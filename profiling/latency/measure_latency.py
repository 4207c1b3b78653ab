"""Per-unit and per-switch seconds: the models that show them, and what the machine makes of them."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec
import numpy as np
import onnx
import onnxruntime as ort

from profiling.arrays import Feeds
from profiling.graph.mixed_model import mixed_model
from profiling.graph.operator_graph import OperatorGraph
from profiling.graph.unit_graph import ModelGraph
from profiling.latency.kernel_tags import tag_model
from profiling.latency.measured_mixes import by_precision, mixes_of, planned_switches, planned_units
from profiling.latency.plan_timing import PlanTiming, StageTime
from profiling.latency.stage_cuts import designed_stages, stage_models
from profiling.on_device.measured_record import Timed
from profiling.on_device.measurement_order import (
    FORMAT,
    MeasurementPlan,
    WireModel,
)
from profiling.on_device.measuring_flow import measure
from profiling.on_device.robust_statistics import are_enough, middle_error
from profiling.on_device.timing.interleaved_rounds import rounds_for
from profiling.on_device.timing.interleaved_sessions import (
    ChainRuns,
    InterleavedRuns,
    InterleavedTimer,
    time_chain,
)
from profiling.on_device.timing.session_interference import calmest
from profiling.on_device.variant_times import start_seconds, trace
from profiling.precision import Precision
from profiling.progress import Progress, silent
from profiling.quantization.calibration import Calibration
from profiling.quantization.int8_overflow import overflow_probe_model
from profiling.quantization.wire_formats import wire_trials
from profiling.records.profile import LatencyProfile
from profiling.runtime.open_session import Runtime, Trace, open_session

Model = TypeVar("Model")


@dataclass(frozen=True, slots=True)
class Setup:
    """How a model is measured on a device.

    Parameters
    ----------
    rounds
        Runs of the model in each precision, each in turn with the fp32 model; 0 for as many as the model's
        size asks for. Mixed models run half as often.
    precisions
        Which are measured, fp32 first.
    is_cut
        Whether it is measured in stages, too, so that cuts have a price: on one device no plan has any.
    """

    runtime: Runtime
    rounds: int = 0
    precisions: tuple[Precision, ...] = (Precision.FP32, Precision.INT8)
    is_cut: bool = True

    def stages(self, graph: OperatorGraph) -> list[list[int]]:
        """Return the units of each stage that is measured."""
        return designed_stages(graph) if self.is_cut else []


@dataclass(frozen=True, slots=True)
class Variant:
    """One model to time, the same with names that lead back to units and switches, and its stages."""

    plain: onnx.ModelProto
    tagged: onnx.ModelProto
    stages: tuple[onnx.ModelProto, ...] = ()


def variants_of(graph: ModelGraph, calibration: Calibration, setup: Setup) -> list[Variant]:
    """Return what is timed: a model in each precision, fp32 first, and mixed ones that show switches.

    The first ones come in stages as well, as `measurement_plan` lists them.
    """
    variants = [_variant(graph, mix, calibration) for mix in mixes_of(graph, setup.precisions)]
    stages, count = setup.stages(graph), len(setup.precisions)
    cut = [
        replace(variant, stages=tuple(stage_models(variant.plain, graph, stages)))
        for variant in variants[:count]
    ]
    return [*cut, *variants[count:]]


def measurement_plan(
    graph: ModelGraph, calibration: Calibration, setup: Setup, device: str = ""
) -> MeasurementPlan:
    """Return what is to be measured of `variants_of` on a device."""
    return MeasurementPlan(
        format=FORMAT,
        device=device,
        threads=setup.runtime.threads,
        provider=setup.runtime.provider,
        rounds=setup.rounds,
        scheme=calibration.scheme.label,
        model_sha256=graph.model_sha256,
        units=planned_units(graph),
        switches=planned_switches(graph),
        precisions=[precision.value for precision in setup.precisions],
        variants=[by_precision(mix) for mix in mixes_of(graph, setup.precisions)],
        stages=setup.stages(graph),
        wires=[WireModel(wire, side, elements) for wire, side, elements, _ in wire_trials()],
    )


def measure_latency(
    graph: ModelGraph,
    calibration: Calibration,
    feeds: Feeds,
    setup: Setup,
    progress: Progress = silent,
) -> LatencyProfile:
    """Time whole models in each precision and mixed ones on this machine, and attribute kernels to units.

    Parameters
    ----------
    calibration
        What `calibrate` wrote for this graph's model, and the scheme.
    feeds
        One real sample.
    """
    plan = measurement_plan(graph, calibration, setup)
    models = _InMemory(variants_of(graph, calibration, setup), setup.runtime)
    record = measure(plan, models, feeds, progress)
    return msgspec.convert(asdict(record), LatencyProfile)


@dataclass(frozen=True, slots=True)
class BuiltPlan(Generic[Model]):
    """A plan's models.

    Parameters
    ----------
    mix
        Precisions of the quantized units.
    mixed
        `graph.model` with them.
    stages
        (units, model) of its stages in running order.
    handed_over
        What stages of other runtimes give them.
    """

    mix: Mapping[int, Precision]
    mixed: Model
    stages: tuple[tuple[tuple[int, ...], Model], ...] = ()
    handed_over: Feeds = field(default_factory=dict)

    @property
    def is_cut(self) -> bool:
        """Whether its stages are not just the whole model."""
        return len(self.stages) > 1 or bool(self.handed_over)


def time_plan(
    graph: ModelGraph, plan: BuiltPlan[onnx.ModelProto], feeds: Feeds, runtime: Runtime, rounds: int = 0
) -> PlanTiming:
    """Time a plan's whole model and its stages on this machine, each in turn with the fp32 model.

    Parameters
    ----------
    feeds, rounds
        As in `measure_latency` and `Setup`.
    """
    tagged = tag_model(plan.mixed, graph, plan.mix)
    models = _InMemory([Variant(graph.model, graph.model), Variant(plan.mixed, tagged)], runtime)
    sessions: list[InterleavedRuns] = []
    fp32_s: list[float] = []
    ratios: list[float] = []
    clock = runtime.clock
    while not are_enough(ratios, statistics.median(fp32_s or [0.0]), len(sessions)):
        timer = InterleavedTimer(models.plain(0), feeds, rounds, clock)
        rounds = timer.rounds
        sessions.append(timer(models.plain(1)))
        counting = calmest(sessions)
        fp32_s = [seconds for runs in counting for seconds in runs.reference_s]
        ratios = [runs.ratio for runs in counting]
    kernels, traced = trace(models, 1, timer)
    del timer  # large models are in memory twice at most
    reference_s = float(np.median(fp32_s))
    wall_s = float(np.median(ratios)) * reference_s
    profiled = kernels.scaled(reference_s / float(np.median(traced.reference_s)))
    whole = Timed(wall_s, profiled, start_s=start_seconds(models, clock, min(wall_s, reference_s)))
    chains = _stage_ratios(plan, graph.model, feeds, runtime, rounds, reference_s)
    return PlanTiming(
        planned_units(graph),
        planned_switches(graph),
        plan.mix,
        reference_s,
        whole,
        stage_times(plan, chains, reference_s),
        middle_error([sum(chain) for chain in chains] if chains else ratios),
    )


def stage_times(
    plan: BuiltPlan[Any], chains: Sequence[Sequence[float]], fp32_s: float
) -> tuple[StageTime, ...]:
    """Return the seconds of a plan's stages.

    Parameters
    ----------
    chains
        Their seconds over those of the fp32 model, in each of some sessions.
    fp32_s
        Of that model.
    """
    return tuple(
        StageTime(units, fp32_s * float(np.median(ratios)))
        for (units, _), ratios in zip(plan.stages if chains else (), zip(*chains, strict=True), strict=True)
    )


def _stage_ratios(
    plan: BuiltPlan[onnx.ModelProto],
    fp32: onnx.ModelProto,
    feeds: Feeds,
    runtime: Runtime,
    rounds: int,
    fp32_s: float,
) -> list[list[float]]:
    """Return the seconds of stages over those of the fp32 model, in each of some sessions; none uncut.

    They run in turn with that model, as where a plan is verified. By way of the plan's whole model those of
    a network of a quarter of a millisecond were 1 to 2 % less.

    Parameters
    ----------
    fp32_s
        What the fp32 model takes.
    """
    if not plan.is_cut:
        return []
    sessions: list[ChainRuns] = []
    ratios: list[list[float]] = []
    while not are_enough([sum(chain) for chain in ratios], fp32_s, len(sessions)):
        whole = open_session(fp32, runtime)
        stages = [open_session(model, runtime) for _, model in plan.stages]
        rounds = rounds_for(partial(whole.run, None, dict(feeds)), rounds, runtime.clock)
        sessions.append(time_chain(whole, stages, feeds, rounds, runtime.clock, plan.handed_over))
        ratios = [runs.ratios for runs in calmest(sessions)]
        del whole, stages  # models may be large
    return ratios


class _InMemory:
    """Opens the models of a plan as they are here."""

    def __init__(self, variants: list[Variant], runtime: Runtime) -> None:
        self._variants = variants
        self._runtime = runtime

    def plain(self, variant: int) -> ort.InferenceSession:
        return open_session(self._variants[variant].plain, self._runtime)

    def traced(self, variant: int, profile: Path, optimized: Path) -> ort.InferenceSession:
        return open_session(self._variants[variant].tagged, self._runtime, trace=Trace(profile, optimized))

    def stage(self, variant: int, number: int) -> ort.InferenceSession:
        return open_session(self._variants[variant].stages[number], self._runtime)

    def overflow_probe(self) -> ort.InferenceSession:
        return open_session(overflow_probe_model(), self._runtime)

    def wire(self, number: int) -> ort.InferenceSession:
        *_, model = list(wire_trials())[number]
        return open_session(model, self._runtime)


def _variant(graph: ModelGraph, mix: Mapping[int, Precision], calibration: Calibration) -> Variant:
    model = mixed_model(graph, calibration.at(mix), calibration.ranges)
    return Variant(model, tag_model(model, graph, mix))
