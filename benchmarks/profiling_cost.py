"""What a profile costs, and whether it says the same twice.

    python benchmarks/profiling_cost.py [MODEL]

MODEL is resnet50 (the default: random weights, 64 random pictures) or a scenario of prediction.py. Ours:
calibration, seconds and noise of every unit and switch, from an empty cache, in a process of its own; twice,
to compare, each in turn with the other method. Layer by layer: for each unit one call of `quantize_static`,
which calibrates, all samples through its result, and the unit cut out and timed in both precisions; measured
for a few units and multiplied.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
import numpy as np
from onnxruntime.quantization import (  # noqa: TID251  the baseline is the tool as it comes
    CalibrationDataReader,
    QuantFormat,
    quantize_static,
)
from prediction import isolated, scenario_of
from rich.console import Console
from rich.table import Table

from planner.costs.device_costs import device_costs, noise_of
from planner.costs.device_profiles import latency_profile
from planner.costs.noise_profiles import fitted_noise, noise_profiles
from planner.costs.noise_trials import TrialSetup
from planner.costs.whole_model import single_device_scenario
from planner.devices.runtime import measured_devices
from planner.inputs.prepared_scenario import prepare
from profiling.arrays import Feeds
from profiling.noise.noise_power import noise_power
from profiling.on_device.measurement_order import FORMAT
from profiling.onnx_io.external_weights import save
from profiling.precision import Precision
from profiling.quantization.qdq_model import Scheme
from profiling.records.json_files import save_json
from profiling.records.profile import Profile, load_profile
from profiling.records.profile_diff import diff_profiles
from profiling.runtime.open_session import Runtime, open_session, run_session

_GIBI = 2**30
_UNITS = 4  # that the layer-by-layer method is measured on


class Cost(msgspec.Struct):
    """What one method took."""

    seconds: float
    peak_bytes: int
    model_bytes: int
    units: int
    parts: dict[str, float]


def ours(name: str, out: Path) -> Cost:
    """Make a whole profile in this process."""
    with tempfile.TemporaryDirectory() as folder:
        full = scenario_of(name, Path(folder))
        scenario = single_device_scenario(full, measured_devices(full)[0])
        device = scenario.devices[0]
        start = time.perf_counter()
        prepared = prepare(scenario)
        calibrated = time.perf_counter()
        calibration = prepared.calibration(device.name)
        latency = latency_profile(scenario, device, prepared.subject, calibration)
        timed = time.perf_counter()
        noise = noise_profiles(scenario, prepared.subject, [calibration])
        costs = device_costs(scenario, {device.name: latency}, noise, prepared.schemes)
        fitted_noise(
            single_device_scenario(scenario, device),
            prepared.subject,
            TrialSetup(calibration),
            costs[device.name],
        )
        end = time.perf_counter()
        save_json(Profile(FORMAT, device.name, latency, noise_of(scenario, calibration.scheme, noise)), out)
        parts = {
            "calibrate": calibrated - start,
            "latency": timed - calibrated,
            "noise": end - timed,
        }
        return Cost(
            end - start, _peak(), Path(scenario.model).stat().st_size, len(prepared.models.graph.units), parts
        )


def layer_by_layer(name: str) -> Cost:
    """Do what is usually done, for a few units, and multiply."""
    with tempfile.TemporaryDirectory() as folder:
        full = scenario_of(name, Path(folder))
        prepared = prepare(single_device_scenario(full, measured_devices(full)[0]))
        graph = prepared.models.graph
        samples = list(prepared.subject.calibration.samples)
        scheme = prepared.calibration(prepared.scenario.source).scheme
        able = [unit for unit in graph.units if unit.can_be(Precision.INT8)]
        chosen = [able[i] for i in np.linspace(0, len(able) - 1, min(_UNITS, len(able))).astype(int)]
        reference = open_session(graph.model, Runtime(os.cpu_count() or 1))
        exact = [run_session(reference, feeds) for feeds in samples]
        whole = Path(folder) / "whole.onnx"
        save(graph.model, whole)
        seconds = []
        for unit in chosen:
            start = time.perf_counter()
            one = Path(folder) / "one.onnx"
            _quantize_alone(whole, unit.nodes, scheme, samples, one)
            session = open_session(one, Runtime(os.cpu_count() or 1))
            noise_power((run_session(session, feeds) for feeds in samples), exact)
            isolated(prepared, [unit.index])
            seconds.append(time.perf_counter() - start)
        per_unit = statistics.mean(seconds)
        size = Path(prepared.scenario.model).stat().st_size
        return Cost(per_unit * len(able), _peak(), size, len(able), {"per unit": per_unit})


class SampleReader(CalibrationDataReader):
    """Gives the samples one by one."""

    def __init__(self, samples: Iterable[Feeds]) -> None:
        self._left = iter(samples)

    def get_next(self) -> Feeds | None:
        """Return the next sample, or None behind the last."""
        return next(self._left, None)


def _quantize_alone(
    model: Path, nodes: Sequence[str], scheme: Scheme, samples: Sequence[Feeds], target: Path
) -> None:
    quantize_static(
        model,
        target,
        SampleReader(samples),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        reduce_range=scheme.reduce_range,
        nodes_to_quantize=list(nodes),
    )


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _run(*arguments: str) -> Cost:
    with tempfile.TemporaryDirectory() as cache:
        done = subprocess.run(
            [sys.executable, __file__, *arguments],
            env=os.environ | {"XDG_CACHE_HOME": cache},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    return msgspec.json.decode(done.stdout, type=Cost)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model", nargs="?", default="resnet50")
    parser.add_argument("--ours", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--layers", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.ours or given.layers:
        cost = ours(given.model, given.ours) if given.ours else layer_by_layer(given.model)
        print(msgspec.json.encode(cost).decode())
        return
    profiles, naive = [], []
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{i}.json" for i in range(2)]
        # In turn: the machine's pace changes within minutes.
        for file in files:
            profiles.append(_run(given.model, "--ours", str(file)))
            naive.append(_run(given.model, "--layers"))
            print(profiles[-1], naive[-1], file=sys.stderr)
        diff = diff_profiles(*map(load_profile, files))
    limit = 6 * profiles[0].model_bytes + _GIBI
    table = Table("what", "measured", "must reach")
    for cost in profiles:
        parts = ", ".join(f"{what} {seconds:.1f}" for what, seconds in cost.parts.items())
        table.add_row("profile, s", f"{cost.seconds:.1f} ({parts})", "<= 90 for resnet50")
    for cost in naive:
        each = f"{cost.units} units x {cost.parts['per unit']:.1f}"
        table.add_row("layer by layer, s", f"{cost.seconds:.0f} ({each})", "")
    ratio = sum(cost.seconds for cost in naive) / sum(cost.seconds for cost in profiles)
    pairs = " and ".join(f"{n.seconds / p.seconds:.1f}" for p, n in zip(profiles, naive, strict=True))
    table.add_row("ratio", f"{ratio:.1f} (in turn: {pairs})", ">= 10")
    table.add_row(
        "peak MiB", f"{max(cost.peak_bytes for cost in profiles) / 2**20:.0f}", f"<= {limit / 2**20:.0f}"
    )
    table.add_row("median unit difference of two profiles", f"{diff.median_change:.1%}", "<= 3 %")
    console = Console()
    console.print(given.model)
    console.print(table)


if __name__ == "__main__":
    main()
