"""Profiles of a scenario's devices: measured here and cached, or read from a file and checked."""

from collections.abc import Collection, Iterator
from itertools import product
from math import isfinite
from pathlib import Path

from planner.costs.own_cost_table import profile_of_table
from planner.devices.profile_files import is_cost_table, naming_profile
from planner.devices.runtime import measured_devices, setup_of
from planner.inputs.calibrated_model import CalibratedModel
from planner.inputs.prepared_scenario import Prepared
from planner.scenario.device_schema import DeviceSpec
from planner.scenario.schema import Scenario
from profiling.errors import ProfileError
from profiling.graph.operator_graph import OperatorGraph
from profiling.latency.measure_latency import Setup
from profiling.on_device.measurement_order import DECODE, ENCODE
from profiling.on_device.processor import cpu_description
from profiling.precision import Precision, Wire
from profiling.progress import Progress, silent
from profiling.quantization.calibration import Calibration
from profiling.records.cache import EntryKind, cached, entry_path
from profiling.records.cost_table import read_cost_table
from profiling.records.profile import LatencyProfile, load_profile
from profiling.several_runtimes.block_graph import BlockGraph


def latency_profile(
    scenario: Scenario,
    device: DeviceSpec,
    subject: CalibratedModel,
    calibration: Calibration,
    progress: Progress = silent,
    setup: Setup | None = None,
) -> LatencyProfile:
    """Return a device's seconds, measured on this machine or read from its profile file.

    A measurement is kept in the cache under everything that it depends on.

    Parameters
    ----------
    setup
        How it is measured; as the scenario's plans ask for if not given.

    Raises
    ------
    ProfileError
        If the file is unreadable, of another format or model, or lacks a precision that the device may use.
    """
    if not device.is_measured_here:
        return read_profile_file(scenario, device, subject)
    setup, calibration = setup or setup_of(scenario, device), calibration.as_timed
    path = entry_path(
        EntryKind.LATENCY,
        subject.model.made_by(EntryKind.LATENCY),
        subject=subject.fingerprint,
        scheme=calibration.scheme.label,
        runtime=subject.model.runtime_version,
        processor=cpu_description(),
        threads=setup.runtime.threads,
        provider=setup.runtime.provider,
        rounds=setup.rounds,
        precisions=setup.precisions,
        is_cut=setup.is_cut,
        units=subject.able_units(setup.precisions),
    )

    def make() -> LatencyProfile:
        feeds = subject.calibration.samples[0]
        return subject.model.measure_latency(calibration, feeds, setup, progress)

    return cached(path, LatencyProfile, make)


def profile_devices(prepared: Prepared, progress: Progress = silent) -> dict[str, LatencyProfile]:
    """Return the seconds of every device that is not scaled from another."""
    return {
        device.name: latency_profile(
            prepared.scenario, device, prepared.subject, prepared.calibration(device.name), progress
        )
        for device in measured_devices(prepared.scenario)
    }


def read_profile_file(scenario: Scenario, device: DeviceSpec, subject: CalibratedModel) -> LatencyProfile:
    """Return the seconds in the profile file of a device, checked against the model that it is to be of.

    Raises
    ------
    ProfileError
        If the file is unreadable, of another format or model, or lacks what the scenario needs; with the
        scenario's key.
    """
    path = Path(str(device.profile))
    with naming_profile(scenario, device):
        if is_cost_table(path):
            precisions = scenario.precisions_of(device)
            graph = _own_graph(scenario, device, subject)
            latency = profile_of_table(str(path), read_cost_table(path), graph, precisions)
        else:
            latency = load_profile(path).latency
        check_profile(str(path), latency, scenario, device, subject)
    return latency


