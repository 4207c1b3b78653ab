"""Prints the accuracy of a network trained on digits: float, quantization-aware and pruned, each planned.

python benchmarks/keras_digits.py

Needs the extras tensorflow, qat and test (scikit-learn's 8 x 8 digits).
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from planner.plan.plan_record import Plan
from planner.run import plan_scenario
from planner.scenario.loader import load_scenario

ROOT = Path(__file__).resolve().parent.parent
TRAINING = Path(__file__).with_name("digits_training.py")
KINDS = ("float", "quantization-aware", "pruned")
_CONSOLE = Console(width=160)


def plan(folder: Path, kind: str) -> Plan:
    """Return the plan of one of the networks between a camera and a server."""
    content = {
        "model": f"{kind}.h5",
        "weights": "compressed" if kind == "pruned" else "plain",
        "data": {part: {"npz": f"{part}.npz", "labels": "label"} for part in ("calibration", "evaluation")},
        "devices": [{"name": "camera", "scaled_from": "server", "speedup": 0.01}, {"name": "server"}],
        "precisions": ["fp32", "int8"],
        "links": [{"from": "camera", "to": "server", "bandwidth_mbit_per_s": 0.1, "latency_ms": 1}],
        "source": "camera",
        "sink": "server",
        "budget": {"accuracy_drop": 0.02},
    }
    path = folder / f"{kind}.yaml"
    path.write_text(json.dumps(content))
    return plan_scenario(load_scenario(path)).plan


def main() -> None:
    table = Table(title="digits, 8 x 8, 397 of them to judge on")
    for head in ("network", "units", "int8", "accuracy of the model", "of the plan", "noise added",
                 "integer kernels", "weights KiB", "compressed KiB", "difference to Keras"):  # fmt: skip
        table.add_column(head, justify="left" if head == "network" else "right")
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        done = subprocess.run([sys.executable, TRAINING, folder], capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"training failed: {done.stderr.strip().splitlines()[-1]}")
        for kind in KINDS:
            found = plan(folder, kind)
            seen, made = found.measured, found.converted_from
            if seen is None or made is None:
                table.add_row(kind, found.status)
                continue
            packed = [a.compressed_bytes for a in found.assignments if a.compressed_bytes is not None]
            table.add_row(
                kind,
                str(len(found.assignments)),
                str(sum(a.precision == "int8" for a in found.assignments)),
                f"{seen.accuracy_fp32:.2%}",
                f"{seen.accuracy:.2%}",
                f"{seen.noise_relative_rms:.4f}",
                str(seen.chain.integer_kernels),
                f"{sum(a.weight_bytes for a in found.assignments) / 1024:.1f}",
                f"{sum(packed) / 1024:.1f}" if packed else "-",
                f"{made.max_abs_difference:.1e}",
            )
    _CONSOLE.print(table)


if __name__ == "__main__":
    main()
