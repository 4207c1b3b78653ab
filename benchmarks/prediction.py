"""How true the costs are: predicted against measured time and noise of random mixed plans.

    python benchmarks/prediction.py [--plans N] [--beside N] [MODEL ...]

MODEL is kwt1, mobilenetv2, resnet56, yolox (whose data lie where SPLITQUANT_DATA points) or resnet50
(random weights, made on the spot). Each runs in a process of its own with an empty cache: run it on an
otherwise idle machine. Beside the planner's prediction stands the naive one: the sum of units cut out and
timed alone. `--beside` keeps the processors busy with processes that come and go. The all-int8 model runs in
turn with each plan: where its time over fp32's is not that of the profile, the machine has changed since.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
import numpy as np
import onnx
from bars import Bar, bars_table
from busy_processes import busy_processes
from resnet50 import resnet50
from rich.console import Console
from rich.table import Table
from thread_time import take_turns

from planner.costs.device_costs import device_costs
from planner.costs.device_profiles import latency_profile
from planner.costs.noise_profiles import fitted_noise, noise_profiles
from planner.costs.noise_trials import TrialSetup
from planner.costs.whole_model import WholeModelPredictor, single_device_scenario
from planner.deployment.rebuild import rebuild
from planner.devices.runtime import measured_devices
from planner.inputs.prepared_scenario import Prepared, prepare
from planner.scenario.loader import load_scenario
from planner.scenario.schema import Scenario
from planner.scenario.validation import check_scenario
from profiling.noise.noise_power import noise_power
from profiling.on_device.timing.interleaved_rounds import time_interleaved
from profiling.onnx_io.extract import SubmodelExtractor
from profiling.precision import Precision
from profiling.quantization.qdq_model import QUANTIZED_SUFFIX
from profiling.runtime.open_session import open_session, run_session

_SCENARIOS = Path(__file__).parent.parent / "scenarios"
_MODELS = ("resnet56", "mobilenetv2", "yolox", "kwt1", "resnet50")
_LOWEST, _HIGHEST = 0.8, 1.25
_CLOSE = 0.05
_WANTED, _WANTED_BUSY, _WANTED_INSIDE = (0.02, 0.04, 0.05), (0.03, 0.05, 0.08), 0.9


class Plan(msgspec.Struct):
    """What one random plan showed; times relative to the fp32 model, noise as power.

    Parameters
    ----------
    pace
        Time of the all-int8 model, after the plan's was taken, over that in the profile.
    shared_core
        Whether something else computed on the core in all sessions of either.
    """

    int8: int
    pace: float
    measured: float
    predicted: float
    naive: float
    noise_measured: float
    noise_predicted: float
    shared_core: bool


def run_one(name: str, count: int) -> list[Plan]:
    """Predict and measure the random plans of one model in this process."""
    with tempfile.TemporaryDirectory() as folder:
        full = scenario_of(name, Path(folder))
        scenario = single_device_scenario(full, measured_devices(full)[0])
        prepared = prepare(scenario)
        device = scenario.devices[0]
        calibration = prepared.calibration(device.name)
        latency = latency_profile(scenario, device, prepared.subject, calibration)
        noise = noise_profiles(scenario, prepared.subject, [calibration])
        costs = device_costs(scenario, {device.name: latency}, noise, prepared.schemes)
        fitted = fitted_noise(scenario, prepared.subject, TrialSetup(calibration), costs[device.name])
        costs = {device.name: fitted.factors.applied(costs[device.name])}
        whole = WholeModelPredictor(scenario, prepared.models.graph, costs)
        alone = isolated(prepared, range(len(prepared.models.graph.units)))
        graph, runtime = prepared.models.graph, prepared.runtime
        reference = open_session(graph.model, runtime)
        samples = list(prepared.subject.calibration.spread(scenario.profiling.noise_samples).samples)
        exact = [run_session(reference, feeds) for feeds in samples]
        plans = []
        able = [unit.index for unit in graph.units if unit.can_be(Precision.INT8)]
        all_int8 = rebuild(graph, calibration.of(able), prepared.ranges)
        profiled = latency.wall_s[Precision.INT8] / latency.wall_s[Precision.FP32]
        for number, int8 in enumerate(random_plans(prepared, count)):
            mix = graph.resolve_precisions(dict.fromkeys(int8, Precision.INT8))
            mixed = rebuild(graph, calibration.at(mix), prepared.ranges)
            # In pairs, as `plan` times models: a third one would leave colder caches to both.
            turns = [
                take_turns([(graph.model, samples[0]), (model, samples[0])]) for model in (mixed, all_int8)
            ]
            own, int8_alone = (one.ratio(1, 0) for one in turns)
            chosen = [unit.index in mix for unit in graph.units]
            opened = open_session(mixed, runtime)
            plans.append(
                Plan(
                    len(mix),
                    int8_alone / profiled,
                    own,
                    whole.ratio_to_fp32(mix),
                    _naive(alone, chosen) / _naive(alone, [False] * len(chosen)),
                    noise_power((run_session(opened, feeds) for feeds in samples), exact),
                    fitted.law.predict(whole.cost(mix).noise_power),
                    any(one.shared_core for one in turns),
                )
            )
            print(f"{name}: {number + 1} of {count}", file=sys.stderr)
        return plans


def scenario_of(name: str, folder: Path) -> Scenario:
    """Return a model's scenario; what resnet50 needs is written into a folder."""
    if name != "resnet50":
        return load_scenario(_SCENARIOS / f"{name}.yaml")
    onnx.save(resnet50(), folder / "m.onnx")
    pictures = np.random.default_rng(1).standard_normal((64, 1, 3, 224, 224), np.float32)
    np.savez(folder / "d.npz", image=pictures)
    data = {"npz": str(folder / "d.npz")}
    content = {
        "model": str(folder / "m.onnx"),
        "data": {"calibration": data, "evaluation": data},
        "devices": [{"name": "here"}],
        "precisions": ["fp32", "int8"],
        "source": "here",
        "sink": "here",
    }
    scenario, faults = check_scenario(json.dumps(content))
    if scenario is None:
        raise SystemExit(str(faults))
    return scenario


