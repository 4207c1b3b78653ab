"""Per-unit and per-switch seconds, measured in whole models with the runtime's own profile."""

import os
import platform
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort

from profiling.graph import ModelGraph
from profiling.kernels import KernelTimes, read_kernels, tag_model
from profiling.model import model_hash
from profiling.profile import LatencyProfile, Precision, SwitchCost, UnitCost
from profiling.progress import Progress, silent
from profiling.quantize import Calibration, quantize
from profiling.saturation import int8_saturates
from profiling.session import Feeds, Runtime, Trace, open_session
from profiling.timing import middle_mean, time_interleaved

_SWITCH_BITS = 3  # two mixed models each: one where a bit of the unit's index is int8, one where not


@dataclass(frozen=True, slots=True)
class _Variant:
    """One model to time, and which of its units are int8."""

    model: onnx.ModelProto
    int8: frozenset[int]


@dataclass(frozen=True, slots=True)
class _Run:
    """Seconds of one variant: the whole without the profiler, and its kernels under it."""

    wall_s: float
    kernels: KernelTimes


def measure_latency(
    graph: ModelGraph,
    calibration: Calibration,
    feeds: Feeds,
    runtime: Runtime,
    rounds: int = 30,
    progress: Progress = silent,
) -> LatencyProfile:
    """Time whole fp32, int8 and mixed models side by side and attribute their kernels to units.

    Parameters
    ----------
    calibration
        What `calibrate` wrote for this graph's model.
    feeds
        One real sample.
    rounds
        Runs of every model, each in turn with the fp32 model.
    """
    variants = _variants(graph, calibration)
    runs = _run(graph, variants, feeds, runtime, rounds, progress)
    corrected = [run.kernels.as_unprofiled(run.wall_s) for run in runs]
    uniform = {Precision.FP32: 0, Precision.INT8: 1}
    return LatencyProfile(
        model_sha256=model_hash(graph.model),
        runtime_version=ort.__version__,
        scheme=calibration.scheme.label,
        overflows=int8_saturates(runtime),
        processor=processor(),
        threads=runtime.threads,
        provider=runtime.provider,
        samples=rounds,
        wall_s={p: runs[i].wall_s for p, i in uniform.items()},
        unattributed_s={p: max(0.0, runs[i].wall_s - corrected[i].attributed_s) for p, i in uniform.items()},
        profiled_s={p: runs[i].kernels.total_s for p, i in uniform.items()},
        units=_unit_costs(graph, corrected[0], corrected[1]),
        switches=_switch_costs(graph, corrected),
    )


def processor() -> str:
    """Return the name of this machine's processor, its architecture and number of cores."""
    return f"{_processor_name()} ({platform.machine()}, {os.cpu_count()} cores)"


def _processor_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _variants(graph: ModelGraph, calibration: Calibration) -> list[_Variant]:
    able = frozenset(unit.index for unit in graph.units if unit.quantizable)
    chosen = [frozenset[int](), able]
    for bit in range(_SWITCH_BITS):
        ones = frozenset(index for index in able if index >> bit & 1)
        chosen += [ones, able - ones]
    # Tiny graphs can repeat themselves; the first two stay in place.
    unique = chosen[:2] + [c for c in dict.fromkeys(chosen[2:]) if c not in chosen[:2]]
    return [_Variant(_quantized(graph, int8, calibration), int8) for int8 in unique]


def _quantized(graph: ModelGraph, int8: frozenset[int], calibration: Calibration) -> onnx.ModelProto:
    nodes = (n for index in sorted(int8) for n in graph.units[index].nodes)
    return quantize(graph.model, calibration.of(nodes), calibration.ranges)


