"""Profiles of a scenario's devices: measured here and cached, read from a file, or scaled."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import onnxruntime as ort

from planner.costs.formulation import DeviceCosts
from planner.costs.noise_model import NoiseLaw, Points, Trial, fit_law, measure_points
from planner.costs.whole_model import alone_on
from planner.inputs.dataset import Dataset
from planner.scenario.schema import DeviceSpec, Scenario
from profiling.directories import cache_folder
from profiling.errors import ProfileError
from profiling.graph.multiply_adds import multiplications
from profiling.graph.unit_graph import ModelGraph
from profiling.latency.measure_latency import Setup, measure_latency
from profiling.noise.measure_noise import finer, measure_noise
from profiling.on_device.measure import processor
from profiling.onnx_io.load import model_hash
from profiling.precision import Precision
from profiling.progress import Progress, silent
from profiling.quantization.quantize import Calibration, Scheme, calibrate
from profiling.records.cache import cache_key, cached, samples_hash
from profiling.records.profile import LatencyProfile, NoiseProfile, load_profile, writing_aside
from profiling.runtime.session import Runtime

MEASURE_HERE = "measure"
# Samples on which single sources of noise, and mixed models, are measured: as many as come to so many
# multiplications of the whole model, between two bounds. The law sees to what few samples miss.
_ALONE_WORK, _ALONE_LEAST, _ALONE_MOST = 8e9, 2, 8
_LAW_WORK, _LAW_LEAST = 8e10, 16


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


def local_runtime(scenario: Scenario) -> Runtime:
    """Return how models are tried out here: as the first device that is measured on this machine."""
    measured = [d for d in measured_devices(scenario) if d.profile in (None, MEASURE_HERE)]
    return runtime_of(measured[0]) if measured else Runtime()


def calibrate_once(subject: Subject, progress: Progress = silent) -> Path:
    """Return a file with the ranges of the subject's tensors, from the cache where they are known."""
    key = cache_key(subject=subject.fingerprint, runtime=ort.__version__)
    ranges = cache_folder() / f"ranges-{key}.json"
    if not _has_ranges(ranges, subject.graph):
        progress("calibrating", 0, 1)
        samples = list(subject.calibration.samples)
        with writing_aside(ranges) as aside:
            calibrate(subject.graph.model, subject.graph.quantizable_nodes, samples, aside)
        progress("calibrating", 1, 1)
    return ranges


def noise_profiles(
    scenario: Scenario, subject: Subject, calibrations: Iterable[Calibration], progress: Progress = silent
) -> dict[Scheme, NoiseProfile]:
    """Return the noise of every tensor and unit in each scheme, from the cache where it is known."""
    found: dict[Scheme, NoiseProfile] = {}
    for calibration in calibrations:
        if calibration.scheme not in found:
            found[calibration.scheme] = _noise_profile(scenario, subject, calibration, found, progress)
    return found


def _noise_profile(
    scenario: Scenario,
    subject: Subject,
    calibration: Calibration,
    others: Mapping[Scheme, NoiseProfile],
    progress: Progress,
) -> NoiseProfile:
    wanted = _samples(subject, _ALONE_WORK, _ALONE_LEAST, _ALONE_MOST)
    count = min(wanted, scenario.profiling.noise_samples)
    scheme = calibration.scheme
    key = cache_key(
        subject=subject.fingerprint,
        scheme=scheme.label,
        runtime=ort.__version__,
        samples=count,
        processor=processor(),
    )
    # Tensors do not depend on the bits of weights.
    same = [
        noise.tensors
        for other, noise in others.items()
        if other.symmetric == scheme.symmetric and not other.wide
    ]
    known = same[0] if same else None

    def make() -> NoiseProfile:
        samples = list(subject.calibration.spread(count).samples)
        tensors = finer(known) if known is not None and scheme.wide else known
        return measure_noise(subject.graph, calibration, samples, tensors, progress)

    return cached(cache_folder() / f"noise-{key}.json", NoiseProfile, make)


def noise_of(
    scenario: Scenario, scheme: Scheme, noise: Mapping[Scheme, NoiseProfile]
) -> tuple[NoiseProfile, ...]:
    """Return the noise in each quantized precision of a device with a scheme."""
    return tuple(noise[scheme.at(precision)] for precision in scenario.measured_precisions[1:])


def noise_law(
    scenario: Scenario,
    subject: Subject,
    trial: Trial,
    costs: DeviceCosts,
    progress: Progress = silent,
) -> NoiseLaw:
    """Return how summed noise becomes noise, from the cache where its mixed models were measured.

    Parameters
    ----------
    trial, costs
        How the source device quantizes, and what quantizing costs there.
    """
    alone = alone_on(scenario, scenario.device(scenario.source))
    count = _samples(subject, _LAW_WORK, _LAW_LEAST, scenario.profiling.noise_samples)
    key = cache_key(
        subject=subject.fingerprint,
        scheme=trial.calibration.scheme.label,
        level=trial.level.value,
        runtime=ort.__version__,
        samples=count,
        processor=processor(),
    )

    def make() -> Points:
        samples = subject.calibration.spread(count).samples
        return measure_points(alone, subject.graph, {scenario.source: costs}, trial, samples, progress)

    return fit_law(cached(cache_folder() / f"law-{key}.json", Points, make).points)


