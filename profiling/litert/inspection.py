"""What a `.tflite` model is made of, for LiteRT: its ends, units, the modes that each can take, seconds."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from profiling.arrays import Feeds
from profiling.directories import cache_folder
from profiling.errors import ModelError
from profiling.graph.operator_graph import Unit
from profiling.inspection import End, Inspection, UnitFacts
from profiling.litert.calibration import calibrate_litert
from profiling.litert.interpreter import run_model
from profiling.litert.latency.time_in_place import time_units
from profiling.litert.load import load_litert
from profiling.litert.mode_search import UnitModes, find_modes
from profiling.litert.modes import FP32, INT8, MODES
from profiling.litert.not_run import why_not_run
from profiling.litert.shapes import made_up_samples, with_shapes
from profiling.litert.unit_graph import LitertGraph, build_litert_graph
from profiling.runtime.crash_journal import SUFFIX, CrashJournal

_SAMPLES = 2  # each is run for every mode
RUNTIME_NAME = "litert"

log = logging.getLogger(__name__)


def inspect_litert(
    path: Path, input_shapes: Mapping[str, tuple[int, ...]], signature: str = ""
) -> Inspection:
    """Return what a `.tflite` model is made of.

    Parameters
    ----------
    input_shapes
        Input name -> whole shape, where a dimension other than the batch is dynamic.
    signature
        Which, if the file has several.

    Raises
    ------
    ModelError
        If the model cannot be read.
    """
    graph = build_litert_graph(with_shapes(load_litert(path, signature), input_shapes))
    samples = _runnable(graph, made_up_samples(graph.model, _SAMPLES))
    modes = _modes(graph, samples) if samples else None
    seconds = time_units(graph, samples[0]).seconds if samples else None
    return Inspection(
        model=str(path),
        opset=0,
        inputs=_ends(graph, graph.model.inputs),
        outputs=_ends(graph, graph.model.outputs),
        operators=dict(Counter(graph.model.op_types).most_common()),
        units=tuple(
            _facts(
                graph, unit, modes[unit.index] if modes else None, seconds[unit.index] if seconds else None
            )
            for unit in graph.units
        ),
        tried_out=bool(samples),
        runtime=RUNTIME_NAME,
    )


def _runnable(graph: LitertGraph, samples: Sequence[Feeds]) -> Sequence[Feeds]:
    if why := why_not_run(graph.model):
        log.warning("%s %s", graph.model.shown, why)
        return ()
    try:
        for feeds in samples:
            run_model(graph.model, feeds)
    except ModelError as exc:  # it needs an operator that is not here
        log.warning("%s", exc)
        return ()
    return samples


def _modes(graph: LitertGraph, samples: Sequence[Feeds]) -> tuple[UnitModes, ...]:
    journal = CrashJournal(cache_folder() / f"inspect-litert-{graph.model_sha256[:32]}{SUFFIX}")
    return find_modes(graph, calibrate_litert(graph.model, samples), samples, MODES, journal)


def _ends(graph: LitertGraph, ends: Mapping[str, int]) -> tuple[End, ...]:
    tensors = {key: graph.tensors[graph.model.names[tensor]] for key, tensor in ends.items()}
    return tuple(End(key, one.dtype, one.shape, one.size_bytes) for key, one in tensors.items())


def _facts(graph: LitertGraph, unit: Unit, modes: UnitModes | None, seconds: float | None) -> UnitFacts:
    obstacle = unit.obstacle or (modes.reasons.get(INT8.name, "") if modes else "")
    return UnitFacts(
        name=unit.name,
        op_types=unit.op_types,
        obstacle=obstacle,
        quantized=unit.quantized,
        weight_bytes=unit.weight_bytes,
        weight_bytes_int8=unit.weight_bytes if obstacle else unit.weight_bytes_int8,
        output_bytes=sum(graph.tensors[name].size_bytes for name in unit.outputs),
        fp32_s=seconds,
        modes={m.name: modes.reasons.get(m.name, "") for m in MODES if m is not FP32} if modes else {},
    )
