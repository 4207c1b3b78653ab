"""The networks of the LiteRT benchmark, and scenarios of them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import trained_networks
from bars import ROOT
from keras_models import CALIBRATION, EVALUATION, NETWORKS, pictures

from planner.inputs.prepared_scenario import Prepared
from planner.scenario.loader import load_scenario
from planner.scenario.schema import Scenario
from profiling.precision import Precision
from profiling.runtime_names import LITERT

DIGITS, HERE = "digits", "here"
_OWN = {"ResNet20": ("resnet20", 32), "DS-CNN": ("ds_cnn", 48)}
_DATA = {name: {"npz": f"{name}.npz"} for name in ("calibration", "evaluation")}
MODES = (Precision.INT8, Precision.INT8_DYNAMIC, Precision.WEIGHTS_INT8)
"""What units of a plan may be besides fp32; a scenario has int16 or int8."""


@dataclass(frozen=True)
class Subject:
    """A network's model and data, as a scenario names them."""

    model: str
    data: Mapping[str, Any]
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def scenario(self, folder: Path, content: Mapping[str, Any]) -> Scenario:
        """Return a scenario of this network; `content` is the rest."""
        path = folder / "scenario.yaml"
        made_with = {"conversion": {"arguments": self.arguments}} if self.arguments else {}
        path.write_text(json.dumps({**content, **made_with, "model": self.model, "data": self.data}))
        return load_scenario(path)


def subject(name: str, folder: Path, *, as_keras: bool = False, side: int | None = None) -> Subject:
    """Return a network, trained where it is shared; its samples are written into a folder.

    Parameters
    ----------
    as_keras
        For scenarios with ONNX Runtime, which takes no `.tflite` file.
    side
        Of the pictures that a network of keras.applications is built for; None for its own.
    """
    if name == DIGITS:
        given = load_scenario(ROOT / "scenarios" / ("litert-onnx.yaml" if as_keras else "litert.yaml"))
        return Subject(given.model, given.data.model_dump(mode="json", exclude_unset=True))
    if side is None and name in trained_networks.NETWORKS and trained_networks.is_there():
        network, function = trained_networks.NETWORKS[name], name.lower().replace("-", "_")
        for number, (part, count) in enumerate((("calibration", 256), ("evaluation", 100))):
            np.savez(folder / f"{part}.npz", picture=network.samples(count, number))
        return Subject(f"{ROOT}/benchmarks/trained_keras:{function}", _DATA)
    arguments = {}
    if name in _OWN:
        function, shown = _OWN[name]
        model, end, family = f"{ROOT}/benchmarks/small_networks:{function}", "picture", "tf"
    else:
        made_for, family = NETWORKS[name]
        shown = side or made_for
        arguments = {"input_shape": [side, side, 3]} if side else {}
        model, end = f"keras:{name}", "input_layer"
    for part, count, skip in (("calibration", CALIBRATION, 0), ("evaluation", EVALUATION, 7)):
        np.savez(folder / f"{part}.npz", **{end: pictures(count, skip, shown, family)})
    return Subject(model, _DATA, arguments)


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
