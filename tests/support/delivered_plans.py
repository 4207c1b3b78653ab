"""A plan folder of the residual model without planning it: made-up costs, real models."""

from pathlib import Path

import numpy as np
from made_records import SCENARIO, made_plan
from prepared_models import Prepared

from planner.deployment.built_models import BuiltModels
from planner.deployment.rebuild import rebuild
from planner.deployment.split import split
from planner.deployment.stage_tasks import Placement
from planner.plan.plan_record import Plan
from profiling.precision import Precision


def delivered(prepared: Prepared, scenario: dict | None = None) -> tuple[Plan, BuiltModels]:
    """Return the made-up plan over a model's units, and the models that it describes."""
    graph = prepared.graph
    known = made_plan(tuple(unit.name for unit in graph.units), scenario)
    mix = {n: a.precision for n, a in enumerate(known.assignments) if a.precision is not Precision.FP32}
    mixed = rebuild(graph, prepared.calibration.at(mix), prepared.calibration.ranges)
    devices = tuple(a.device for a in known.assignments)
    stages = split(mixed, graph, Placement(devices, SCENARIO["source"], SCENARIO["sink"]))
    return known, BuiltModels(graph, mixed, stages)


def answers_of(folder: Path, name: str = "y") -> np.ndarray:
    """Return an output from a file of answers."""
    with np.load(folder) as found:
        return found[name]
