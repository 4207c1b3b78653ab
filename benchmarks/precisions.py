"""Plans over all precisions of ONNX Runtime beside what people use, on the same models, data and machine.

    python benchmarks/precisions.py [--quick] [--precisions P,P,...] [MODEL ...]

MODEL is mobilenetv2, mobilenetv1, resnet56, kwt1, yolox (by default all of these) or resnet20; their data lie
where SPLITQUANT_DATA points. Each is planned for one device and timed in turn with

- one precision for all units, and three precisions in blocks of units,
- ONNX Runtime's tensor overrides, and NNCF's accuracy control (`pip install -e .[bench]`),
- plans of fp32 and int8 alone.

Budgets come from calibration samples that are held back; evaluation data only judge. `--quick` takes fewer of
them, fewer budgets and less of the solver's time. Run it on an otherwise idle machine.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec
import onnx
from accuracy_control import accuracy_controlled
from bars import bars_table, circumstances
from competing_plans import (
    SLACK,
    Competitor,
    Question,
    Row,
    alternating,
    at_equal_noise,
    at_equal_time,
    beside,
    competing_model,
    competitor,
    planned_mix,
    table,
)
from precision_bars import (
    ACCURACY,
    DETECTOR_POINT,
    FRONT,
    MEMORY,
    POINT,
    TOOL,
    WIDE,
    Shown,
    bars,
)
from precision_profiles import MODELS, TWO, planned_alone, timed_profiles
from rich.console import Console
from tensor_overrides import with_wide_tensors

from planner.deployment.rebuild import rebuild
from planner.inputs.prepared_scenario import Prepared, prepare
from planner.refinement.measured_scenario import MeasuredScenario
from planner.scenario.budget_schema import BudgetSpec
from profiling.precision import OFFERED, Precision

_ALTERNATING = (Precision.INT8, Precision.INT8_DYNAMIC, Precision.FP32)
_BLOCK = 20  # units
_IN_TURN = "in turn"


@dataclass(frozen=True)
class Extent:
    """How much a run does; `noises` of the front are parts of all-int8's."""

    evaluation: int
    noises: tuple[float, ...]
    solver_s: float


FULL = Extent(evaluation=2000, noises=(0.05, 0.15, 0.4, 0.7, 1.0), solver_s=60.0)
QUICK = Extent(evaluation=100, noises=(0.2, 0.7), solver_s=10.0)


def run_one(name: str, precisions: Sequence[Precision], extent: Extent) -> Shown:
    """Plan one model beside everything that it is compared with."""
    with tempfile.TemporaryDirectory() as folder:
        scenario = planned_alone(name, Path(folder), precisions, FULL.evaluation)
        solver = scenario.solver.model_copy(update={"time_limit_s": extent.solver_s})
        _say(name, "calibrating")
        prepared = prepare(scenario.model_copy(update={"solver": solver}))
        prepared = replace(prepared, evaluation=prepared.evaluation.spread(extent.evaluation))
        _say(name, "profiles with two precisions, and with all")
        profiles = timed_profiles(prepared)
        measured, two_s, all_s = profiles.measured, profiles.two_s, profiles.all_s
        _say(name, f"{two_s:.0f} s and {all_s:.0f} s")
        failed: list[str] = []
        rows = list(_rows(name, measured, precisions, extent, failed))
        return Shown(name, rows, two_s, all_s, tuple(failed))


def _rows(
    name: str,
    measured: MeasuredScenario,
    precisions: Sequence[Precision],
    extent: Extent,
    failed: list[str],
) -> Iterator[Row]:
    prepared = measured.prepared
    fp32_s = measured.latency[prepared.scenario.source].wall_s[Precision.FP32]
    for other in _competitors(name, prepared, precisions, failed):
        row = at_equal_noise(name, measured, other, _mixed)
        yield _told(row)
        if other.name.endswith(_IN_TURN):
            yield _told(at_equal_time(name, measured, other, row.ratio * fp32_s, _mixed))
    int8 = competitor(prepared, Precision.INT8, _all_in(prepared, Precision.INT8), _mixed)
    keeping = _keeping(prepared)
    yield _told(beside(name, measured, int8, Question(ACCURACY, keeping), _mixed))
    yield _told(beside(name, measured, int8, Question(MEMORY, keeping, "memory"), _mixed))
    for part in extent.noises:
        yield _told(_on_front(name, measured, part, int8.cautious))