def random_plans(prepared: Prepared, count: int) -> list[list[int]]:
    """Return units in int8 of plans that switch along the order, rarely in the first, often in the last."""
    rng = np.random.default_rng(0)
    plans = []
    for probability in np.linspace(0.05, 0.4, count):
        state, int8 = bool(rng.integers(2)), []
        for unit in prepared.models.graph.units:
            state ^= bool(rng.random() < probability)
            if state and unit.can_be(Precision.INT8):
                int8.append(unit.index)
        plans.append(int8)
    return plans


def isolated(prepared: Prepared, indices: Iterable[int]) -> dict[tuple[int, Precision], float]:
    """Return (unit, precision) -> seconds of units cut out and run alone."""
    graph = prepared.models.graph
    calibration = prepared.calibration(prepared.scenario.source)
    wanted = set(indices)
    able = [unit.index for unit in graph.units if unit.can_be(Precision.INT8) and unit.index in wanted]
    extractors = {
        Precision.FP32: SubmodelExtractor(graph.model),
        Precision.INT8: SubmodelExtractor(rebuild(graph, calibration.of(able), prepared.ranges)),
    }
    seconds = {}
    for unit in (unit for unit in graph.units if unit.index in wanted):
        for precision, extractor in extractors.items():
            int8 = precision is Precision.INT8
            if int8 and not unit.can_be(Precision.INT8):
                continue
            ends = [
                [
                    name + QUANTIZED_SUFFIX
                    if int8 and name in graph.tensors_quantized_with(unit.index)
                    else name
                    for name in names
                ]
                for names in (unit.inputs, unit.outputs)
            ]
            session = open_session(extractor.extract(*ends), prepared.runtime)
            feeds = {
                end.name: np.zeros(end.shape, np.uint8 if "uint8" in end.type else _dtype(end.type))
                for end in session.get_inputs()
            }
            times = time_interleaved({0: _once(session, feeds)}, 10, prepared.runtime.clock)[0]
            seconds[unit.index, precision] = statistics.median(times)
    return seconds


