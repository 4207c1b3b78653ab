"""The scenarios that hosts are measured with, changed as links of namespaces and small cameras ask for."""

import copy
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from planner.scenario.yaml_text import load_yaml

_ROOT = Path(__file__).resolve().parent.parent
HOSTS = ("camera", "gateway", "server")
CABLE_MBIT_PER_S = 1000.0  # between the second and the third


class HostScenario:
    """One of the scenarios, over `HOSTS`.

    Without the camera's memory budget, as all on the camera would be no plan; without latencies, as the
    namespaces have none; without `wire_bytes`, as pictures cross as tensors here.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self._folder = name, folder
        path = _ROOT / "scenarios" / f"{name}.yaml"
        self._content = _with_paths(load_yaml(os.path.expandvars(path.read_text())), path.parent)
        self._content["budget"].pop("memory_mib", None)
        self._content.pop("inputs", None)
        for link in self._content["links"]:
            link["latency_ms"] = 0

    def write(self, *changes: Mapping[str, Any]) -> Path:
        """Write a variant, and return its file."""
        content = copy.deepcopy(self._content)
        for change in changes:
            content |= change
        path = self._folder / f"{self.name}.yaml"
        path.write_text(json.dumps(content))  # which is YAML, too
        return path

    def samples(self, count: int) -> Path:
        """Write inputs of the model: noise, as its time does not depend on them."""
        rng = np.random.default_rng(1)
        graph = onnx.load(self._content["model"], load_external_data=False).graph
        weights = {one.name for one in graph.initializer}
        arrays = {}
        for value in graph.input:
            if value.name not in weights:
                shape = [dim.dim_value or 1 for dim in value.type.tensor_type.shape.dim]
                arrays[value.name] = rng.normal(size=(count, *shape[1:])).astype(np.float32)
        path = self._folder / f"{self.name}-{count}.npz"
        np.savez(path, **arrays)
        return path


def _with_paths(value: Any, base: Path) -> Any:
    """Return a scenario whose relative paths are absolute: whatever names a file that is there."""
    if isinstance(value, dict):
        return {key: _with_paths(part, base) for key, part in value.items()}
    if isinstance(value, list):
        return [_with_paths(part, base) for part in value]
    return str(base / value) if isinstance(value, str) and (base / value).exists() else value
