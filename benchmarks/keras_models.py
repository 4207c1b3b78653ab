"""Prints how the networks that practitioners tabulate come from keras.applications to a verified plan.

python benchmarks/keras_models.py [NAME ...]

Weights are random, so the table speaks of speed, structure and exactness; noise is that of random weights.
Plans may have as much of it as everything in int8 can be trusted not to exceed.
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
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import onnx
from PIL import Image
from rich.console import Console
from rich.table import Table

from planner.deployment.built_models import VerificationTarget
from planner.inputs.dataset import Dataset
from planner.inputs.prepared_scenario import Prepared, prepare
from planner.plan.plan_record import Metrics
from planner.run import plan_scenario
from planner.scenario.loader import load_scenario
from planner.scenario.schema import Scenario
from planner.verification.error_budgets import cautious_noise
from planner.verification.measure_errors import measure_errors
from planner.verification.time_side_by_side import TimedStage, time_side_by_side
from profiling.on_device.create_session import Optimization
from profiling.quantization.qdq_model import quantize
from profiling.runtime.open_session import open_session, run_session

ROOT = Path(__file__).resolve().parent.parent
ROWS = ROOT / "benchmarks" / "keras-models.jsonl"
# Network -> side of its pictures and how its family scales them.
NETWORKS = {
    **dict.fromkeys(("ResNet50", "ResNet101", "ResNet152"), (224, "caffe")),
    **dict.fromkeys(("ResNet50V2", "ResNet152V2", "MobileNet", "MobileNetV2"), (224, "tf")),
    **dict.fromkeys(("DenseNet121", "DenseNet169", "DenseNet201"), (224, "torch")),
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
CALIBRATION, EVALUATION = 32, 16
LARGE_SIDE = 300
SLACK = 1.01  # so that rounding breaks no budget
GIB = 2**30
ALONE = "--alone"
WHO = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
_CONSOLE = Console(width=180)


@dataclass(frozen=True)
class Row:
    """What became of one network; `failed` says where it ended if it did."""

    name: str
    failed: str = ""
    difference: float = 0.0
    units: int = 0
    quantizable: int = 0
    integer_kernels: int = 0
    bit_equal: bool = False
    fp32_ms: float = 0.0
    int8_ratio: float = 0.0
    plan_ratio: float = 0.0
    int8_noise: float = 0.0
    noise_budget: float = 0.0
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
        "precisions": ["fp32", "int8"],
        "source": "here",
        "sink": "here",
        "budget": budget,
        "profiling": {"noise_samples": 1, "rounds": 5} if side > LARGE_SIDE else {"noise_samples": 2},
    }
    path = folder / "scenario.yaml"
    path.write_text(json.dumps(content))
    return load_scenario(path)


def in_int8(prepared: Prepared) -> onnx.ModelProto:
    """Return the network with every unit in int8 that can be."""
    graph, calibration = prepared.models.graph, prepared.calibration("here")
    return quantize(graph.model, calibration.of(graph.quantizable_nodes), calibration.ranges)


def errors_of(model: onnx.ModelProto, prepared: Prepared, data: Dataset) -> Metrics:
    """Return how far a form of the network is from the network on some pictures."""
    whole = VerificationTarget(prepared.models.source, model, [model], [Optimization.DEFAULT])
    return measure_errors(whole, data, prepared.runtime)


def one(name: str) -> Row:
    """Return a network's row: converted, planned at the noise that all-int8 has, verified and timed."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        prepared = prepare(scenario(name, folder, {}))
        int8, graph, made = in_int8(prepared), prepared.models.graph, prepared.converted_from
        # A plan keeps its budget with a margin on pictures held back for that, and on those it is judged on.
        int8_noise = errors_of(int8, prepared, prepared.evaluation).noise_relative_rms
        budget = max(int8_noise, cautious_noise(errors_of(int8, prepared, prepared.held_back))) * SLACK
        outcome = plan_scenario(scenario(name, folder, {"noise_relative_rms": budget}))
        plan, built = outcome.plan, outcome.built
        row = Row(
            name,
            difference=made.max_abs_difference if made else 0.0,
            units=len(graph.units),
            quantizable=sum(unit.takes_integers for unit in graph.units),
            int8_noise=int8_noise,
            noise_budget=budget,
        )
        if built is None or plan.measured is None:
            return replace(row, failed="; ".join(outcome.failures) or outcome.conflict)
        feeds = prepared.evaluation.samples[0]
        chains = [[TimedStage(model, prepared.runtime)] for model in (int8, built.mixed)]
        (int8_ratio,), (plan_ratio,) = time_side_by_side(prepared.models.source, chains, feeds)
        return replace(
            row,
            integer_kernels=plan.measured.chain.integer_kernels,
            bit_equal=plan.measured.chain.basic_bit_equal,
            fp32_ms=fp32_ms(prepared),
            int8_ratio=int8_ratio,
            plan_ratio=plan_ratio,
            plan_noise=plan.measured.noise_relative_rms,
            int8_units=sum(p.value == "int8" for p in plan.precisions().values()),
            solve_s=plan.solver.runtime_s,
            seconds=time.perf_counter() - began,
            peak_gib=max(resource.getrusage(who).ru_maxrss for who in WHO) * 1024 / GIB,
        )


