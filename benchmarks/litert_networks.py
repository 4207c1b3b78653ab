"""The networks of the LiteRT benchmark, and scenarios of them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import trained_networks
from bars import ROOT
from keras_models import NETWORKS, pictures

from planner.inputs.prepared_scenario import Prepared
from planner.scenario.loader import load_scenario
from planner.scenario.schema import Scenario
from profiling.precision import Precision
from profiling.runtime_names import LITERT

DIGITS, HERE = "digits", "here"
_OWN = {"ResNet20": ("resnet20", 32), "DS-CNN": ("ds_cnn", 48)}
_PARTS = (("calibration", 256), ("evaluation", 100))  # name, and samples
_DATA = {name: {"npz": f"{name}.npz"} for name, _ in _PARTS}
MODES = (Precision.INT8, Precision.INT8_DYNAMIC, Precision.WEIGHTS_INT8)
"""What units of a plan may be besides fp32; a scenario has int16 or int8."""


@dataclass(frozen=True)
class Subject:
    """A network's model and data, as a scenario names them."""

    model: str
    data: Mapping[str, Any]

    def scenario(self, folder: Path, content: Mapping[str, Any]) -> Scenario:
        """Return a scenario of this network; `content` is the rest."""
        path = folder / "scenario.yaml"
        path.write_text(json.dumps({**content, "model": self.model, "data": self.data}))
        return load_scenario(path)


def subject(name: str, folder: Path, *, as_keras: bool = False) -> Subject:
    """Return a network, trained where it is shared; its samples are written into a folder.

    Parameters
    ----------
    as_keras
        For scenarios with ONNX Runtime, which takes no `.tflite` file.
    """
    if name == DIGITS:
        given = load_scenario(ROOT / "scenarios" / ("litert-onnx.yaml" if as_keras else "litert.yaml"))
        return Subject(given.model, given.data.model_dump(mode="json", exclude_unset=True))
    if name in trained_networks.NETWORKS and trained_networks.is_there():
        network, function = trained_networks.NETWORKS[name], name.lower().replace("-", "_")
        for number, (part, count) in enumerate(_PARTS):
            np.savez(folder / f"{part}.npz", picture=network.samples(count, number))
        return Subject(f"{ROOT}/benchmarks/trained_keras:{function}", _DATA)
    if name in _OWN:
        function, side = _OWN[name]
        model, end, family = f"{ROOT}/benchmarks/small_networks:{function}", "picture", "tf"
    else:
        side, family = NETWORKS[name]
        model, end = f"keras:{name}", "input_layer"
    for number, (part, count) in enumerate(_PARTS):
        np.savez(folder / f"{part}.npz", **{end: pictures(count, 7 * number, side, family)})
    return Subject(model, _DATA)


def alone_here(name: str, folder: Path, precisions: Sequence[Precision], runtime: str = LITERT) -> Scenario:
    """Return the scenario of a network on this machine alone, on one thread."""
    content = {
        "devices": [{"name": HERE, "runtime": runtime, "threads": 1}],
        "source": HERE,
        "sink": HERE,
        "precisions": list(precisions),
    }
    return subject(name, folder, as_keras=runtime != LITERT).scenario(folder, content)


def all_in(prepared: Prepared, mode: Precision) -> dict[int, Precision]:
    """Return the mix in which every unit that can be is in a mode."""
    graph = prepared.models.graph
    if mode is Precision.FP32:
        return {}
    return graph.resolve_precisions({unit.index: mode for unit in graph.units if unit.can_be(mode)})