def _competitors(
    name: str, prepared: Prepared, precisions: Sequence[Precision], failed: list[str]
) -> Iterator[Competitor]:
    graph = prepared.models.graph
    for precision in precisions:
        if precision is not Precision.FP32:
            _say(name, f"all in {precision}")
            yield competitor(prepared, precision, _all_in(prepared, precision), _mixed)
    used = [precision for precision in _ALTERNATING if precision in precisions]
    in_turn = f"{', '.join(used)} {_IN_TURN}"
    _say(name, in_turn)
    yield competitor(prepared, in_turn, alternating(graph, used, _BLOCK), _mixed)
    makers: dict[str, Callable[[Prepared, float], onnx.ModelProto]] = {
        WIDE: with_wide_tensors,
        TOOL: accuracy_controlled,
    }
    for tool, make in makers.items():
        _say(name, tool)
        try:
            yield competing_model(prepared, tool, make(prepared, _point(prepared)))
        except Exception as exc:  # noqa: BLE001  what a tool cannot do is a row of the bars
            failed.append(f"{tool}: {type(exc).__name__}: {exc}")


def _on_front(name: str, measured: MeasuredScenario, part: float, int8_noise: float) -> Row:
    """Return the plan of least time over all precisions beside that over fp32 and int8, at some noise."""
    question = Question(FRONT, BudgetSpec(noise_relative_rms=part * int8_noise * SLACK))
    prepared = measured.prepared
    (device,) = prepared.scenario.devices
    devices = (device.model_copy(update={"precisions": TWO}),)
    scenario = prepared.scenario.model_copy(update={"devices": devices})
    restricted = replace(measured, prepared=replace(prepared, scenario=scenario))
    other = f"fp32 + int8, {part:g} of all-int8's noise"
    mix = planned_mix(restricted, question)
    return beside(name, measured, competitor(prepared, other, mix or {}, _mixed), question, _mixed)


def _point(prepared: Prepared) -> float:
    return POINT if prepared.metric is None else DETECTOR_POINT


def _keeping(prepared: Prepared) -> BudgetSpec:
    """Return the budget of a plan that loses hardly any accuracy."""
    point = _point(prepared)
    return BudgetSpec(accuracy_drop=point) if prepared.metric is None else BudgetSpec(metric_drop=point)


def _mixed(prepared: Prepared, mix: Mapping[int, Precision]) -> onnx.ModelProto:
    calibration = prepared.calibration(prepared.scenario.source)
    return rebuild(prepared.models.graph, calibration.at(dict(mix)), prepared.ranges)


def _all_in(prepared: Prepared, precision: Precision) -> dict[int, Precision]:
    graph = prepared.models.graph
    return graph.resolve_precisions({u.index: precision for u in graph.units if u.can_be(precision)})


def _told(row: Row) -> Row:
    plan = row.failed or f"plan {row.plan_over_competitor:.3f} of its time, noise {row.plan_noise:.3g}"
    _say(row.network, f"{row.competitor}, {row.equal}: noise {row.noise:.3g}; {plan}")
    return row


def _say(name: str, text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {name}: {text}", file=sys.stderr, flush=True)


def main() -> None:
    """Print a table of each model, and the bars of all."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("models", nargs="*", metavar="MODEL")
    parser.add_argument("--precisions", default=",".join((Precision.FP32, *OFFERED)))
    parser.add_argument("--quick", action="store_true", help="for a look, not for a record")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    extent = QUICK if given.quick else FULL
    if given.one:
        # What libraries print goes elsewhere: the answer is all that the standard output has.
        answer = os.dup(1)
        os.dup2(2, 1)
        precisions = [Precision(name) for name in given.precisions.split(",")]
        with os.fdopen(answer, "wb") as out:
            out.write(msgspec.msgpack.encode(run_one(given.models[0], precisions, extent)))
        return
    console = Console(width=max(240, Console().width))
    console.print(circumstances("onnxruntime", "splitquant", *_installed("nncf")))
    shown = []
    for name in given.models or MODELS:
        with tempfile.TemporaryDirectory() as cache:
            command = [sys.executable, __file__, "--one", "--precisions", given.precisions, name]
            done = subprocess.run(
                command + ["--quick"] * given.quick,
                env=os.environ | {"XDG_CACHE_HOME": cache},
                stdout=subprocess.PIPE,
                check=False,
            )
        if done.returncode:
            shown.append(Shown(name, [], failed=(f"ended with exit code {done.returncode}",)))
            continue
        one = msgspec.msgpack.decode(done.stdout, type=Shown)
        shown.append(one)
        console.print(table(one.rows, f"{name}: plans beside what people use"))
    console.print(bars_table(bars(shown)))


def _installed(package: str) -> tuple[str, ...]:
    try:
        version(package)
    except PackageNotFoundError:
        return ()
    return (package,)


if __name__ == "__main__":
    main()
