"""Measured scenarios whose seconds are the same on every machine, to test what follows from them."""

import json
from dataclasses import replace
from pathlib import Path

import models
import numpy as np
from planned_models import scenario_around
from repository import ROOT

from planner.inputs.prepared_scenario import prepare
from planner.refinement.measured_scenario import MeasuredScenario, measure_scenario
from planner.scenario.loader import dump_scenario, load_scenario
from profiling.precision import Precision
from profiling.records.profile import LatencyProfile


def quickstart_basis() -> MeasuredScenario:
    settings = ["profiling.rounds=3", "profiling.noise_samples=8"]
    basis = measure_scenario(prepare(load_scenario(ROOT / "scenarios" / "quickstart.yaml", settings)))
    return replace(basis, latency={name: known_seconds(one) for name, one in basis.latency.items()})


def known_seconds(profile: LatencyProfile, unit_s: float = 1e-4) -> LatencyProfile:
    """Return a profile with seconds that depend on the place of a unit and its precision alone.

    Parameters
    ----------
    unit_s
        Of the quickest unit in fp32.
    """
    speed = {Precision.FP32: 1.0, Precision.INT8: 0.4}
    places = {name: n for n, name in enumerate(dict.fromkeys(row.unit for row in profile.units))}
    units = tuple(
        replace(row, seconds=unit_s * (1 + places[row.unit] % 3) * speed[row.precision])
        for row in profile.units
    )
    wall = {p: sum(row.seconds for row in units if row.precision is p) + 1e-5 for p in profile.wall_s}
    return replace(
        profile,
        units=units,
        switches=tuple(replace(row, seconds=5e-6) for row in profile.switches),
        seams=tuple(replace(row, leave_s=1e-5, enter_s=1e-5) for row in profile.seams),
        start_s=1e-5,
        wall_s=wall,
        unattributed_s=dict.fromkeys(wall, 1e-5),
    )


def small_basis(folder: Path, **changes: object) -> MeasuredScenario:
    """Return the quickstart's devices with a network of five units: solved in a small part of the time.

    There are at least as many best plans over the bandwidths as in the quickstart, of one stage to three.

    Parameters
    ----------
    changes
        Other keys of the scenario.
    """
    quickstart = load_scenario(ROOT / "scenarios" / "quickstart.yaml")
    kept = {key: json.loads(dump_scenario(quickstart))[key] for key in ("devices", "source", "sink")}
    links = [
        {"from": a, "to": b, "bandwidth_mbit_per_s": bandwidth, "latency_ms": latency}
        for one, other, bandwidth, latency in (
            ("camera", "gateway", 0.3, 0.2),
            ("gateway", "server", 100, 0.02),
        )
        for a, b in ((one, other), (other, one))
    ]
    samples = np.random.default_rng(0).standard_normal((8, 1, 2, 8, 8)).astype(np.float32)
    budget = {"noise_relative_rms": 0.1}
    keys = {"budget": budget, "links": links, **kept, **changes}
    scenario = scenario_around(folder, models.residual(), {"x": samples}, **keys)
    basis = measure_scenario(prepare(scenario))
    return replace(basis, latency={name: known_seconds(one, 3e-5) for name, one in basis.latency.items()})
