"""Runs on a device: times tagged models side by side and attributes their kernels to units.

It needs Python 3.9, NumPy and ONNX Runtime, and no other module of this project: `plan profile --bundle`
puts a copy of it beside the models, as `measure.py`, for devices that cannot install the rest.

    python3 measure.py [FILE]        writes the device's profile, by default DEVICE.profile.json
"""

from __future__ import annotations

import json
import mmap
import os
import platform
import re
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Callable, Protocol

import numpy as np
import onnxruntime as ort

FORMAT = 7
ENCODE, DECODE = "encode", "decode"
FP32, INT8, INT16 = "fp32", "int8", "int16"
ORDER, FEEDS, PROBE, MODELS = "order.json", "feeds.npz", "probe.onnx", "models"
ONE_MODEL, ONE_TAGGED, ONE_STAGE = "{:02d}.onnx", "{:02d}-tagged.onnx", "{:02d}-stage-{:02d}.onnx"
ONE_WIRE = "wire-{:02d}.onnx"

_TAG = re.compile(r"@([uqdec])(\d+)@")
NESTED = "@nested@"  # its seconds are part of the If, Loop or Scan around it
_SUFFIX = "_kernel_time"
_MICRO = 1e-6
QUIET = 3  # log errors only
NOISY = 0.15  # relative spread of the fp32 model's runs above which a profile calls its machine busy
_REWEIGHTED = 30
_WIRE_ROUNDS = 30
_TIMED_S, _LEAST_ROUNDS, _MOST_ROUNDS = 0.4, 8, 100

Feeds = Mapping[str, Any]
Mix = Mapping[int, str]  # unit -> precision, of the quantized ones
Report = Callable[[str, int, int], object]


@dataclass(frozen=True)
class MeasurementPlan:
    """What is to be measured.

    Parameters
    ----------
    device, threads, provider
        Name of the device and how it runs models.
    rounds
        Timed runs of the fp32 and of the int8 model (0: see `rounds_for`); mixed ones run half as often.
    scheme
        Label of the quantization scheme of the models.
    units
        (name, whether it can be quantized) by index.
    switches
        (tensor, bytes as float, unit that writes it or -1, units that read it, -1 for the caller) of each
        tensor that may change its precision, by index.
    precisions
        Which are measured, fp32 first.
    variants
        Precision -> its units, of each model: first one model per precision, with all units in it that can
        be, whose seconds count; the others have several and show what switches add.
    stages
        Units of each stage of the first variants, which are measured cut into these as well; may be empty.
    wires
        (wire, encode or decode, elements) of the tiny models that show what that takes.
    """

    format: int
    device: str
    threads: int
    provider: str
    rounds: int
    scheme: str
    model_sha256: str
    units: list[tuple[str, bool]]
    switches: list[tuple[str, int, int, list[int]]]
    precisions: list[str]
    variants: list[dict[str, list[int]]]
    stages: list[list[int]]
    wires: list[tuple[str, str, int]]

    @property
    def mixes(self) -> list[Mix]:
        """The precisions of the quantized units of each variant."""
        return [{unit: p for p, units in one.items() for unit in units} for one in self.variants]


class Models(Protocol):
    """Where the models of an order come from; each call opens a session."""

    def plain(self, variant: int) -> ort.InferenceSession:
        """Return a variant as a user would run it."""

    def traced(self, variant: int, profile: Path, optimized: Path) -> ort.InferenceSession:
        """Return a variant with tagged names, under the profiler, and write the graph that it runs."""

    def stage(self, variant: int, number: int) -> ort.InferenceSession:
        """Return a stage of one of the first variants."""

    def probe(self) -> ort.InferenceSession:
        """Return the tiny model that shows whether int8 kernels overflow."""

    def wire(self, number: int) -> ort.InferenceSession:
        """Return a tiny model that encodes or decodes."""


@dataclass(frozen=True)
class Owner:
    """Who a kernel works for: a unit, or the switch of a boundary tensor to int8 or back."""

    kind: str  # "u" unit, "q" to int8, "d" to fp32, "e" and "c" encodes and decodes for a link, "" unknown
    index: int

    def tag(self, number: int) -> str:
        """Return a node name that tells its owner, whatever the runtime appends or prepends."""
        return f"@{self.kind}{self.index}@{number}"


