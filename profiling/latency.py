"""Per-unit and per-switch seconds, measured in whole models with the runtime's own profile."""

import itertools
import os
import platform
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
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
from profiling.quantize import Calibration, Pass, quantize
from profiling.session import Feeds, Runtime, Trace, open_session
from profiling.timing import middle_mean, time_interleaved

_SWITCH_BITS = 3  # two mixed models each: one where a bit of the unit's index is int8, one where not


@dataclass(frozen=True, slots=True)
class _Variant:
    """One model to time, its tagged copy under the profiler, and which of its units are int8."""

    model: onnx.ModelProto
    int8: frozenset[int]


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
        Runs of every model, interleaved.
    """
    variants = _variants(graph, calibration)
    kernels, walls = _run(graph, variants, feeds, runtime, rounds, progress)
    corrected = [k.as_unprofiled(wall) for k, wall in zip(kernels, walls, strict=True)]
    uniform = {Precision.FP32: 0, Precision.INT8: 1}
    return LatencyProfile(
        model_sha256=model_hash(graph.model),
        runtime_version=ort.__version__,
        scheme=calibration.scheme.label,
        processor=processor(),
        threads=runtime.threads,
        provider=runtime.provider,
        samples=rounds,
        wall_s={p: walls[i] for p, i in uniform.items()},
        unattributed_s={p: max(0.0, walls[i] - corrected[i].attributed_s) for p, i in uniform.items()},
        profiled_s={p: kernels[i].total_s for p, i in uniform.items()},
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
    nodes = tuple(n for index in sorted(int8) for n in graph.units[index].nodes)
    return quantize(graph.model, [Pass(calibration.scheme, nodes)], calibration.ranges)


def _run(
    graph: ModelGraph,
    variants: Sequence[_Variant],
    feeds: Feeds,
    runtime: Runtime,
    rounds: int,
    progress: Progress,
) -> tuple[list[KernelTimes], list[float]]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        traces = [Trace(folder / f"{i}", folder / f"{i}.onnx") for i in range(len(variants))]
        plain = [open_session(v.model, runtime) for v in variants]
        traced = [
            open_session(tag_model(v.model, graph, v.int8), runtime, trace=trace)
            for v, trace in zip(variants, traces, strict=True)
        ]
        sessions = dict(enumerate(itertools.chain(plain, traced)))
        seconds = time_interleaved(
            {i: partial(session.run, None, dict(feeds)) for i, session in sessions.items()},
            rounds,
            progress=progress,
        )
        kernels = [
            read_kernels(Path(session.end_profiling()), trace.optimized_model)
            for session, trace in zip(traced, traces, strict=True)
        ]
    return kernels, [float(np.median(seconds[i])) for i in range(len(variants))]


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
