"""Planning a model that a test makes up."""

import json
from pathlib import Path

import numpy as np
import onnx

from planner.refinement.outcome import Outcome
from planner.run import plan_scenario
from planner.scenario.schema import Scenario
from planner.scenario.validation import check_scenario


def plan_model(folder: Path, model: onnx.ModelProto, arrays: dict[str, np.ndarray], **changes) -> Outcome:
    """Plan a model on samples that both calibrate and evaluate; on one device, if nothing else is said."""
    return plan_scenario(scenario_around(folder, model, arrays, **changes))


def scenario_around(
    folder: Path, model: onnx.ModelProto, arrays: dict[str, np.ndarray], **changes
) -> Scenario:
    """Return the scenario that `plan_model` plans."""
    scenario, faults = check_scenario(json.dumps(scenario_content(folder, model, arrays, **changes)))
    assert not faults
    return scenario


def scenario_content(folder: Path, model: onnx.ModelProto, arrays: dict[str, np.ndarray], **changes) -> dict:
    """Return its keys and values; its model and samples are written."""
    onnx.save(model, folder / "m.onnx")
    np.savez(folder / "d.npz", **arrays)
    data = {"npz": str(folder / "d.npz")}
    content = {
        "model": str(folder / "m.onnx"),
        "data": {"calibration": data, "evaluation": data},
        "devices": [{"name": "a"}],
        "source": "a",
        "sink": "a",
        "profiling": {"rounds": 3, "noise_samples": 2},
        "precisions": ["fp32", "int8"],
    }
    return content | changes
