"""ONNX Runtime beside LiteRT: the same network, one thread, fp32 and all int8."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bars import Bar
from litert_networks import HERE, all_in, alone_here
from rich.table import Table
from thread_time import take_turns

from planner.deployment.build import build
from planner.inputs.prepared_scenario import prepare
from planner.plan.configuration import Configuration
from profiling.precision import Precision
from profiling.runtime_names import LITERT, ONNX_RUNTIME

NETWORKS = ("digits", "MobileNetV2", "MobileNetV3Small", "ResNet20", "DS-CNN")
_BOTH = (Precision.FP32, Precision.INT8)


@dataclass(frozen=True)
class Row:
    """Seconds of a network in both runtimes."""

    network: str
    precision: Precision
    onnx_units: int
    litert_units: int
    onnx_s: float
    litert_s: float
    ratio: float


def run(network: str) -> list[Row]:
    """Time a network in both runtimes and precisions, all four in turn."""
    models, units = [], []
    for runtime in (ONNX_RUNTIME, LITERT):
        with tempfile.TemporaryDirectory() as folder:
            prepared = prepare(alone_here(network, Path(folder), _BOTH, runtime))
            graph, feeds = prepared.models.graph, prepared.evaluation.samples[0]
            for precision in _BOTH:
                mix = all_in(prepared, precision)
                kinds = tuple(mix.get(unit.index, Precision.FP32) for unit in graph.units)
                built = build(prepared, Configuration((HERE,) * len(kinds), kinds))
                models.append((built.mixed, dict(feeds)))
                units.append(len(kinds) if precision is Precision.FP32 else len(mix))
    turns = take_turns(models)
    return [
        Row(network, p, units[i], units[i + 2], turns.of(i), turns.of(i + 2), turns.ratio(i, i + 2))
        for i, p in enumerate(_BOTH)
    ]


def table(rows: Sequence[Row]) -> Table:
    made = Table(title="runtimes: ONNX Runtime and LiteRT in turn, one thread", title_justify="left")
    heads = ("network", "precision", "units ONNX", "units LiteRT", "ONNX Runtime ms", "LiteRT ms",
             "ONNX Runtime / LiteRT")  # fmt: skip
    for head in heads:
        made.add_column(head, justify="left" if head in heads[:2] else "right")
    for row in rows:
        made.add_row(
            row.network, row.precision, str(row.onnx_units), str(row.litert_units),
            f"{row.onnx_s * 1e3:.2f}", f"{row.litert_s * 1e3:.2f}", f"{row.ratio:.2f}",
        )  # fmt: skip
    return made


def bars(rows: Sequence[Row]) -> list[Bar]:
    """Return none: this is to know, not to reach."""
    del rows
    return []
