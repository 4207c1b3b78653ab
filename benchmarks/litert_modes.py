"""Plans of `.tflite` models against one mode for all units, and three modes that alternate in blocks."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import competing_plans
from bars import Bar
from competing_plans import Competitor, Row, at_equal_noise, at_equal_time, competitor
from litert_networks import HERE, MODES, all_in, alone_here
from rich.table import Table

from planner.deployment.litert_stages import litert_mixed
from planner.inputs.prepared_scenario import Prepared, prepare
from planner.refinement.measured_scenario import measure_scenario
from profiling.graph.any_model import Stage
from profiling.graph.operator_graph import OperatorGraph
from profiling.precision import Precision

NETWORKS = ("digits", "MobileNetV2", "ResNet20")
ALTERNATING = (Precision.INT8, Precision.INT8_DYNAMIC, Precision.FP32)
BLOCK = 8
HALF = competing_plans.HALF
_SINGLE = (Precision.FP32, *MODES, Precision.INT16)


def run(network: str) -> list[Row]:
    """Plan at the noise of each competitor, and at the time of the alternation."""
    with tempfile.TemporaryDirectory() as folder:
        prepared = prepare(alone_here(network, Path(folder), (Precision.FP32, *MODES)))
        measured = measure_scenario(prepared)
        rows, fp32_s = [], measured.latency[HERE].wall_s[Precision.FP32]
        for other in _competitors(prepared, network):
            row = at_equal_noise(network, measured, other, _mixed)
            rows.append(row)
            if other.name not in _SINGLE:
                rows.append(at_equal_time(network, measured, other, row.ratio * fp32_s, _mixed))
        return rows


def _mixed(prepared: Prepared, mix: Mapping[int, Precision]) -> Stage:
    return litert_mixed(prepared.models.graph, mix, prepared.ranges)


def _competitors(prepared: Prepared, network: str) -> Iterator[Competitor]:
    for mode in (Precision.FP32, *MODES):
        yield competitor(prepared, mode, all_in(prepared, mode), _mixed)
    with tempfile.TemporaryDirectory() as folder:
        wide = prepare(alone_here(network, Path(folder), (Precision.FP32, Precision.INT16)))
        yield competitor(wide, Precision.INT16, all_in(wide, Precision.INT16), _mixed)
    in_turn = f"{', '.join(ALTERNATING)} in turn"
    yield competitor(prepared, in_turn, alternating(prepared.models.graph), _mixed)


def alternating(graph: OperatorGraph) -> dict[int, Precision]:
    """Return the mix of modes that alternate in blocks of units."""
    return competing_plans.alternating(graph, ALTERNATING, BLOCK)


def table(rows: Sequence[Row]) -> Table:
    """Return each plan beside its competitor."""
    return competing_plans.table(
        rows, f"modes: plans against one mode, and against three in blocks of {BLOCK}"
    )


def bars(rows: Sequence[Row]) -> list[Bar]:
    """Return whether plans are no slower, and by how much they have less noise."""
    return competing_plans.bars(rows, "modes")
