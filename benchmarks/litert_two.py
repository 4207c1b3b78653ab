"""One plan over a LiteRT camera and an ONNX server, beside the best plans in one runtime."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bars import ROOT, Bar
from litert_networks import DIGITS, subject
from rich.table import Table

from planner.inputs.prepared_scenario import prepare
from planner.plan.plan_record import Plan
from planner.run import plan_scenario
from planner.scenario.loader import load_scenario
from planner.scenario.schema import Scenario
from profiling.graph.any_model import Stage
from profiling.runtime_names import LITERT, ONNX_RUNTIME

NETWORKS = (DIGITS, "MobileNetV2")
BOTH = "both"
_SMALLER = 2  # a camera with room for half of the network in fp32
_WIDER = 10  # links for pictures of 224 x 224 x 3


@dataclass(frozen=True)
class Row:
    """A plan in some runtime, or in both; latencies in seconds."""

    network: str
    runtime: str
    objective: float | None
    devices: str = ""
    int8: int = 0
    units: int = 0
    noise: float = 0.0
    noise_budget: float = 0.0
    score_drop: float | None = None
    bit_equal: bool = False
    failed: str = ""


def run(network: str) -> list[Row]:
    """Plan a network over both runtimes, then with every device in one."""
    return [_row(network, runtime) for runtime in (BOTH, LITERT, ONNX_RUNTIME)]


def scenario(network: str, runtime: str, folder: Path) -> Scenario:
    """Return a network's scenario with its devices in one runtime, or in both as the file has them."""
    given = load_scenario(ROOT / "scenarios" / "litert-onnx.yaml")
    content = given.model_dump(mode="json", by_alias=True, exclude_unset=True)
    if runtime != BOTH:
        content["devices"] = [
            {**device, "runtime": runtime} if "runtime" in device else device for device in content["devices"]
        ]
    if network != DIGITS:
        _enlarge(content, network)
    return subject(network, folder, as_keras=True).scenario(folder, content)


def _enlarge(content: dict[str, Any], network: str) -> None:
    """Change budgets and links from those of the small network to those of one without labels."""
    content["budget"].pop("accuracy_drop")
    for link in content["links"]:
        link["bandwidth_mbit_per_s"] *= _WIDER
    with tempfile.TemporaryDirectory() as folder:
        alone = {"devices": [{"name": "camera", "runtime": LITERT}], "source": "camera", "sink": "camera"}
        model = prepare(subject(network, Path(folder)).scenario(Path(folder), alone)).models.source
    if not isinstance(model, Stage):
        raise TypeError(f"{network} is no .tflite model")
    content["budget"]["memory_mib"] = {"camera": len(model.content) / 2**20 / _SMALLER}


def _row(network: str, runtime: str) -> Row:
    with tempfile.TemporaryDirectory() as folder:
        asked = scenario(network, runtime, Path(folder))
        outcome = plan_scenario(asked)
    plan, measured = outcome.plan, outcome.plan.measured
    if measured is None:
        return Row(network, runtime, None, failed="; ".join(outcome.failures) or outcome.conflict)
    fp32, quantized = measured.accuracy_fp32, measured.accuracy
    return Row(
        network,
        runtime,
        plan.objective.value,
        _devices(plan),
        sum(precision == "int8" for precision in plan.precisions().values()),
        len(plan.assignments),
        measured.noise_relative_rms,
        asked.budget.noise_relative_rms or 0.0,
        None if fp32 is None or quantized is None else fp32 - quantized,
        measured.chain.basic_bit_equal,
        "; ".join(outcome.failures),
    )


def _devices(plan: Plan) -> str:
    """Return how many units each device has, in the order in which they come."""
    chosen = list(plan.devices().values())
    return ", ".join(f"{name} {chosen.count(name)}" for name in dict.fromkeys(chosen))


def table(rows: Sequence[Row]) -> Table:
    made = Table(title="two: one plan over LiteRT and ONNX Runtime", title_justify="left")
    heads = ("network", "runtime", "objective ms", "units of", "int8", "noise", "(may be)", "accuracy drop",
             "bit-equal", "budgets")  # fmt: skip
    for head in heads:
        made.add_column(head, justify="left" if head in heads[:2] else "right")
    for row in rows:
        if row.objective is None:
            made.add_row(row.network, row.runtime, "no plan", row.failed)
            continue
        made.add_row(
            row.network, row.runtime, f"{row.objective * 1e3:.2f}", row.devices, f"{row.int8} of {row.units}",
            f"{row.noise:.3f}", f"{row.noise_budget:.3f}",
            "" if row.score_drop is None else f"{row.score_drop:.3f}", "yes" if row.bit_equal else "NO",
            row.failed or "kept",
        )  # fmt: skip
    return made


def bars(rows: Sequence[Row]) -> list[Bar]:
    both = [row for row in rows if row.runtime == BOTH]
    kept = sum(row.objective is not None and not row.failed for row in both)
    found = [Bar("two: budgets kept on evaluation data", "all", f"{kept} of {len(both)}", kept == len(both))]
    for row in both:
        others = [o.objective for o in rows if o.network == row.network and o.runtime != BOTH and o.objective]
        if row.objective is None or not others:
            seen, better = row.failed or "no plan in one runtime", row.objective is not None
        else:
            ratio = row.objective / min(others)
            seen, better = f"{ratio:.3f}", ratio <= 1
        found.append(Bar(f"two: {row.network}, objective over the best in one runtime", "<= 1", seen, better))
    return found
