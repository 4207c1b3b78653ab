"""Per-unit and per-switch seconds: the models that show them, and what the machine makes of them."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import onnx
import onnxruntime as ort

from profiling import onboard
from profiling.cuts import designed_stages, stage_models
from profiling.graph import ModelGraph
from profiling.model import model_hash
from profiling.onboard import Order
from profiling.profile import LatencyProfile
from profiling.progress import Progress, silent
from profiling.quantize import Calibration, quantize
from profiling.refine import InPlace, StageTime
from profiling.saturation import probe
from profiling.session import Feeds, Runtime, Trace, open_session
from profiling.tags import switch_tensors, tag_model

_CALLER = -1
# Mixed models switch after runs of so many units, at every offset and both ways: each place between two
# neighbours is a switch to int8 in one and back in another, among neighbours as plans have them.
_RUN = 3
_SESSIONS = 3  # where a session's memory lies makes a few percent: the middle one of some counts


@dataclass(frozen=True, slots=True)
class Variant:
    """One model to time, the same with names that lead back to units and switches, and its stages."""

    plain: onnx.ModelProto
    tagged: onnx.ModelProto
    stages: tuple[onnx.ModelProto, ...] = ()


def variants_of(graph: ModelGraph, calibration: Calibration) -> list[Variant]:
    """Return what is timed: the fp32 model, the int8 model, and mixed ones that show switches.

    The first two come in stages as well, as `order_of` lists them.
    """
    found = [_variant(graph, int8, calibration) for int8 in _precisions(graph)]
    stages = designed_stages(graph)
    cut = [replace(one, stages=tuple(stage_models(one.plain, graph, stages))) for one in found[:2]]
    return [*cut, *found[2:]]


def order_of(
    graph: ModelGraph, calibration: Calibration, device: str, runtime: Runtime, rounds: int
) -> Order:
    """Return what is to be measured of `variants_of` on a device."""
    return Order(
        format=onboard.FORMAT,
        device=device,
        threads=runtime.threads,
        provider=runtime.provider,
        rounds=rounds,
        scheme=calibration.scheme.label,
        model_sha256=model_hash(graph.model),
        units=[(unit.name, unit.quantizable) for unit in graph.units],
        switches=[_switch(graph, name) for name in switch_tensors(graph)],
        variants=[sorted(int8) for int8 in _precisions(graph)],
        stages=designed_stages(graph),
    )


def measure_latency(
    graph: ModelGraph,
    calibration: Calibration,
    feeds: Feeds,
    runtime: Runtime,
    rounds: int = 0,
    progress: Progress = silent,
) -> LatencyProfile:
    """Time whole fp32, int8 and mixed models on this machine and attribute their kernels to units.

    Parameters
    ----------
    calibration
        What `calibrate` wrote for this graph's model, and the scheme.
    feeds
        One real sample.
    rounds
        Runs of the fp32 and the int8 model, each in turn with the fp32 model; 0 for as many as the model's
        size asks for. Mixed models run half as often.
    """
    order = order_of(graph, calibration, "", runtime, rounds)
    models = _InMemory(variants_of(graph, calibration), runtime)
    return msgspec.convert(onboard.measure(order, models, feeds, progress), LatencyProfile)


@dataclass(frozen=True, slots=True)
class BuiltPlan:
    """A plan's models.

    Parameters
    ----------
    mixed
        `graph.model` with the units of `int8` quantized.
    stages
        (units, model) of its stages in running order.
    """

    int8: frozenset[int]
    mixed: onnx.ModelProto
    stages: tuple[tuple[tuple[int, ...], onnx.ModelProto], ...] = ()


def time_plan(graph: ModelGraph, plan: BuiltPlan, feeds: Feeds, runtime: Runtime, rounds: int = 0) -> InPlace:
    """Time a plan's whole model and its stages on this machine, in turn with the fp32 model.

    Parameters
    ----------
    feeds, rounds
        As in `measure_latency`.
    """
    order = Order(
        format=onboard.FORMAT,
        device="",
        threads=runtime.threads,
        provider=runtime.provider,
        rounds=rounds,
        scheme="",
        model_sha256="",
        units=[(unit.name, unit.quantizable) for unit in graph.units],
        switches=[_switch(graph, name) for name in switch_tensors(graph)],
        variants=[[], sorted(plan.int8)],
        stages=[],
    )
    tagged = tag_model(plan.mixed, graph, plan.int8)
    models = _InMemory([Variant(graph.model, graph.model), Variant(plan.mixed, tagged)], runtime)
    fp32_s, ratios = [], []
    for _ in range(_SESSIONS):
        beside = onboard.Beside(models.plain(0), feeds, rounds)
        base, own = beside(models.plain(1))
        fp32_s += base
        ratios.append(np.median(np.asarray(own) / np.asarray(base)))
    kernels, base = onboard.trace(models, 1, beside)
    del beside  # large models are in memory twice at most
    reference_s = float(np.median(fp32_s))
    whole = onboard.Timed(
        wall_s=float(np.median(ratios)) * reference_s,
        profiled=kernels.scaled(reference_s / float(np.median(base))),
        start_s=onboard.least_seconds(models.probe()),
    )
    stages = _time_stages(plan, whole.wall_s, feeds, runtime, rounds)
    return InPlace(order, plan.int8, reference_s, whole, stages)


def _time_stages(
    plan: BuiltPlan, whole_s: float, feeds: Feeds, runtime: Runtime, rounds: int
) -> tuple[StageTime, ...]:
    if len(plan.stages) < 2:  # noqa: PLR2004  the whole model
        return ()
    found = []
    for _ in range(_SESSIONS):
        whole = open_session(plan.mixed, runtime)
        stages = [open_session(model, runtime) for _, model in plan.stages]
        count = onboard.rounds_for(partial(whole.run, None, dict(feeds)), rounds)
        found.append(onboard.time_stages(whole, stages, feeds, count))
        del whole, stages  # models may be large
    middle = np.median(np.asarray(found), axis=0) * whole_s
    return tuple(
        StageTime(units, float(seconds)) for (units, _), seconds in zip(plan.stages, middle, strict=True)
    )


class _InMemory:
    """The models of an order, as they are here."""

    def __init__(self, variants: list[Variant], runtime: Runtime) -> None:
        self._variants = variants
        self._runtime = runtime

    def plain(self, variant: int) -> ort.InferenceSession:
        return open_session(self._variants[variant].plain, self._runtime)

    def traced(self, variant: int, profile: Path, optimized: Path) -> ort.InferenceSession:
        return open_session(self._variants[variant].tagged, self._runtime, trace=Trace(profile, optimized))

    def stage(self, variant: int, number: int) -> ort.InferenceSession:
        return open_session(self._variants[variant].stages[number], self._runtime)

    def probe(self) -> ort.InferenceSession:
        return open_session(probe(), self._runtime)


def _switch(graph: ModelGraph, name: str) -> tuple[str, int, int, list[int]]:
    producer = graph.producer(name)
    readers = [*graph.consumers(name), *([_CALLER] if name in graph.outputs else [])]
    return name, graph.tensors[name].size_bytes, _CALLER if producer is None else producer, readers


def _precisions(graph: ModelGraph) -> list[frozenset[int]]:
    """Return the units in int8 of each variant: none, all that can be, then switches of many kinds."""
    able = frozenset(unit.index for unit in graph.units if unit.quantizable)
    chosen = [frozenset[int](), able]
    for offset in range(_RUN):
        ones = frozenset(index for index in able if (index + offset) // _RUN % 2)
        chosen += [graph.settled(ones), graph.settled(able - ones)]
    # Tiny graphs can repeat themselves; the first two stay in place.
    return chosen[:2] + [c for c in dict.fromkeys(chosen[2:]) if c not in chosen[:2]]


def _variant(graph: ModelGraph, int8: frozenset[int], calibration: Calibration) -> Variant:
    nodes = (node for index in sorted(int8) for node in graph.units[index].nodes)
    model = quantize(graph.model, calibration.of(nodes), calibration.ranges)
    return Variant(model, tag_model(model, graph, int8))
