"""A model above 2 GB, planned, exported and run: peak memory over the model's size.

    python benchmarks/large_model.py [GIGABYTES]

The model is made on the spot (eight square layers with random weights, ONNX external data) and planned
in a process of its own with an empty cache. Disk: about four times its size, in the temporary folder.
"""

import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper
from rich.console import Console
from rich.table import Table

_LAYERS = 8
_BAR = 2.5
_SCENARIO = """
model: large.onnx
data:
  calibration: {npz: samples.npz, samples: 8}
  evaluation: {npz: samples.npz}
devices:
  - {name: camera, profile: measure}
  - {name: server, scaled_from: camera, speedup: 4}
links:
  - {from: camera, to: server, bandwidth_mbit_per_s: 20, latency_ms: 1}
source: camera
sink: server
precisions: [fp32, int8]
budget: {noise_relative_rms: 0.05}
profiling: {rounds: 5, noise_samples: 2}
"""


def make_model(folder: Path, size: int) -> int:
    """Write a model of at least `size` bytes with its data and scenario; return its size in bytes."""
    side = int(np.ceil(np.sqrt(size / 4 / _LAYERS)))
    rng = np.random.default_rng(0)
    weights, nodes = [], []
    with (folder / "large.data").open("wb") as file:
        for layer in range(_LAYERS):
            place = {"location": "large.data", "offset": file.tell(), "length": 4 * side * side}
            for _ in range(side):
                (rng.standard_normal(side, np.float32) / np.float32(np.sqrt(side))).tofile(file)
            weight = TensorProto(
                name=f"w{layer}", data_type=TensorProto.FLOAT, dims=[side, side], data_location="EXTERNAL"
            )
            for key, value in place.items():
                weight.external_data.add(key=key, value=str(value))
            weights.append(weight)
            nodes.append(helper.make_node("MatMul", [f"x{layer}", f"w{layer}"], [f"m{layer}"]))
            nodes.append(helper.make_node("Relu", [f"m{layer}"], [f"x{layer + 1}"]))
    ends = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, side])] for name in ("x0", f"x{_LAYERS}")
    ]
    graph = helper.make_graph(nodes, "large", *ends, weights)
    onnx.save(
        helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)]),
        folder / "large.onnx",
    )
    np.savez(folder / "samples.npz", x0=rng.standard_normal((12, 1, side), np.float32))
    (folder / "scenario.yaml").write_text(_SCENARIO)
    return sum(path.stat().st_size for path in folder.glob("large.*"))


def run(folder: Path, *arguments: str) -> tuple[float, float]:
    """Run the command line; return seconds and peak resident bytes."""
    env = os.environ | {"XDG_CACHE_HOME": str(folder / "cache")}
    command = [sys.executable, "-c", "from planner.__main__ import main; main()", *arguments]
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.DEVNULL)
    peak = 0
    watch = threading.Event()
    while process.poll() is None:
        peak = max(peak, _peak_bytes(process.pid))
        watch.wait(0.05)
    if process.returncode:
        raise SystemExit(f"plan {' '.join(arguments)} failed with exit code {process.returncode}")
    return time.perf_counter() - start, peak


def _peak_bytes(process: int) -> int:
    """Return the most memory that a process ever held, page cache of mapped files included."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0
    line = next((line for line in status.splitlines() if line.startswith("VmHWM:")), "VmHWM: 0")
    return int(line.split()[1]) * 1024


def main() -> None:
    size = float(sys.argv[1]) * 1e9 if len(sys.argv) > 1 else 2.3e9
    table = Table("command", "s", "peak MiB", "over the model's size", f"bar {_BAR}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model_bytes = make_model(folder, int(size))
        for arguments in (
            ("inspect", "large.onnx"),
            ("scenario.yaml", "--out", "plan"),
            ("export", "plan/plan.json", "--out", "again"),
            ("verify", "again"),
            ("run", "again", "--input", "samples.npz", "--output", "answers.npz"),
        ):
            seconds, peak = run(folder, *arguments)
            ratio = peak / model_bytes
            verdict = "kept" if ratio <= _BAR else "BROKEN"
            table.add_row(
                "plan " + arguments[0], f"{seconds:.0f}", f"{peak / 2**20:.0f}", f"{ratio:.2f}", verdict
            )
    table.title = f"a model of {model_bytes / 1e9:.2f} GB"
    Console().print(table)


if __name__ == "__main__":
    main()
