"""A folder with a small scenario of two models: two networks, their samples, two devices."""

from pathlib import Path

import models
import numpy as np
import onnx

TWO_MODELS = """\
devices:
  - {name: camera}
  - {name: server, scaled_from: camera, speedup: 4}
links:
  - {from: camera, to: server, bandwidth_mbit_per_s: 80, latency_ms: 0.05}
  - {from: server, to: camera, bandwidth_mbit_per_s: 80}
budget: {memory_mib: {camera: 1}}
profiling: {rounds: 3, noise_samples: 2}
precisions: [fp32, int8]
models:
  - name: shapes
    model: m.onnx
    data:
      calibration: {npz: c.npz, labels: y}
      evaluation: {npz: e.npz, labels: y}
    source: camera
    sink: camera
    budget: {noise_relative_rms: 0.5}
    requests_per_s: 3
  - name: joins
    model: j.onnx
    data:
      calibration: {npz: j.npz}
      evaluation: {npz: j.npz}
    source: server
    sink: camera
    budget: {latency_ms: 1000}
    requests_per_s: 1
"""


def write_two_models(folder: Path) -> None:
    """Write `s.yaml`, the models `m.onnx` and `j.onnx`, and their samples."""
    (folder / "s.yaml").write_text(TWO_MODELS)
    onnx.save(models.residual(), folder / "m.onnx")
    onnx.save(models.join(), folder / "j.onnx")
    rng = np.random.default_rng(0)
    for name in ("c", "e"):
        np.savez(
            folder / f"{name}.npz",
            x=rng.normal(size=(12, 2, 8, 8)).astype(np.float32),
            y=rng.integers(0, 4, size=12),
        )
    np.savez(folder / "j.npz", x=rng.normal(size=(12, 1, 4, 6, 6)).astype(np.float32))