def _dtype(kind: str) -> str:
    name = kind.removeprefix("tensor(").removesuffix(")")
    return {"float": "float32", "double": "float64"}.get(name, name)


def _naive(alone: dict[tuple[int, Precision], float], chosen: Sequence[bool]) -> float:
    return sum(alone[index, Precision.INT8 if int8 else Precision.FP32] for index, int8 in enumerate(chosen))


def _once(session, feeds):
    return lambda: session.run(None, dict(feeds))


def table(found: dict[str, list[Plan]]) -> Table:
    """Return the errors of each model as a person reads them."""
    shown = Table(
        "model", "plans", "time: median error", "p90", "worst", "within 5 %", "naive: median error", "worst",
        "int8 against the profile", "core shared", "noise within 0.8..1.25", "lowest", "highest",
    )  # fmt: skip
    for name, plans in found.items():
        ours = [abs(p.predicted / p.measured - 1) for p in plans]
        naive = [abs(p.naive / p.measured - 1) for p in plans]
        noise = [p.noise_predicted / p.noise_measured for p in plans if p.noise_measured]
        inside = sum(_LOWEST <= ratio <= _HIGHEST for ratio in noise)
        shown.add_row(
            name,
            str(len(plans)),
            f"{statistics.median(ours):.1%}",
            f"{np.percentile(ours, 90):.1%}",
            f"{max(ours):.1%}",
            f"{sum(error <= _CLOSE for error in ours)} of {len(ours)}",
            f"{statistics.median(naive):.1%}",
            f"{max(naive):.1%}",
            f"{min(p.pace for p in plans):.2f} to {max(p.pace for p in plans):.2f}",
            f"{sum(p.shared_core for p in plans)} of {len(plans)}",
            f"{inside} of {len(noise)}",
            f"{min(noise, default=1):.2f}",
            f"{max(noise, default=1):.2f}",
        )
    return shown


def bars(found: dict[str, list[Plan]], beside: int) -> list[Bar]:
    """Return what is wanted of all models' plans together, and what was seen."""
    plans = [plan for own in found.values() for plan in own]
    errors = [abs(plan.predicted / plan.measured - 1) for plan in plans]
    noise = [plan.noise_predicted / plan.noise_measured for plan in plans if plan.noise_measured]
    inside = sum(_LOWEST <= ratio <= _HIGHEST for ratio in noise) / len(noise)
    middle, most, worst = _WANTED_BUSY if beside else _WANTED
    seen = (statistics.median(errors), float(np.percentile(errors, 90)), max(errors))
    rows = zip(("median", "p90", "worst"), (middle, most, worst), seen, strict=True)
    times = [
        Bar(f"time: {name}", f"<= {wanted:.0%}", f"{own:.1%}", own <= wanted) for name, wanted, own in rows
    ]
    share = Bar(
        "noise within 0.8 to 1.25", f">= {_WANTED_INSIDE:.0%}", f"{inside:.0%}", inside >= _WANTED_INSIDE
    )
    return [*times, share]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("models", nargs="*", metavar="MODEL")
    parser.add_argument("--plans", type=int, default=12)
    parser.add_argument("--beside", type=int, default=0)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(msgspec.json.encode(run_one(given.models[0], given.plans)).decode())
        return
    found = {}
    for name in given.models or _MODELS:
        with tempfile.TemporaryDirectory() as cache, busy_processes(given.beside):
            command = [sys.executable, __file__, "--one", "--plans", str(given.plans), name]
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
        found[name] = msgspec.json.decode(done.stdout, type=list[Plan])
    console = Console(width=205)
    for name, plans in found.items():
        for plan in plans:
            console.print(name, plan, soft_wrap=True)
    console.print(table(found))
    console.print(bars_table(bars(found, given.beside)))


if __name__ == "__main__":
    main()