def _run(
    graph: ModelGraph,
    variants: Sequence[_Variant],
    feeds: Feeds,
    runtime: Runtime,
    rounds: int,
    progress: Progress,
) -> list[_Run]:
    """Return the times of each variant, each run in turn with the fp32 model.

    So two models are in memory at a time, and what slows the machine meanwhile slows both.
    """
    reference = open_session(graph.model, runtime)

    def beside(session: ort.InferenceSession) -> tuple[list[float], list[float]]:
        pair = (reference, session)
        work = {i: partial(one.run, None, dict(feeds)) for i, one in enumerate(pair)}
        seconds = time_interleaved(work, rounds)
        return seconds[0], seconds[1]

    found, fp32_s = [], []
    for done, variant in enumerate(variants):
        base, own = beside(open_session(variant.model, runtime))
        kernels, traced_base = _trace(graph, variant, runtime, beside)
        fp32_s += [*base, *traced_base]
        ratio = float(np.median(np.asarray(own) / np.asarray(base)))
        found.append((ratio, kernels, float(np.median(traced_base))))
        progress("timing", done + 1, len(variants))
    fp32 = float(np.median(fp32_s))
    return [_Run(ratio * fp32, kernels.scaled(fp32 / base)) for ratio, kernels, base in found]


def _trace(
    graph: ModelGraph,
    variant: _Variant,
    runtime: Runtime,
    beside: Callable[[ort.InferenceSession], tuple[list[float], list[float]]],
) -> tuple[KernelTimes, list[float]]:
    """Return a variant's kernels under the profiler, and the fp32 model's seconds meanwhile."""
    with tempfile.TemporaryDirectory() as folder:
        optimized = Path(folder) / "optimized.onnx"
        trace = Trace(Path(folder) / "run", optimized)
        session = open_session(tag_model(variant.model, graph, variant.int8), runtime, trace=trace)
        base, _ = beside(session)
        return read_kernels(Path(session.end_profiling()), optimized), base


def _unit_costs(graph: ModelGraph, fp32: KernelTimes, int8: KernelTimes) -> tuple[UnitCost, ...]:
    costs = [UnitCost(u.name, Precision.FP32, fp32.of_unit(u.index)) for u in graph.units]
    costs += [UnitCost(u.name, Precision.INT8, int8.of_unit(u.index)) for u in graph.units if u.quantizable]
    return tuple(costs)


def _switch_costs(graph: ModelGraph, measured: Sequence[KernelTimes]) -> tuple[SwitchCost, ...]:
    """Return both directions of every tensor between units, measured where a model showed it."""
    names = [name for name in graph.boundary() if graph.tensors[name].is_float]
    rows = []
    for to, seen in (
        (Precision.INT8, [k.quantize_s for k in measured]),
        (Precision.FP32, [k.dequantize_s for k in measured]),
    ):
        known = _merge(names, seen)
        predict = _fit([(graph.tensors[t].size_bytes, s) for t, s in known.items()])
        for tensor in names:
            seconds = known.get(tensor)
            rows.append(
                SwitchCost(tensor, to, float(predict(graph.tensors[tensor].size_bytes)), measured=False)
                if seconds is None
                else SwitchCost(tensor, to, seconds, measured=True)
            )
    return tuple(rows)


def _merge(names: Sequence[str], seen: Sequence[Mapping[int, float]]) -> dict[str, float]:
    times: dict[str, list[float]] = {}
    for one in seen:
        for place, seconds in one.items():
            times.setdefault(names[place], []).append(seconds)
    return {name: middle_mean(values) for name, values in times.items()}


def _fit(points: Sequence[tuple[int, float]]) -> "np.poly1d":
    """Return seconds as a line over bytes, never falling; zero where nothing was measured."""
    if not points:
        return np.poly1d([0.0])
    sizes, seconds = np.asarray(points, dtype=float).T
    if len(set(sizes)) < 2:  # noqa: PLR2004  a line needs two sizes
        return np.poly1d([float(np.median(seconds))])
    slope, start = np.polyfit(sizes, seconds, 1)
    if slope < 0 or start < 0:
        slope, start = max(0.0, float(seconds @ sizes / (sizes @ sizes))), 0.0
    return np.poly1d([slope, start])