def fp32_ms(prepared: Prepared) -> float:
    """Return the milliseconds of a run in fp32, the middle one of some."""
    session, feeds = open_session(prepared.models.source, prepared.runtime), prepared.evaluation.samples[0]
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        run_session(session, feeds)
        seconds.append(time.perf_counter() - began)
    return float(np.median(seconds)) * 1e3


def table(rows: list[Row]) -> Table:
    found = Table(title="from keras.applications to a verified plan, one thread; times as fp32 over each")
    heads = ("network", "units", "int8 can", "int8 kernels", "verified", "fp32 ms", "all int8", "plan",
             "noise int8", "may be", "plan ", "int8 units", "solve s", "difference", "s", "GiB")  # fmt: skip
    for head in heads:
        found.add_column(head, justify="left" if head == "network" else "right")
    for row in rows:
        if row.failed:
            found.add_row(row.name, row.failed)
            continue
        found.add_row(
            row.name, str(row.units), str(row.quantizable), str(row.integer_kernels),
            "bit-equal" if row.bit_equal else "NO", f"{row.fp32_ms:.1f}", f"{1 / row.int8_ratio:.2f}",
            f"{1 / row.plan_ratio:.2f}", f"{row.int8_noise:.3f}", f"{row.noise_budget:.3f}",
            f"{row.plan_noise:.3f}", str(row.int8_units), f"{row.solve_s:.2f}", f"{row.difference:.1e}",
            f"{row.seconds:.0f}", f"{row.peak_gib:.1f}",
        )  # fmt: skip
    return found


def bars(rows: list[Row]) -> Table:
    found = Table("bar", "wanted", "seen", title="bars")
    done = [row for row in rows if not row.failed and row.bit_equal]
    found.add_row("rows complete", str(len(NETWORKS)), str(len(done)))
    deep = [row for row in done if row.name == "ResNet152V2"]
    for row in deep:
        found.add_row("ResNet152V2, all int8 over fp32", ">= 1.8", f"{1 / row.int8_ratio:.2f}")
    if done:
        worst = max(done, key=lambda row: row.plan_ratio / min(row.int8_ratio, 1.0))
        ratio = worst.plan_ratio / min(worst.int8_ratio, 1.0)
        found.add_row(
            "plan's time / better of fp32 and all int8, worst", "<= 1 + noise", f"{ratio:.3f} ({worst.name})"
        )
        louder = max(done, key=lambda row: row.plan_noise / row.noise_budget)
        found.add_row(
            "plan's noise / its budget, worst",
            "<= 1",
            f"{louder.plan_noise / louder.noise_budget:.3f} ({louder.name})",
        )
        found.add_row(
            "conversion difference, max abs", "<= 1e-4", f"{max(row.difference for row in done):.1e}"
        )
        found.add_row("memory of a process", "<= 16 GiB", f"{max(row.peak_gib for row in done):.1f} GiB")
    return found


def known_rows() -> dict[str, Row]:
    lines = ROWS.read_text().splitlines() if ROWS.is_file() else []
    return {row.name: row for row in (Row(**json.loads(line)) for line in lines)}


def finished(name: str) -> bool:
    row = known_rows().get(name)
    return row is not None and not row.failed


def main() -> None:
    if sys.argv[1:2] == [ALONE]:
        print(json.dumps(asdict(one(sys.argv[2]))))
        return
    unknown = [name for name in sys.argv[1:] if name not in NETWORKS]
    if unknown:
        sys.exit(f"no such network: {unknown[0]}; there are {', '.join(NETWORKS)}")
    wanted = sys.argv[1:] or list(NETWORKS)
    for place, name in enumerate(wanted):
        if finished(name):
            continue
        _CONSOLE.print(f"{place + 1}/{len(wanted)} {name}", style="dim")
        call = [sys.executable, __file__, ALONE, name]
        done = subprocess.run(call, capture_output=True, text=True, check=False)
        last = (done.stdout if not done.returncode else done.stderr).strip().splitlines()[-1:]
        told = "".join(last) or f"ended with {done.returncode}"
        row = Row(name, failed=told) if done.returncode else Row(**json.loads(last[0]))
        with ROWS.open("a") as file:
            file.write(json.dumps(asdict(row)) + "\n")
    rows = [row for name, row in known_rows().items() if name in wanted]
    _CONSOLE.print(table(rows))
    _CONSOLE.print(bars(rows))


if __name__ == "__main__":
    main()
