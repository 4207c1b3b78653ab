"""Profiles of a scenario's devices: measured here and cached, read from a file, or scaled."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import onnxruntime as ort

from planner.data import Dataset
from planner.formulate import DeviceCosts
from planner.scenario import DeviceSpec, Scenario
from profiling.cache import cache_key, cached, samples_hash
from profiling.errors import ProfileError
from profiling.folders import cache_folder
from profiling.graph import ModelGraph
from profiling.latency import measure_latency, processor
from profiling.model import model_hash
from profiling.noise import measure_noise
from profiling.profile import (
    FORMAT,
    LatencyProfile,
    NoiseProfile,
    Precision,
    Profile,
    load_json,
    writing_aside,
)
from profiling.progress import Progress, silent
from profiling.quantize import INT8, INT8_REDUCED, Calibration, Scheme, calibrate
from profiling.saturation import int8_saturates
from profiling.session import Runtime

MEASURE_HERE = "measure"


@dataclass(frozen=True, slots=True)
class Subject:
    """The model that is measured and the calibration samples that it is measured on."""

    graph: ModelGraph
    calibration: Dataset
    samples: str
    fingerprint: str

    @classmethod
    def of(cls, graph: ModelGraph, calibration: Dataset) -> "Subject":
        """Return the subject with a hash of its samples, and one of model and samples."""
        samples = samples_hash(calibration.samples)
        return cls(graph, calibration, samples, cache_key(model=model_hash(graph.model), data=samples))


def choose_scheme(scenario: Scenario) -> Scheme:
    """Return how int8 is quantized: 7-bit weights where 8-bit ones overflow on a device or here.

    All devices share one scheme, so one processor that overflows decides.

    Raises
    ------
    ProfileError
        If the scenario asks for 8-bit weights but a profile was made with 7-bit ones.
    """
    weights = scenario.profiling.weights
    files = [Path(str(d.profile)) for d in scenario.devices if d.profile not in (None, MEASURE_HERE)]
    reduced = [path for path in files if load_json(path, Profile).latency.scheme == INT8_REDUCED.label]
    if weights == "8bit" and reduced:
        raise ProfileError(f"{reduced[0]} was made with 7-bit weights, but profiling.weights is 8bit")
    if weights == "auto":
        return INT8_REDUCED if reduced or int8_saturates(local_runtime(scenario)) else INT8
    return INT8_REDUCED if weights == "7bit" else INT8


def scheme_of(label: str) -> Scheme:
    """Return the scheme that a plan names.

    Raises
    ------
    ProfileError
        If this version knows no such scheme.
    """
    for scheme in (INT8, INT8_REDUCED):
        if scheme.label == label:
            return scheme
    raise ProfileError(f"plan.json: unknown quantization scheme {label!r}")


def local_runtime(scenario: Scenario) -> Runtime:
    """Return how models are tried out here: as the first device that is measured on this machine."""
    measured = [d for d in measured_devices(scenario) if d.profile in (None, MEASURE_HERE)]
    return runtime_of(measured[0]) if measured else Runtime()


def calibrate_once(subject: Subject, scheme: Scheme, progress: Progress = silent) -> Calibration:
    """Return the ranges of the subject's tensors, from the cache where they are known."""
    key = cache_key(subject=subject.fingerprint, scheme=scheme.label, runtime=ort.__version__)
    calibration = Calibration(scheme, cache_folder() / f"ranges-{key}.json")
    if not _has_ranges(calibration.ranges, subject.graph):
        progress("calibrating", 0, 1)
        samples = list(subject.calibration.samples)
        with writing_aside(calibration.ranges) as aside:
            nodes = subject.graph.quantizable_nodes
            calibrate(subject.graph.model, nodes, samples, Calibration(scheme, aside))
        progress("calibrating", 1, 1)
    return calibration


def noise_profile(
    scenario: Scenario, subject: Subject, calibration: Calibration, progress: Progress = silent
) -> NoiseProfile:
    """Return the noise of every tensor and unit, from the cache where it is known."""
    count = scenario.profiling.noise_samples
    key = cache_key(
        subject=subject.fingerprint,
        scheme=calibration.scheme.label,
        runtime=ort.__version__,
        samples=count,
        processor=processor(),
    )

    def make() -> NoiseProfile:
        samples = list(subject.calibration.spread(count).samples)
        return measure_noise(subject.graph, calibration, samples, progress)

    return cached(cache_folder() / f"noise-{key}.json", NoiseProfile, make)


