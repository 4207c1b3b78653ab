"""How much longer a profile takes with all precisions of ONNX Runtime than with fp32 and int8.

    python benchmarks/precision_profiles.py [--precisions P,P,...] [MODEL ...]

MODEL is mobilenetv2, mobilenetv1, resnet56, kwt1, yolox (by default all of these) or resnet20; their data lie
where SPLITQUANT_DATA points. Both profiles follow one calibration and begin with an empty cache. Run it on an
otherwise idle machine.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bars import Bar, bars_table, circumstances
from prediction import scenario_of
from ranges import scenario_with
from rich.console import Console

from planner.costs.whole_model import single_device_scenario
from planner.devices.runtime import measured_devices
from planner.inputs.prepared_scenario import Prepared, prepare
from planner.refinement.measured_scenario import MeasuredScenario, measure_scenario
from planner.scenario.budget_schema import BudgetSpec
from planner.scenario.schema import Scenario
from profiling.precision import OFFERED, Precision

MODELS = ("mobilenetv2", "mobilenetv1", "resnet56", "kwt1", "yolox")
TWO = (Precision.FP32, Precision.INT8)
MOST = 4.0
_EVALUATION = 100
_OF_RANGES = ("mobilenetv1", "resnet20")  # which have no scenario of their own


@dataclass(frozen=True)
class Profiles:
    """Seconds of the profiles with two precisions and with all, and what the second one measured."""

    two_s: float
    all_s: float
    measured: MeasuredScenario


def planned_alone(name: str, folder: Path, precisions: Sequence[Precision], evaluation: int) -> Scenario:
    """Return a model's scenario on its measured device alone, in some precisions, without its budget."""
    full = scenario_with(name, {}, evaluation, folder) if name in _OF_RANGES else scenario_of(name, folder)
    full = full.model_copy(
        update={
            "precisions": tuple(precisions),
            "budget": BudgetSpec(),
            "quantization": full.quantization.model_copy(update={"bias_correction": True}),
        }
    )
    return single_device_scenario(full, measured_devices(full)[0])


def timed_profiles(prepared: Prepared) -> Profiles:
    """Profile with two precisions, then with all of the scenario's, each with an empty cache."""
    scenario = prepared.scenario
    two = scenario.model_copy(update={"precisions": TWO})
    alone = single_device_scenario(two, scenario.device(scenario.source))
    _, two_s = _timed(replace(prepared, scenario=alone))
    measured, all_s = _timed(prepared)
    return Profiles(two_s, all_s, measured)


def _timed(prepared: Prepared) -> tuple[MeasuredScenario, float]:
    before = os.environ.get("XDG_CACHE_HOME")
    with tempfile.TemporaryDirectory() as cache:
        os.environ["XDG_CACHE_HOME"] = cache
        try:
            begin = time.perf_counter()
            measured = measure_scenario(prepared)
            return measured, time.perf_counter() - begin
        finally:
            if before is None:
                del os.environ["XDG_CACHE_HOME"]
            else:
                os.environ["XDG_CACHE_HOME"] = before


def _bar(name: str, precisions: Sequence[Precision]) -> Bar:
    with tempfile.TemporaryDirectory() as folder:
        prepared = prepare(planned_alone(name, Path(folder), precisions, _EVALUATION))
        took = timed_profiles(prepared)
    units = prepared.models.graph.units
    used = sum(any(unit.can_be(precision) for unit in units) for precision in precisions)
    ratio = took.all_s / took.two_s
    return Bar(
        f"{name}: profile of {used} precisions over that of two",
        f"<= {MOST:g}",
        f"{ratio:.1f} ({took.all_s:.0f} s and {took.two_s:.0f} s)",
        ratio <= MOST,
    )


def main() -> None:
    """Print both times of each model."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("models", nargs="*", metavar="MODEL")
    parser.add_argument("--precisions", default=",".join((Precision.FP32, *OFFERED)))
    given = parser.parse_args()
    precisions = [Precision(name) for name in given.precisions.split(",")]
    console = Console(width=max(120, Console().width))
    console.print(circumstances("onnxruntime", "splitquant"))
    bars = []
    for name in given.models or MODELS:
        bars.append(_bar(name, precisions))
        print(f"{bars[-1].text}: {bars[-1].seen}", file=sys.stderr, flush=True)
    console.print(bars_table(bars))


if __name__ == "__main__":
    main()