@dataclass(frozen=True)
class Kernel:
    """One kernel of a model and its seconds per run."""

    name: str
    op_type: str
    owner: Owner
    seconds: float
    runs_s: tuple[float, ...] = ()  # as the profiler saw them


@dataclass(frozen=True)
class KernelTimes:
    """All kernels of one model."""

    kernels: tuple[Kernel, ...]

    @property
    def count(self) -> int:
        """Number of kernels that run."""
        return len(self.kernels)

    @property
    def total_s(self) -> float:
        """Seconds of all kernels."""
        return sum(kernel.seconds for kernel in self.kernels)

    @property
    def attributed_s(self) -> float:
        """Seconds of the kernels that belong to a unit or a switch."""
        return sum(kernel.seconds for kernel in self.kernels if kernel.owner.kind)

    def of(self, kind: str) -> dict[int, float]:
        """Return index -> seconds of all owners of a kind."""
        found: dict[int, float] = defaultdict(float)
        for kernel in self.kernels:
            if kernel.owner.kind == kind:
                found[kernel.owner.index] += kernel.seconds
        return dict(found)

    def spreads(self, kind: str) -> dict[int, float]:
        """Return index -> relative spread, over the runs, of the seconds of all owners of a kind."""
        runs: dict[int, list[tuple[float, ...]]] = defaultdict(list)
        for kernel in self.kernels:
            if kernel.owner.kind == kind:
                runs[kernel.owner.index].append(kernel.runs_s)
        return {index: spread([sum(one) for one in zip(*each)]) for index, each in runs.items()}

    def as_unprofiled(self, wall_s: float) -> KernelTimes:
        """Return these times with the profiler's own cost taken off, so that they fit into `wall_s`.

        The profiler adds a constant to every kernel, at most what the cheapest kernel takes; the rest
        of the excess slows all kernels alike (its records compete for the cache).
        """
        excess = self.total_s - wall_s
        if excess <= 0 or not self.kernels:
            return self
        constant = min(excess / self.count, min(kernel.seconds for kernel in self.kernels))
        rest = self.total_s - constant * self.count
        if rest <= 0:  # all kernels took the same, and nothing but the profiler
            return KernelTimes(tuple(replace(k, seconds=wall_s / self.count) for k in self.kernels))
        scale = wall_s / rest
        return KernelTimes(tuple(replace(k, seconds=(k.seconds - constant) * scale) for k in self.kernels))

    def scaled(self, factor: float) -> KernelTimes:
        """Return these times on a machine that takes `factor` times as long."""
        return KernelTimes(tuple(replace(k, seconds=k.seconds * factor) for k in self.kernels))


@dataclass(frozen=True)
class Timed:
    """Seconds of one variant: the whole without the profiler, and its kernels under it."""

    wall_s: float
    profiled: KernelTimes
    runs_s: tuple[float, ...] = ()  # without the profiler
    start_s: float = 0.0  # what any run takes, whatever the model

    @property
    def kernels(self) -> KernelTimes:
        """Its kernels without the profiler's own cost."""
        return self.profiled.as_unprofiled(max(0.0, self.wall_s - self.start_s))