def _samples(subject: Subject, work: float, least: int, most: int) -> int:
    return min(most, max(least, int(work / max(1, multiplications(subject.graph)))))


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
        return _read_profile(scenario, device, subject)
    setup = setup_of(scenario, device)
    key = cache_key(
        subject=subject.fingerprint,
        scheme=calibration.scheme.label,
        runtime=ort.__version__,
        processor=processor(),
        threads=setup.runtime.threads,
        provider=setup.runtime.provider,
        rounds=setup.rounds,
        precisions=setup.precisions,
    )

    def make() -> LatencyProfile:
        feeds = subject.calibration.samples[0]
        return measure_latency(subject.graph, calibration, feeds, setup, progress)

    return cached(cache_folder() / f"latency-{key}.json", LatencyProfile, make)


def device_costs(
    scenario: Scenario,
    latency: Mapping[str, LatencyProfile],
    noise: Mapping[Scheme, NoiseProfile],
    schemes: Mapping[str, Scheme],
) -> dict[str, DeviceCosts]:
    """Return every device's costs; a scaled device takes another's seconds, divided by its speedups."""
    costs = {}
    for device in scenario.devices:
        origin, speedup = origin_of(scenario, device)
        scheme = schemes[device.name]
        quantized = scenario.measured_precisions[1:]
        own = dict(zip(quantized, noise_of(scenario, scheme, noise), strict=True))
        costs[device.name] = DeviceCosts.of(latency[origin.name], own, scheme, speedup)
    return costs


def origin_of(scenario: Scenario, device: DeviceSpec) -> tuple[DeviceSpec, float]:
    """Return the device whose costs a device takes, itself or one that it is scaled from, and its speedup."""
    speedup = 1.0
    while device.scaled_from is not None:
        speedup *= device.speedup or 1.0
        device = scenario.device(device.scaled_from)
    return device, speedup


def measured_devices(scenario: Scenario) -> Sequence[DeviceSpec]:
    """Return the devices that have a profile of their own."""
    return [device for device in scenario.devices if device.scaled_from is None]


def setup_of(scenario: Scenario, device: DeviceSpec) -> Setup:
    """Return how the model is measured on a device."""
    return Setup(runtime_of(device), scenario.profiling.rounds or 0, scenario.measured_precisions)


def runtime_of(device: DeviceSpec) -> Runtime:
    """Return how a device runs models."""
    return Runtime(device.threads, device.provider)


def _read_profile(scenario: Scenario, device: DeviceSpec, subject: Subject) -> LatencyProfile:
    path = Path(str(device.profile))
    profile = load_profile(path)
    if profile.latency.model_sha256 != model_hash(subject.graph.model):
        raise ProfileError(
            f"{path} is the profile of another model; "
            f"make one of this model: plan profile SCENARIO --device {device.name} --out {path.name}"
        )
    _check_seconds(path, profile.latency, subject.graph)
    for precision in scenario.precisions_of(device):
        _check_precision(path, profile.latency, subject.graph, precision)
    return profile.latency


def _check_seconds(path: Path, latency: LatencyProfile, graph: ModelGraph) -> None:
    """Refuse a profile that lacks a unit or a switch, or whose seconds are none."""
    units = {(row.unit, row.precision) for row in latency.units}
    switches = {(row.tensor, row.source, row.to) for row in latency.switches}
    floats = [name for name in graph.boundary() if graph.tensors[name].is_float]
    wanted = {(unit.name, Precision.FP32) for unit in graph.units}
    ends = (Precision.FP32, Precision.INT8)
    pairs = {(t, a, b) for t in floats for a, b in (ends, ends[::-1])}
    missing: list[tuple[str, ...]] = [*sorted(wanted - units), *sorted(pairs - switches)]
    if missing:
        raise ProfileError(
            f"{path}: lacks the seconds of {missing[0][0]!r} in {missing[0][-1]}; measure again"
        )
    if len(units) != len(latency.units) or len(switches) != len(latency.switches):
        raise ProfileError(f"{path}: holds a unit or a tensor twice; measure again")
    rows = [*(row.seconds for row in latency.units), *(row.seconds for row in latency.switches)]
    for seconds in rows:
        if not (isfinite(seconds) and seconds >= 0):
            raise ProfileError(f"{path}: seconds must be finite and >= 0, got {seconds}")


def _check_precision(path: Path, latency: LatencyProfile, graph: ModelGraph, precision: Precision) -> None:
    """Refuse a profile that knows other precisions than the scenario allows."""
    known = {row.unit for row in latency.units if row.precision is precision}
    missing = [unit.name for unit in graph.units if unit.quantizable and unit.name not in known]
    if missing:
        raise ProfileError(
            f"{path}: was made for other precisions: it lacks the {precision} seconds of {missing[0]!r}; "
            f"measure again, or leave {precision} out of the device's precisions"
        )


def _has_ranges(path: Path, graph: ModelGraph) -> bool:
    """Return whether a calibration file is whole: it knows every tensor that a unit can quantize."""
    try:
        known = json.loads(path.read_text())["data"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return all(name in known for unit in graph.units for name in graph.quantized_by(unit.index))