def latency_profile(
    scenario: Scenario,
    device: DeviceSpec,
    subject: Subject,
    calibration: Calibration,
    progress: Progress = silent,
) -> LatencyProfile:
    """Return a device's seconds, measured on this machine or read from its profile file.

    Raises
    ------
    ProfileError
        If the file is unreadable, of another format, or of another model.
    """
    if device.profile not in (None, MEASURE_HERE):
        return _read_profile(Path(str(device.profile)), device, subject)
    runtime = runtime_of(device)
    key = cache_key(
        subject=subject.fingerprint,
        scheme=calibration.scheme.label,
        runtime=ort.__version__,
        processor=processor(),
        threads=runtime.threads,
        provider=runtime.provider,
        rounds=scenario.profiling.rounds,
    )

    def make() -> LatencyProfile:
        feeds = subject.calibration.samples[0]
        rounds = scenario.profiling.rounds
        return measure_latency(subject.graph, calibration, feeds, runtime, rounds, progress)

    return cached(cache_folder() / f"latency-{key}.json", LatencyProfile, make)


def device_costs(scenario: Scenario, profiles: Mapping[str, LatencyProfile]) -> dict[str, DeviceCosts]:
    """Return every device's seconds; a scaled device takes another's, divided by its speedups."""
    costs = {}
    for device in scenario.devices:
        origin, speedup = device, 1.0
        while origin.scaled_from is not None:
            speedup *= origin.speedup or 1.0
            origin = scenario.device(origin.scaled_from)
        costs[device.name] = DeviceCosts.of(profiles[origin.name], speedup)
    return costs


def measured_devices(scenario: Scenario) -> Sequence[DeviceSpec]:
    """Return the devices that have a profile of their own."""
    return [device for device in scenario.devices if device.scaled_from is None]


def runtime_of(device: DeviceSpec) -> Runtime:
    """Return how a device runs models."""
    return Runtime(device.threads, device.provider)


def _read_profile(path: Path, device: DeviceSpec, subject: Subject) -> LatencyProfile:
    profile = load_json(path, Profile)
    if profile.format != FORMAT:
        raise ProfileError(
            f"{path}: format {profile.format}, this version reads {FORMAT}; "
            f"make it again: plan profile SCENARIO --device {device.name} --out {path.name}"
        )
    if profile.latency.model_sha256 != model_hash(subject.graph.model):
        raise ProfileError(
            f"{path} is the profile of another model; "
            f"make one of this model: plan profile SCENARIO --device {device.name} --out {path.name}"
        )
    _check_seconds(path, profile.latency, subject.graph)
    return profile.latency


def _check_seconds(path: Path, latency: LatencyProfile, graph: ModelGraph) -> None:
    """Refuse a profile that lacks a unit or a switch, or whose seconds are none."""
    units = {(row.unit, row.precision) for row in latency.units}
    switches = {(row.tensor, row.to) for row in latency.switches}
    floats = [name for name in graph.boundary() if graph.tensors[name].is_float]
    wanted = {(unit.name, Precision.FP32) for unit in graph.units}
    missing = sorted(wanted - units) + sorted({(t, p) for t in floats for p in Precision} - switches)
    if missing:
        raise ProfileError(
            f"{path}: lacks the seconds of {missing[0][0]!r} in {missing[0][1]}; measure again"
        )
    if len(units) != len(latency.units) or len(switches) != len(latency.switches):
        raise ProfileError(f"{path}: holds a unit or a tensor twice; measure again")
    rows = [*(row.seconds for row in latency.units), *(row.seconds for row in latency.switches)]
    for seconds in rows:
        if not (isfinite(seconds) and seconds >= 0):
            raise ProfileError(f"{path}: seconds must be finite and >= 0, got {seconds}")


def _has_ranges(path: Path, graph: ModelGraph) -> bool:
    """Return whether a calibration file is whole: it knows every tensor that a unit can quantize."""
    try:
        known = json.loads(path.read_text())["data"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return all(name in known for unit in graph.units for name in graph.quantized_by(unit.index))