def measure(order: MeasurementPlan, models: Models, feeds: Feeds, report: Report) -> dict[str, Any]:
    """Return the latency profile, as JSON has it.

    Parameters
    ----------
    feeds
        One real sample.
    report
        Called with what is being done, how much of it is done, and how much there is.
    """
    order = replace(order, rounds=rounds_for(_runner(models.plain(0), feeds), order.rounds))
    runs = time_variants(order, models, feeds, report)
    corrected = [run.kernels for run in runs]
    uniform = {precision: number for number, precision in enumerate(order.precisions)}
    return {
        "model_sha256": order.model_sha256,
        "runtime_version": ort.__version__,
        "scheme": order.scheme,
        "overflows": overflows(models.probe()),
        "processor": processor(),
        "threads": order.threads,
        "provider": order.provider,
        "samples": order.rounds,
        "runs_s": {p: list(runs[i].runs_s) for p, i in uniform.items()},
        "spread": spread(runs[0].runs_s),
        "noisy": spread(runs[0].runs_s) > NOISY,
        "wall_s": {p: runs[i].wall_s for p, i in uniform.items()},
        "unattributed_s": {
            p: max(0.0, runs[i].wall_s - corrected[i].attributed_s) for p, i in uniform.items()
        },
        "profiled_s": {p: runs[i].profiled.total_s for p, i in uniform.items()},
        "units": _unit_costs(order, corrected),
        "switches": conversion_costs(order, corrected),
        "start_s": runs[0].start_s,
        "seams": stage_boundary_costs(order, stage_overhead(order, models, runs, feeds, report)),
        "wires": wire_costs(order, models),
    }


def session_options(threads: int) -> ort.SessionOptions:
    """Return options of a session that runs one request at a time, without spinning threads."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = QUIET
    # Sessions live side by side and are compared: a spinning pool would slow its neighbours.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Without it x86 processors run a stage whose input is int8 (symmetric activations) in float.
    options.add_session_config_entry("session.qdqisint8allowed", "1")
    return options


def trace_into(options: ort.SessionOptions, profile: Path | None, optimized: Path | None) -> None:
    """Let a session write its kernel times, and the graph that it really runs; None for neither."""
    if profile is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile)
    if optimized is not None:
        options.optimized_model_filepath = str(optimized)


def processor() -> str:
    """Return the name of this machine's processor, its architecture and number of cores."""
    return f"{_processor_name()} ({platform.machine()}, {os.cpu_count()} cores)"


def overflows(probe: ort.InferenceSession) -> bool:
    """Return whether uint8 x int8 products lose carries here, as the probe's largest ones show.

    x86 processors without VNNI add pairs of products in 16 bits, which overflows for large 8-bit
    weights; 7-bit weights never do. See "Quantize ONNX models" in ONNX Runtime's documentation.
    """
    (end,) = probe.get_inputs()
    depth = end.shape[1]
    (sums,) = probe.run(None, {end.name: np.full((1, depth), 255, dtype=np.uint8)})
    return bool((sums != 255 * 127 * depth).any())


