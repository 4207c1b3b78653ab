"""A detector of the size of today's largest: what planning it takes, and how true its noise is.

    python benchmarks/large_detector.py [--plans N] [small] [large]

small has 10 GFLOPs and 175 units, large 300 GFLOPs, 300 units and 62 million weights (random: see
detector_network.py). Each is planned in a process of its own with an empty cache. Seconds count on an
otherwise idle machine; runs of the model that its noise takes count everywhere. Noise is compared on random
plans of units in int8.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec
import numpy as np
import onnx
from bars import Bar, bars_table, circumstances
from detector_network import LARGE, SMALL, TINY, Size, detector, pictures
from prediction import random_plans
from rich.console import Console
from rich.table import Table
from step_times import StepTimes

from planner.costs.device_costs import device_costs
from planner.costs.device_profiles import latency_profile
from planner.costs.noise_profiles import fitted_noise, noise_profiles
from planner.costs.noise_trials import TrialSetup
from planner.costs.whole_model import WholeModelPredictor, single_device_scenario
from planner.deployment.rebuild import rebuild
from planner.devices.runtime import measured_devices
from planner.inputs.prepared_scenario import prepare
from planner.run import plan_scenario
from planner.scenario.schema import Scenario
from planner.scenario.validation import check_scenario
from profiling.graph.multiply_adds import multiplications
from profiling.noise.measure_noise import NOISE_STEP
from profiling.noise.noise_power import noise_power
from profiling.precision import Precision
from profiling.runtime.open_session import open_session, run_samples

SIZES = {"tiny": TINY, "small": SMALL, "large": LARGE}
_LOWEST, _HIGHEST, _INSIDE = 0.8, 1.25, 0.9
_MOST_RUNS, _MOST_SECONDS = 120, 900.0


class Found(msgspec.Struct):
    """What one network showed.

    Parameters
    ----------
    steps
        What the progress tells -> seconds.
    runs
        Of the whole model on one sample, for the noise profile.
    alone_runs
        The same if every change were followed to the outputs.
    noise_ratios
        Predicted over measured noise power of random plans.
    """

    units: int
    quantizable: int
    gflops: float
    weights: int
    steps: dict[str, float]
    seconds: float
    runs: int
    alone_runs: float
    ratio_predicted: float
    ratio_measured: float
    noise_ratios: list[float]


def detector_scenario(folder: Path, size: Size, samples: int, **profiling: int) -> Scenario:
    """Write a detector and pictures into a folder, and return the scenario that plans it for one device."""
    onnx.save(detector(size), folder / "detector.onnx")
    np.savez(folder / "pictures.npz", images=pictures(size, samples))
    data = {"npz": str(folder / "pictures.npz")}
    content = {
        "model": str(folder / "detector.onnx"),
        "data": {"calibration": data, "evaluation": data},
        "devices": [{"name": "here"}],
        "precisions": ["fp32", "int8"],
        "source": "here",
        "sink": "here",
        "budget": {"noise_relative_rms": 0.1},
        "profiling": {"noise_samples": 4} | profiling,
    }
    scenario, faults = check_scenario(json.dumps(content))
    if scenario is None:
        raise SystemExit(str(faults))
    return scenario


def run_one(name: str, plans: int) -> Found:
    """Plan one network in this process, then compare the noise of random plans."""
    with tempfile.TemporaryDirectory() as folder:
        full = detector_scenario(Path(folder), SIZES[name], 8)
        scenario = single_device_scenario(full, measured_devices(full)[0])
        watch, start = StepTimes(), time.perf_counter()
        outcome = plan_scenario(full, watch)
        seconds = time.perf_counter() - start
        prepared = prepare(scenario)
        graph = prepared.models.graph
        able = [unit for unit in graph.units if unit.can_be(Precision.INT8)]
        changes = len(able) + len(graph.boundary_tensors())
        return Found(
            units=len(graph.units),
            quantizable=len(able),
            gflops=2e-9 * multiplications(graph),
            weights=sum(int(np.prod(each.dims)) for each in graph.model.graph.initializer),
            steps=watch.seconds,
            seconds=seconds,
            runs=watch.totals[NOISE_STEP],
            alone_runs=changes / 2,
            ratio_predicted=outcome.plan.predicted.latency_ratio_to_fp32 or 0.0,
            ratio_measured=outcome.plan.measured.latency_ratio_to_fp32 or 0.0,
            noise_ratios=_noise_ratios(scenario, plans),
        )


def _noise_ratios(scenario: Scenario, plans: int) -> list[float]:
    """Return predicted over measured noise of random plans; what planning measured lies in the cache."""
    prepared = prepare(scenario)
    graph, device = prepared.models.graph, scenario.devices[0]
    calibration = prepared.calibration(device.name)
    latency = latency_profile(scenario, device, prepared.subject, calibration)
    noise = noise_profiles(scenario, prepared.subject, [calibration])
    costs = device_costs(scenario, {device.name: latency}, noise, prepared.schemes)
    fitted = fitted_noise(scenario, prepared.subject, TrialSetup(calibration), costs[device.name])
    costs = {device.name: fitted.factors.applied(costs[device.name])}
    whole = WholeModelPredictor(scenario, graph, costs)
    samples = list(prepared.subject.calibration.spread(scenario.profiling.noise_samples).samples)
    exact = list(run_samples(open_session(graph.model, prepared.runtime), samples))
    ratios = []
    for int8 in random_plans(prepared, plans):
        mix = graph.resolve_precisions(dict.fromkeys(int8, Precision.INT8))
        mixed = open_session(rebuild(graph, calibration.at(mix), prepared.ranges), prepared.runtime)
        measured = noise_power(run_samples(mixed, samples), exact)
        ratios.append(fitted.law.predict(whole.cost(mix).noise_power) / measured if measured else 1.0)
    return ratios


def table(found: dict[str, Found]) -> Table:
    """Return what each network is and took."""
    shown = Table(
        "network", "units (int8)", "GFLOPs", "10^6 weights", "planned in s",
        "noise: runs", "each alone, a sample", "plan / fp32, predicted", "measured",
    )  # fmt: skip
    for name, one in found.items():
        shown.add_row(
            name,
            f"{one.units} ({one.quantizable})",
            f"{one.gflops:.3g}",
            f"{one.weights / 1e6:.3g}",
            f"{one.seconds:.0f}",
            f"{one.runs}",
            f"{one.alone_runs:.0f}",
            f"{one.ratio_predicted:.3f}",
            f"{one.ratio_measured:.3f}",
        )
    return shown


def steps_table(found: dict[str, Found]) -> Table:
    """Return what planning spent its seconds on, the longest first."""
    shown = Table("network", "step", "s")
    for name, one in found.items():
        for what, seconds in sorted(one.steps.items(), key=lambda step: -step[1]):
            shown.add_row(name, what, f"{seconds:.1f}")
    return shown


def bars(name: str, one: Found) -> list[Bar]:
    """Return what is wanted of a network, and whether it was so."""
    inside = sum(_LOWEST <= ratio <= _HIGHEST for ratio in one.noise_ratios) / len(one.noise_ratios)
    span = f"{min(one.noise_ratios):.2f} to {max(one.noise_ratios):.2f}"
    rows = [
        Bar(f"{name}: runs for the noise profile", f"<= {_MOST_RUNS}", f"{one.runs}", one.runs <= _MOST_RUNS),
        Bar(
            f"{name}: noise within {_LOWEST} to {_HIGHEST} of measured",
            f"{_INSIDE:.0%} of plans",
            f"{inside:.0%} of {len(one.noise_ratios)}, {span}",
            inside >= _INSIDE,
        ),
    ]
    if name == "large":
        kept = one.seconds <= _MOST_SECONDS
        rows.append(Bar("large: planned in s", f"<= {_MOST_SECONDS:.0f}", f"{one.seconds:.0f}", kept))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("networks", nargs="*", choices=[*SIZES, []], metavar="NETWORK")
    parser.add_argument("--plans", type=int, default=12)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(msgspec.json.encode(run_one(given.networks[0], given.plans)).decode())
        return
    console = Console()
    console.print(circumstances("onnxruntime", "onnx", "numpy"))
    found = {}
    for name in given.networks or ("small", "large"):
        with tempfile.TemporaryDirectory() as cache:
            done = subprocess.run(
                [sys.executable, __file__, "--one", "--plans", str(given.plans), name],
                env=os.environ | {"XDG_CACHE_HOME": cache},
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
        found[name] = msgspec.json.decode(done.stdout, type=Found)
    console.print(table(found))
    console.print(steps_table(found))
    console.print(bars_table([bar for name, one in found.items() for bar in bars(name, one)]))


if __name__ == "__main__":
    main()
