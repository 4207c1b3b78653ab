"""Plans over all precisions of ONNX Runtime against one for all units, and three that alternate in blocks.

    python benchmarks/precisions.py [--precisions P,P,...] [MODEL ...]

MODEL is a scenario of prediction.py (kwt1 and mobilenetv2 by default). Each is planned for one device, at the
noise of each competitor and at the time of the alternation, and timed in turn with it. Budgets come from
calibration samples that are held back; evaluation data only judge.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
import onnx
from bars import bars_table, circumstances
from competing_plans import (
    Competitor,
    Row,
    alternating,
    at_equal_noise,
    at_equal_time,
    bars,
    competitor,
    table,
)
from prediction import scenario_of
from rich.console import Console

from planner.costs.whole_model import single_device_scenario
from planner.deployment.rebuild import rebuild
from planner.devices.runtime import measured_devices
from planner.inputs.prepared_scenario import Prepared, prepare
from planner.refinement.measured_scenario import measure_scenario
from profiling.precision import Precision

_MODELS = ("kwt1", "mobilenetv2")
_PRECISIONS = (
    Precision.FP32,
    Precision.INT8,
    Precision.INT8_DYNAMIC,
    Precision.WEIGHTS_INT8,
    Precision.WEIGHTS_INT4,
)
_ALTERNATING = (Precision.INT8, Precision.INT8_DYNAMIC, Precision.FP32)
_BLOCK = 20  # units


def run_one(name: str, precisions: Sequence[Precision]) -> list[Row]:
    """Plan one model at the noise of each competitor, and at the time of the alternation."""
    with tempfile.TemporaryDirectory() as folder:
        full = scenario_of(name, Path(folder)).model_copy(update={"precisions": tuple(precisions)})
        scenario = single_device_scenario(full, measured_devices(full)[0])
        prepared = prepare(scenario)
        measured = measure_scenario(prepared)
        fp32_s = measured.latency[scenario.source].wall_s[Precision.FP32]
        rows = []
        for other in _competitors(prepared, precisions):
            print(f"{name}: {other.name}", file=sys.stderr)
            row = at_equal_noise(name, measured, other, _mixed)
            rows.append(row)
            if other.name not in precisions:
                rows.append(at_equal_time(name, measured, other, row.ratio * fp32_s, _mixed))
        return rows


def _mixed(prepared: Prepared, mix: Mapping[int, Precision]) -> onnx.ModelProto:
    calibration = prepared.calibration(prepared.scenario.source)
    return rebuild(prepared.models.graph, calibration.at(dict(mix)), prepared.ranges)


def _competitors(prepared: Prepared, precisions: Sequence[Precision]) -> Iterator[Competitor]:
    graph = prepared.models.graph
    for precision in precisions:
        able = {unit.index: precision for unit in graph.units if unit.can_be(precision)}
        mix = {} if precision is Precision.FP32 else graph.resolve_precisions(able)
        yield competitor(prepared, precision, mix, _mixed)
    used = [precision for precision in _ALTERNATING if precision in precisions]
    yield competitor(prepared, f"{', '.join(used)} in turn", alternating(graph, used, _BLOCK), _mixed)


def main() -> None:
    """Print the table and the bars."""
    parser = argparse.ArgumentParser()
    parser.add_argument("models", nargs="*", metavar="MODEL")
    parser.add_argument("--precisions", default=",".join(_PRECISIONS))
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    precisions = [Precision(name) for name in given.precisions.split(",")]
    if given.one:
        print(msgspec.json.encode(run_one(given.models[0], precisions)).decode())
        return
    console = Console()
    console.print(circumstances("onnxruntime", "splitquant"))
    rows: list[Row] = []
    for name in given.models or _MODELS:
        with tempfile.TemporaryDirectory() as cache:
            command = [sys.executable, __file__, "--one", "--precisions", given.precisions, name]
            done = subprocess.run(
                command,
                env=os.environ | {"XDG_CACHE_HOME": cache},
                stdout=subprocess.PIPE,
                text=True,
                check=False,
            )
        if done.returncode:
            print(f"{name}: left out, see above", file=sys.stderr)
            continue
        rows += msgspec.json.decode(done.stdout, type=list[Row])
    title = f"plans against one precision for all units, and three in blocks of {_BLOCK} units"
    console.print(table(rows, title))
    console.print(bars_table(bars(rows, "precisions")))


if __name__ == "__main__":
    main()