def time_interleaved(
    work: Mapping[Any, Callable[[], object]],
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[Any, list[float]]:
    """Return seconds of each round of each callable, all run in turn in every round.

    Each callable runs once before the first round, so that caches and arenas are warm.
    """
    for call in work.values():
        call()
    seconds: dict[Any, list[float]] = {key: [] for key in work}
    for _ in range(rounds):
        for key, call in work.items():
            start = clock()
            call()
            seconds[key].append(clock() - start)
    return seconds


def least_seconds(probe: ort.InferenceSession) -> float:
    """Return what a run takes even if there is hardly anything to compute."""
    feeds = {end.name: np.zeros(end.shape, dtype=np.uint8) for end in probe.get_inputs()}
    return statistics.median(time_interleaved({0: _runner(probe, feeds)}, _MOST_ROUNDS)[0])


def rounds_for(call: Callable[[], object], wanted: int) -> int:
    """Return how often to time a callable: as wanted, or (0) as often as fits into 0.4 s.

    Small models need many rounds, since a few microseconds make a percent; large ones can do with few.
    """
    if wanted:
        return wanted
    call()
    start = time.perf_counter()
    call()
    return int(min(_MOST_ROUNDS, max(_LEAST_ROUNDS, _TIMED_S / (time.perf_counter() - start))))


def interquartile_mean(values: Sequence[float]) -> float:
    """Return the mean of the middle half: as robust as a median, but finer than the clock's tick."""
    ordered = np.sort(np.asarray(values, dtype=float))
    cut = len(ordered) // 4
    return float(ordered[cut : len(ordered) - cut].mean())


def spread(values: Sequence[float]) -> float:
    """Return the width of the middle half over the median; 0 for fewer than two values."""
    if len(values) < 2:
        return 0.0
    low, middle, high = np.quantile(np.asarray(values, dtype=float), [0.25, 0.5, 0.75])
    return float((high - low) / middle) if middle else 0.0


def read_kernels(profile: Path, optimized: Path) -> KernelTimes:
    """Return the kernels of a tagged model from the runtime's profile and the graph that it ran.

    Parameters
    ----------
    profile
        The JSON that the session wrote.
    optimized
        The optimized model that the session wrote; tells the neighbours of unnamed layout kernels.
    """
    micros: dict[str, list[float]] = defaultdict(list)
    op_types: dict[str, str] = {}
    for event in _kernel_events(profile):
        kernel = event["name"][: -len(_SUFFIX)]
        if NESTED in kernel:
            continue
        micros[kernel].append(float(event["dur"]))
        op_types[kernel] = event["args"]["op_name"]
    neighbours = _neighbours(read_nodes(optimized))
    return KernelTimes(
        tuple(
            Kernel(
                name,
                op_types[name],
                _owner(name, neighbours),
                interquartile_mean(times) * _MICRO,
                tuple(time * _MICRO for time in times),
            )
            for name, times in micros.items()
        )
    )


def read_op_types(profile: Path) -> list[str]:
    """Return the operator type of every kernel that ran, from the runtime's profile of one run."""
    return [str(event["args"]["op_name"]) for event in _kernel_events(profile)]


def read_nodes(model: Path) -> list[tuple[str, list[str], list[str]]]:
    """Return (name, inputs, outputs) of every node of an ONNX file, which is read without onnx.

    Field numbers are those of onnx.proto: ModelProto.graph 7, GraphProto.node 1, and of a NodeProto
    input 1, output 2, name 3.
    """
    with model.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        found = []
        for start, end in _parts(data, 0, len(data), 7):
            for first, last in _parts(data, start, end, 1):
                text = {
                    field: [data[a:b].decode() for a, b in _parts(data, first, last, field)]
                    for field in (1, 2, 3)
                }
                found.append(("".join(text[3][-1:]), text[1], text[2]))
        return found


def time_variants(order: MeasurementPlan, models: Models, feeds: Feeds, report: Report) -> list[Timed]:
    """Return the times of each variant, each run in turn with the fp32 model.

    So two models are in memory at a time, and what slows the machine meanwhile slows both. The runs of
    variant 0 are those of the fp32 model beside all variants: they show how calm the machine was.
    """
    reference = models.plain(0)
    start_s = least_seconds(models.probe())
    found, fp32_s, alone_s = [], [], []
    for variant in range(len(order.variants)):
        many = variant < len(order.precisions)
        beside = InterleavedTimer(reference, feeds, order.rounds if many else -(-order.rounds // 2))
        base, own = beside(models.plain(variant))
        kernels, traced_base = trace(models, variant, beside)
        fp32_s += [*base, *traced_base]
        alone_s += base
        ratio = statistics.median(mine / its for mine, its in zip(own, base))
        found.append((ratio, kernels, statistics.median(traced_base), own if variant else alone_s))
        report("timing", variant + 1, len(order.variants))
    fp32 = statistics.median(fp32_s)
    return [
        Timed(ratio * fp32, kernels.scaled(fp32 / base), tuple(seconds), start_s)
        for ratio, kernels, base, seconds in found
    ]


def _runner(session: ort.InferenceSession, feeds: Feeds) -> Callable[[], object]:
    return lambda: session.run(None, dict(feeds))


class InterleavedTimer:
    """Times sessions in turn with a reference: seconds of every round of the reference, and of the other."""

    def __init__(self, reference: ort.InferenceSession, feeds: Feeds, rounds: int) -> None:
        self._reference = reference
        self._feeds = feeds
        self._rounds = rounds_for(_runner(reference, feeds), rounds)

    def __call__(self, session: ort.InferenceSession) -> tuple[list[float], list[float]]:
        work = {i: _runner(one, self._feeds) for i, one in enumerate((self._reference, session))}
        seconds = time_interleaved(work, self._rounds)
        return seconds[0], seconds[1]


def trace(models: Models, variant: int, beside: InterleavedTimer) -> tuple[KernelTimes, list[float]]:
    """Return a variant's kernels under the profiler, and the fp32 model's seconds meanwhile."""
    with tempfile.TemporaryDirectory() as folder:
        optimized = Path(folder) / "optimized.onnx"
        session = models.traced(variant, Path(folder) / "run", optimized)
        base, _ = beside(session)
        return read_kernels(Path(session.end_profiling()), optimized), base


def _unit_costs(order: MeasurementPlan, measured: Sequence[KernelTimes]) -> list[dict[str, Any]]:
    return [
        {
            "unit": name,
            "precision": precision,
            "seconds": seconds.get(index, 0.0),
            "spread": spreads.get(index, 0.0),
        }
        for precision, times in zip(order.precisions, measured)
        for seconds, spreads in [(times.of("u"), times.spreads("u"))]
        for index, (name, able) in enumerate(order.units)
        if able or precision == FP32
    ]


def conversion_costs(order: MeasurementPlan, measured: Sequence[KernelTimes]) -> list[dict[str, Any]]:
    """Return both directions of every tensor between units, measured where a mixed model showed it.

    A switch costs its own kernels, and what it costs the units on both sides of it: lost fusions and
    other layouts, which show as seconds beyond those of the units in the models of one precision. What
    a unit loses between several switches is divided evenly.
    """
    seen: dict[tuple[str, str, int], list[float]] = defaultdict(list)
    uniform = {precision: times.of("u") for precision, times in zip(order.precisions, measured)}
    for mix, times in list(zip(order.mixes, measured))[1:]:
        events = switch_events(order, mix)
        touched: dict[int, int] = defaultdict(int)
        for units in events.values():
            for unit in units:
                touched[unit] += 1
        own = {"q": times.of("q"), "d": times.of("d")}
        mine = times.of("u")
        for (kind, form, place), units in events.items():
            base = {u: uniform[mix.get(u, FP32)].get(u, 0.0) for u in units}
            lost = sum((mine.get(u, 0.0) - base[u]) / touched[u] for u in units)
            seen[kind, form, place].append(own[kind].get(place, 0.0) + lost)
    rows = []
    for form in order.precisions[1:]:
        for kind, source, to in (("q", FP32, form), ("d", form, FP32)):
            known = {
                p: max(0.0, interquartile_mean(seen[k, f, p])) for k, f, p in seen if (k, f) == (kind, form)
            }
            slope, start = _fit([(order.switches[place][1], seconds) for place, seconds in known.items()])
            rows += [
                {
                    "tensor": tensor,
                    "source": source,
                    "to": to,
                    "seconds": known.get(place, slope * size + start),
                    "measured": place in known,
                }
                for place, (tensor, size, _, _) in enumerate(order.switches)
            ]
    return rows


def switch_events(order: MeasurementPlan, mix: Mix) -> dict[tuple[str, str, int], list[int]]:
    """Return (q or d, precision of the tensor, its place) -> units at the switch, for all of a mixed model.

    A unit that computes in another precision than that of a tensor it touches is at a switch.
    """
    found = {}
    for place, (_, _, producer, consumers) in enumerate(order.switches):
        form = tensor_precision(order, place, mix)
        others = [u for u in consumers if mix.get(u, FP32) != form]
        if form == FP32:
            continue
        if mix.get(producer, FP32) != form:
            found["q", form, place] = [u for u in (producer, *consumers) if u >= 0 and u not in others]
        if others:
            found["d", form, place] = [u for u in (producer, *others) if u >= 0]
    return found


def wire_costs(order: MeasurementPlan, models: Models) -> list[dict[str, Any]]:
    """Return what encoding and decoding take, as a line over elements, a run's own seconds taken off."""
    sessions = [models.wire(number) for number in range(len(order.wires))]
    work = {number: _runner(session, _zeros(session)) for number, session in enumerate(sessions)}
    seconds, start_s = time_interleaved(work, _WIRE_ROUNDS), least_seconds(models.probe())
    points: dict[tuple[str, str], list[tuple[int, float]]] = defaultdict(list)
    for number, (wire, side, size) in enumerate(order.wires):
        points[wire, side].append((size, max(0.0, statistics.median(seconds[number]) - start_s)))
    rows = []
    for (wire, side), known in points.items():
        slope, start = _fit(known)
        rows.append({"wire": wire, "side": side, "start_s": start, "element_s": slope})
    return rows


def _zeros(session: ort.InferenceSession) -> Feeds:
    kinds = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}
    return {end.name: np.zeros(end.shape, dtype=kinds[end.type]) for end in session.get_inputs()}


def stage_overhead(
    order: MeasurementPlan, models: Models, runs: Sequence[Timed], feeds: Feeds, report: Report
) -> list[list[float]]:
    """Return, per precision, how much longer each stage takes than its units inside the whole model."""
    found = []
    for variant, run in list(enumerate(runs))[: len(order.precisions) if order.stages else 0]:
        whole = models.plain(variant)
        stages = [models.stage(variant, number) for number in range(len(order.stages))]
        rounds = rounds_for(_runner(whole, feeds), order.rounds)
        took = [ratio * run.wall_s for ratio in time_stages(whole, stages, feeds, rounds)]
        del whole, stages  # models may be large
        kernels = run.kernels
        inside = stage_seconds(order, order.stages, {kind: kernels.of(kind) for kind in "uqdec"})
        found.append([own - run.start_s - its for own, its in zip(took, inside)])
        report("timing cuts", variant + 1, len(order.precisions))
    return found


def time_stages(
    whole: ort.InferenceSession, stages: Sequence[ort.InferenceSession], feeds: Feeds, rounds: int
) -> list[float]:
    """Return the seconds of each stage over those of the whole model, one after another in every round."""
    values, work = dict(feeds), {-1: _runner(whole, feeds)}
    for number, stage in enumerate(stages):
        mine = {end.name: values[end.name] for end in stage.get_inputs()}
        work[number] = _runner(stage, mine)
        values.update(zip([end.name for end in stage.get_outputs()], stage.run(None, mine)))
    seconds = time_interleaved(work, rounds)
    return [
        statistics.median(mine / its for mine, its in zip(seconds[number], seconds[-1]))
        for number in range(len(stages))
    ]


def stage_seconds(
    order: MeasurementPlan, stages: Sequence[Sequence[int]], inside: Mapping[str, Mapping[int, float]]
) -> list[float]:
    """Return the seconds of each stage's units and switches, given those by kind of owner and index."""
    if not stages:
        return []
    home = {unit: number for number, units in enumerate(stages) for unit in units}
    found = [0.0] * len(stages)
    for unit, seconds in inside["u"].items():
        found[home[unit]] += seconds
    for kind in "qdec":
        for place, seconds in inside[kind].items():
            _, _, producer, consumers = order.switches[place]
            near = (producer, *consumers) if kind in "qe" else (*consumers, producer)
            found[next(home[unit] for unit in near if unit >= 0)] += seconds
    return found


def cuts_of(order: MeasurementPlan, stages: Sequence[Sequence[int]]) -> list[list[int]]:
    """Return for each stage the places of the tensors at which it begins or ends."""
    if not stages:
        return []
    home = {unit: number for number, units in enumerate(stages) for unit in units}
    found: list[list[int]] = [[] for _ in stages]
    for place, (_, _, producer, consumers) in enumerate(order.switches):
        away = {home[unit] for unit in consumers if unit >= 0 <= producer} - {home.get(producer)}
        for stage in [home[producer], *sorted(away)] if away else []:
            found[stage].append(place)
    return found


def tensor_precision(order: MeasurementPlan, place: int, mix: Mix) -> str:
    """Return the precision of a tensor: the coarsest of the units that touch it."""
    _, _, producer, consumers = order.switches[place]
    return coarsest_precision(mix.get(unit, FP32) for unit in (producer, *consumers))


def coarsest_precision(precisions: Iterable[str]) -> str:
    """Return the precision of a tensor that units in these touch."""
    asked = set(precisions)
    return next((one for one in (INT8, INT16) if one in asked), FP32)


def stage_boundary_costs(order: MeasurementPlan, excess: Sequence[Sequence[float]]) -> list[dict[str, Any]]:
    """Return what a stage loses by ending or beginning at a tensor, in each form.

    Every cut has two sides; a line over the tensor's bytes as float, per side and form, explains best what
    the stages of the first variants take too long. A stage's beginning and end are not told apart.
    """
    lines = dict.fromkeys(order.precisions, (0.0, 0.0))
    cuts = cuts_of(order, order.stages)
    for form, mix, longer in zip(order.precisions, order.mixes, excess):
        rows, rest = [], []
        for places, seconds in zip(cuts, longer):
            own = [order.switches[p][1] for p in places if tensor_precision(order, p, mix) == form]
            others = [order.switches[p][1] for p in places if tensor_precision(order, p, mix) != form]
            rows.append((len(own), sum(own)))
            rest.append(seconds - sum(lines[FP32][0] + lines[FP32][1] * size for size in others))
        lines[form] = _never_negative(rows, rest)
    return [
        {"tensor": tensor, "form": form, "leave_s": side, "enter_s": side, "measured": False}
        for form, (start, slope) in lines.items()
        for tensor, size, _, _ in order.switches
        for side in [start + slope * size]
    ]


def _never_negative(rows: Sequence[tuple[int, int]], seconds: Sequence[float]) -> tuple[float, float]:
    """Return the (seconds per cut, seconds per byte), neither negative, that miss least in absolute terms.

    Least squares with weights that fall with the miss (iteratively reweighted): a stage that lost a fusion
    moves the line little.
    """
    table, wanted = np.asarray(rows, dtype=float), np.asarray(seconds, dtype=float)
    best, least = (0.0, 0.0), float(np.abs(wanted).sum())
    for columns in ([0, 1], [0], [1]):
        part, weight = table[:, columns], np.ones(len(wanted))
        for _ in range(_REWEIGHTED):
            found = np.linalg.lstsq(part * weight[:, None], wanted * weight, rcond=None)[0]
            missed = np.abs(wanted - part @ found)
            weight = 1 / np.sqrt(np.maximum(missed, _MICRO))
        if (found >= 0).all() and missed.sum() < least:
            full = dict(zip(columns, found))
            best, least = (float(full.get(0, 0.0)), float(full.get(1, 0.0))), float(missed.sum())
    return best


def _fit(points: Sequence[tuple[int, float]]) -> tuple[float, float]:
    """Return seconds as a line over bytes (slope, start), never falling; zero where nothing was measured."""
    if not points:
        return 0.0, 0.0
    sizes, seconds = np.asarray(points, dtype=float).T
    if len(set(sizes)) < 2:  # a line needs two sizes
        return 0.0, float(np.median(seconds))
    slope, start = np.polyfit(sizes, seconds, 1)
    if slope < 0 or start < 0:
        return max(0.0, float(seconds @ sizes / (sizes @ sizes))), 0.0
    return float(slope), float(start)


def _processor_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _kernel_events(profile: Path) -> Iterator[dict[str, Any]]:
    for event in json.loads(profile.read_text()):
        if event.get("cat") == "Node" and str(event.get("name", "")).endswith(_SUFFIX):
            yield event


def _neighbours(nodes: Sequence[tuple[str, list[str], list[str]]]) -> dict[str, tuple[list[str], list[str]]]:
    """Return node -> names of the nodes before and behind it."""
    writer = {tensor: name for name, _, outputs in nodes for tensor in outputs if tensor}
    before = {name: [writer[t] for t in inputs if t in writer] for name, inputs, _ in nodes}
    behind: dict[str, list[str]] = {name: [] for name in before}
    for name, sources in before.items():
        for source in sources:
            behind[source].append(name)
    return {name: (before[name], behind[name]) for name in before}


def _owner(kernel: str, neighbours: Mapping[str, tuple[list[str], list[str]]]) -> Owner:
    """Return the owner by the kernel's own tag, else by those of its neighbours.

    A layout kernel beside a switch belongs to the switch, else to the unit that reads its result.
    """
    own = _tag(kernel)
    if own is not None or kernel not in neighbours:
        return own or Owner("", 0)
    before, behind = neighbours[kernel]
    near = [tag for tag in map(_tag, (*behind, *before)) if tag is not None]
    return next((tag for tag in near if tag.kind in "qd"), near[0] if near else Owner("", 0))


def _tag(name: str) -> Owner | None:
    found = _TAG.search(name)
    return None if found is None else Owner(found[1], int(found[2]))


def _parts(data: Any, start: int, end: int, wanted: int) -> Iterator[tuple[int, int]]:
    """Yield where the values of a length-delimited field of a protobuf message begin and end."""
    while start < end:
        key, start = _varint(data, start)
        kind = key & 7
        if kind == 0:
            _, start = _varint(data, start)
            continue
        length, start = _varint(data, start) if kind == 2 else ({1: 8, 5: 4}[kind], start)
        if kind == 2 and key >> 3 == wanted:
            yield start, start + length
        start += length


def _varint(data: Any, start: int) -> tuple[int, int]:
    """Return a number in base 128 and where the next one begins."""
    value = shift = 0
    while True:
        byte = data[start]
        value |= (byte & 127) << shift
        start, shift = start + 1, shift + 7
        if byte < 128:
            return value, start


class _Bundle:
    """The models beside this script."""

    def __init__(self, folder: Path, order: MeasurementPlan) -> None:
        self._folder = folder
        self._order = order

    def plain(self, variant: int) -> ort.InferenceSession:
        return self._open(f"{MODELS}/{ONE_MODEL.format(variant)}", session_options(self._order.threads))

    def traced(self, variant: int, profile: Path, optimized: Path) -> ort.InferenceSession:
        options = session_options(self._order.threads)
        trace_into(options, profile, optimized)
        return self._open(f"{MODELS}/{ONE_TAGGED.format(variant)}", options)

    def stage(self, variant: int, number: int) -> ort.InferenceSession:
        return self._open(
            f"{MODELS}/{ONE_STAGE.format(variant, number)}", session_options(self._order.threads)
        )

    def probe(self) -> ort.InferenceSession:
        return self._open(PROBE, session_options(self._order.threads))

    def wire(self, number: int) -> ort.InferenceSession:
        return self._open(f"{MODELS}/{ONE_WIRE.format(number)}", session_options(self._order.threads))

    def _open(self, file: str, options: ort.SessionOptions) -> ort.InferenceSession:
        return ort.InferenceSession(str(self._folder / file), options, providers=[self._order.provider])


def main() -> None:
    """Measure the bundle in which this script lies."""
    folder = Path(__file__).resolve().parent
    content = json.loads((folder / ORDER).read_text())
    content.pop("files", None)  # the planner's own list of what it wrote here
    order = MeasurementPlan(**content)
    if order.provider not in ort.get_available_providers():
        known = ", ".join(ort.get_available_providers())
        sys.exit(f"this ONNX Runtime has no {order.provider}; it has {known}")
    target = Path(sys.argv[1] if len(sys.argv) > 1 else f"{order.device}.profile.json")
    if not target.resolve().parent.is_dir():
        sys.exit(f"{target}: its folder does not exist")
    with np.load(folder / FEEDS) as archive:
        feeds = {f"{name}": archive[name] for name in archive.files}
    try:
        latency = measure(order, _Bundle(folder, order), feeds, _report)
    except KeyboardInterrupt:
        print("interrupted; nothing was written", file=sys.stderr)
        sys.exit(130)
    except Exception as exc:  # noqa: BLE001  the runtime's exceptions share no base class
        sys.exit(f"ONNX Runtime {ort.__version__} cannot measure the models: {exc}")
    record = {"format": FORMAT, "device": order.device, "latency": latency}
    aside = target.with_name(f".{target.name}.tmp")
    aside.write_text(json.dumps(record, indent=1) + "\n")
    aside.replace(target)
    print(f"written to {target}: name it as `profile` of device {order.device} in the scenario")


def _report(what: str, done: int, total: int) -> None:
    print(f"{what}: {done} of {total}", file=sys.stderr)


if __name__ == "__main__":
    main()
