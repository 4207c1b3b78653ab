"""Prints what becomes of the networks that practitioners tabulate: from keras.applications to a verified plan.

python benchmarks/keras_models.py [NAME ...]

Weights are random, so the table speaks of speed, structure and exactness; noise is that of random weights.
Each network has a process of its own. Rows are kept in benchmarks/keras-models.jsonl as they come, so that
an interrupted table goes on where it stopped; delete the file to begin anew.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from planner.basis import measure_basis
from planner.data import Dataset
from planner.prepared import Prepared
from planner.run import plan_scenario
from planner.scenario import Scenario
from planner.scenario_file import load_scenario
from planner.side_by_side import TimedStage, time_side_by_side
from profiling.noise import noise_power
from profiling.progress import silent
from profiling.quantize import quantize
from profiling.session import Runtime, open_session, run_samples

ROOT = Path(__file__).resolve().parent.parent
ROWS = ROOT / "benchmarks" / "keras-models.jsonl"
# Network -> side of its pictures and how its family scales them.
NETWORKS = {
    **{name: (224, "caffe") for name in ("ResNet50", "ResNet101", "ResNet152")},
    **{name: (224, "tf") for name in ("ResNet50V2", "ResNet152V2", "MobileNet", "MobileNetV2")},
    **{name: (224, "torch") for name in ("DenseNet121", "DenseNet169", "DenseNet201")},
    **{
        f"EfficientNetB{i}": (side, "none") for i, side in enumerate((224, 240, 260, 300, 380, 456, 528, 600))
    },
    **{f"EfficientNetV2B{i}": (side, "none") for i, side in enumerate((224, 240, 260, 300))},
    "EfficientNetV2S": (384, "none"),
    "EfficientNetV2M": (480, "none"),
    "EfficientNetV2L": (480, "none"),
    "MobileNetV3Small": (224, "none"),
    "MobileNetV3Large": (224, "none"),
}
CALIBRATION, EVALUATION = 24, 16
MIB, GIB = 2**20, 2**30
_CONSOLE = Console(width=180)


@dataclass(frozen=True)
class Row:
    """What became of one network; `failed` says where it ended if it did."""

    name: str
    failed: str = ""
    convert_s: float = 0.0
    difference: float = 0.0
    units: int = 0
    quantizable: int = 0
    integer_kernels: int = 0
    bit_equal: bool = False
    fp32_ms: float = 0.0
    int8_ratio: float = 0.0
    plan_ratio: float = 0.0
    int8_noise: float = 0.0
    plan_noise: float = 0.0
    int8_units: int = 0
    solve_s: float = 0.0
    seconds: float = 0.0
    peak_gib: float = 0.0


def pictures(count: int, skip: int, side: int, family: str) -> np.ndarray:
    """Return pictures as a family of networks wants them: real ones where they are, else random patches."""
    shared = Path(os.environ.get("SPLITQUANT_DATA", "")) / "imagenet_sample" / "images"
    if shared.is_dir():
        files = sorted(shared.iterdir())[skip :: 750 // (CALIBRATION + EVALUATION)][:count]
        opened = [Image.open(file).convert("RGB") for file in files]
    else:
        rng = np.random.default_rng(skip)
        small = rng.integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
        opened = [Image.fromarray(each) for each in small]
    sized = [picture.resize((side, side), Image.Resampling.BICUBIC) for picture in opened]
    pixels = np.stack([np.asarray(each, np.float32) for each in sized])
    if family == "caffe":
        return pixels[..., ::-1] - np.array([103.939, 116.779, 123.68], np.float32)
    if family == "tf":
        return pixels / 127.5 - 1
    if family == "torch":
        mean, spread = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
        return ((pixels / 255 - mean) / spread).astype(np.float32)
    return pixels


def scenario(name: str, folder: Path, budget: dict[str, float]) -> Scenario:
    side, family = NETWORKS[name]
    for part, count, skip in (("calibration", CALIBRATION, 0), ("evaluation", EVALUATION, 7)):
        np.savez(folder / f"{part}.npz", input_layer=pictures(count, skip, side, family))
    content = {
        "model": f"keras:{name}",
        "data": {part: {"npz": f"{part}.npz"} for part in ("calibration", "evaluation")},
        "devices": [{"name": "here"}],
        "source": "here",
        "sink": "here",
        "budget": budget,
    }
    path = folder / "scenario.yaml"
    path.write_text(json.dumps(content))
    return load_scenario(path)


def noise_of_int8(prepared: Prepared, data: Dataset) -> float:
    """Return the noise of the network with every unit in int8."""
    graph = prepared.models.graph
    quantized = quantize(
        graph.model, prepared.calibration("here").of(graph.quantizable_nodes), prepared.ranges
    )
    samples = list(data.samples)
    runs = [run_samples(open_session(m, Runtime()), samples) for m in (quantized, prepared.models.source)]
    return float(np.sqrt(noise_power(*runs)))


def one(name: str) -> Row:
    """Return a network's row: converted, planned at the noise that all-int8 has, verified and timed."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        basis = measure_basis(scenario(name, folder, {}))
        prepared = basis.prepared
        made = prepared.converted_from
        int8_noise = noise_of_int8(prepared, prepared.evaluation)
        outcome = plan_scenario(scenario(name, folder, {"noise_relative_rms": int8_noise}), silent)
        plan, built = outcome.plan, outcome.built
        if built is None or plan.measured is None or made is None:
            return Row(name, failed="; ".join(outcome.failures) or outcome.conflict)
        graph = prepared.models.graph
        calibration = prepared.calibration("here")
        int8 = quantize(graph.model, calibration.of(graph.quantizable_nodes), calibration.ranges)
        feeds = prepared.evaluation.samples[0]
        chains = [[TimedStage(model, prepared.runtime)] for model in (int8, built.mixed)]
        (int8_ratio,), (plan_ratio,) = time_side_by_side(prepared.models.source, chains, feeds)
        return Row(
            name=name,
            failed="; ".join(outcome.failures),
            convert_s=0.0,
            difference=made.max_abs_difference,
            units=len(graph.units),
            quantizable=sum(unit.quantizable for unit in graph.units),
            integer_kernels=plan.measured.chain.integer_kernels,
            bit_equal=plan.measured.chain.basic_bit_equal,
            fp32_ms=basis.latency["here"].wall_s["fp32"] * 1e3,
            int8_ratio=int8_ratio,
            plan_ratio=plan_ratio,
            int8_noise=int8_noise,
            plan_noise=plan.measured.noise_relative_rms,
            int8_units=sum(p.value == "int8" for p in plan.precisions().values()),
            solve_s=plan.solver.runtime_s,
            seconds=time.perf_counter() - began,
            peak_gib=max(resource.getrusage(who).ru_maxrss for who in _ALL) * 1024 / GIB,
        )


_ALL = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
