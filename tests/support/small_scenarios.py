"""A folder with a small scenario that is right: its model and its samples."""

from pathlib import Path

import models
import numpy as np
import onnx
from scenario_texts import QUICK


def write_small_scenario(folder: Path) -> None:
    """Write `s.yaml`, the model `m.onnx`, and 12 labelled samples to calibrate with and to evaluate on."""
    (folder / "s.yaml").write_text(QUICK)
    onnx.save(models.residual(), folder / "m.onnx")
    rng = np.random.default_rng(0)
    for name in ("c", "e"):
        np.savez(
            folder / f"{name}.npz",
            x=rng.normal(size=(12, 2, 8, 8)).astype(np.float32),
            y=rng.integers(0, 4, size=12),
        )