def check_profile(
    name: str, latency: LatencyProfile, scenario: Scenario, device: DeviceSpec, subject: CalibratedModel
) -> None:
    """Refuse a device's profile that is of another model, or lacks what the scenario needs.

    Parameters
    ----------
    name
        What messages call it: its file.

    Raises
    ------
    ProfileError
        Saying what is wrong.
    """
    graph, runtime = _own_graph(scenario, device, subject), scenario.runtime_of(device)
    if latency.runtime not in (None, runtime):
        raise ProfileError(
            f"{name} was measured with runtime {latency.runtime}, but {device.name} runs {runtime}; "
            f"make one with it: plan profile SCENARIO --device {device.name} --out {Path(name).name}"
        )
    if latency.model_sha256 != graph.model_sha256:
        raise ProfileError(
            f"{name} is the profile of another model; "
            f"make one of this model: plan profile SCENARIO --device {device.name} --out {Path(name).name}"
        )
    _check_seconds(name, latency, graph)
    _check_wires(name, latency, scenario.wires)
    for precision in scenario.precisions_of(device):
        _check_precision(name, latency, graph, precision)


def _own_graph(scenario: Scenario, device: DeviceSpec, subject: CalibratedModel) -> OperatorGraph:
    """Return the graph by whose names a device is profiled."""
    graph = subject.graph
    return graph.parts[scenario.runtime_of(device)].graph if isinstance(graph, BlockGraph) else graph


def _check_seconds(name: str, latency: LatencyProfile, graph: OperatorGraph) -> None:
    """Refuse a profile of other units, one that lacks a unit or a switch, or whose seconds are none.

    Another version may have taken for several units what is one now, and have called one of them the same.
    """
    units = {(row.unit, row.precision) for row in latency.units}
    switches = {(row.tensor, row.source, row.to) for row in latency.switches}
    floats = [tensor for tensor in graph.boundary_tensors() if graph.tensors[tensor].is_float]
    required = {(unit.name, Precision.FP32) for unit in graph.units}
    ends = (Precision.FP32, Precision.INT8)
    pairs = {(t, a, b) for t in floats for a, b in (ends, ends[::-1])}
    missing: list[tuple[str, ...]] = [*sorted(required - units), *sorted(pairs - switches)]
    if missing:
        raise ProfileError(
            f"{name}: lacks the seconds of {missing[0][0]!r} in {missing[0][-1]}; measure again"
        )
    others = sorted({unit for unit, _ in units} - {unit.name for unit in graph.units})
    if others:
        raise ProfileError(f"{name}: the model has no unit {others[0]!r} in this version; measure again")
    if len(units) != len(latency.units) or len(switches) != len(latency.switches):
        raise ProfileError(f"{name}: holds a unit or a tensor twice; measure again")
    for seconds in _all_seconds(latency):
        if not (isfinite(seconds) and seconds >= 0):
            raise ProfileError(f"{name}: seconds must be finite and >= 0, got {seconds}")


def _all_seconds(latency: LatencyProfile) -> Iterator[float]:
    """Yield every number of a profile that becomes a cost."""
    yield latency.start_s
    yield from (row.seconds for row in latency.units)
    yield from (row.seconds for row in latency.switches)
    for seam in latency.seams:
        yield from (seam.leave_s, seam.enter_s)
    for wire in latency.wires:
        yield from (wire.start_s, wire.element_s)


def _check_wires(name: str, latency: LatencyProfile, wires: Collection[Wire]) -> None:
    """Refuse a profile that does not know what the scenario's wires cost."""
    known = {(row.wire, row.side) for row in latency.wires}
    for wire, side in product(wires, (ENCODE, DECODE)):
        if (wire, side) not in known:
            raise ProfileError(f"{name}: lacks the seconds to {side} {wire} tensors; measure again")


def _check_precision(name: str, latency: LatencyProfile, graph: OperatorGraph, precision: Precision) -> None:
    """Refuse a profile that knows other precisions than the scenario allows."""
    units_in_precision = {row.unit for row in latency.units if row.precision is precision}
    able = (unit.name for unit in graph.units if unit.can_be(precision))
    missing = [name for name in able if name not in units_in_precision]
    if missing:
        raise ProfileError(
            f"{name}: was made for other precisions: it lacks the {precision} seconds of {missing[0]!r}; "
            f"measure again, or leave {precision} out of the device's precisions"
        )
