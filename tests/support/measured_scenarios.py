"""A measured quickstart whose seconds are the same on every machine, to test what follows from them."""

from dataclasses import replace

from repository import ROOT

from planner.inputs.prepared_scenario import prepare
from planner.refinement.measured_scenario import MeasuredScenario, measure_scenario
from planner.scenario.loader import load_scenario
from profiling.precision import Precision
from profiling.records.profile import LatencyProfile


def quickstart_basis() -> MeasuredScenario:
    settings = ["profiling.rounds=3", "profiling.noise_samples=8"]
    basis = measure_scenario(prepare(load_scenario(ROOT / "scenarios" / "quickstart.yaml", settings)))
    return replace(basis, latency={name: known_seconds(one) for name, one in basis.latency.items()})


def known_seconds(profile: LatencyProfile) -> LatencyProfile:
    """Return a profile with seconds that depend on the place of a unit and its precision alone."""
    speed = {Precision.FP32: 1.0, Precision.INT8: 0.4}
    places = {name: n for n, name in enumerate(dict.fromkeys(row.unit for row in profile.units))}
    units = tuple(
        replace(row, seconds=1e-4 * (1 + places[row.unit] % 3) * speed[row.precision])
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
