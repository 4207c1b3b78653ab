"""Fixtures: an own cache, small prepared graphs, the shared models where they are."""

import json
import os
from pathlib import Path

import models
import numpy as np
import onnx
import pytest

from planner.run import Outcome, plan_scenario
from planner.scenario.schema import Scenario
from planner.scenario.validation import check_scenario
from profiling.graph.unit_graph import ModelGraph, build_graph
from profiling.onnx_io.load import load_model
from profiling.preparation.prepare import prepare_model
from profiling.quantization.quantize import INT8_REDUCED, Calibration, calibrate

ROOT = Path(__file__).parent.parent
QUICKSTART = ROOT / "scenarios" / "quickstart.yaml"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--golden", action="store_true", help="write the golden files anew")


def plan_model(folder: Path, model: onnx.ModelProto, arrays: dict[str, np.ndarray], **changes) -> Outcome:
    """Plan a model on samples that both calibrate and evaluate; on one device, if nothing else is said."""
    return plan_scenario(scenario_around(folder, model, arrays, **changes))


def scenario_around(
    folder: Path, model: onnx.ModelProto, arrays: dict[str, np.ndarray], **changes
) -> Scenario:
    """Return the scenario that `plan_model` plans."""
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
    }
    scenario, faults = check_scenario(json.dumps(content | changes))
    assert not faults
    return scenario


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    folder = Path(os.environ.get("SPLITQUANT_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip("the shared models are not here: set SPLITQUANT_DATA to their folder")
    os.environ["SPLITQUANT_DATA"] = str(folder)
    return folder


class Prepared:
    """A graph, samples for it, and its calibration."""

    def __init__(self, model: onnx.ModelProto, folder: Path, name: str) -> None:
        path = folder / f"{name}.onnx"
        onnx.save(model, path)
        self.path = path
        self.source = load_model(path, {})
        self.graph: ModelGraph = build_graph(prepare_model(self.source))
        rng = np.random.default_rng(1)
        self.samples = [
            {i: rng.normal(size=self.graph.tensors[i].shape).astype(np.float32) for i in self.graph.inputs}
            for _ in range(8)
        ]
        self.calibration = Calibration(INT8_REDUCED, folder / f"{name}.ranges.json")
        calibrate(self.graph.model, self.graph.quantizable_nodes, self.samples, self.calibration.ranges)


@pytest.fixture(scope="session")
def residual(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return Prepared(models.residual(), tmp_path_factory.mktemp("residual"), "residual")


@pytest.fixture(scope="session")
def branches(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return Prepared(models.branches(), tmp_path_factory.mktemp("branches"), "branches")


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    model = onnx.load(ROOT / "scenarios" / "quickstart" / "digits.onnx")
    return Prepared(model, tmp_path_factory.mktemp("digits"), "digits")
