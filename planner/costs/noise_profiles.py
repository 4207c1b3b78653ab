"""Noise of tensors, units and mixed models, measured once on a few samples."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from planner.costs.device_costs import DeviceCosts
from planner.costs.noise_corrections import FittedNoise, fit_noise_factors
from planner.costs.noise_saturation import CalibrationPoints, fit_noise_model, summed_with
from planner.costs.noise_trials import TrialSetup, measure_calibration_points, model_count
from planner.inputs.calibrated_model import CalibratedModel
from planner.scenario.schema import Scenario
from profiling.noise.measure_noise import HUNDRED_RUNS, scale_to_int16
from profiling.noise.noise_sources import largest_sources, with_better
from profiling.on_device.processor import cpu_description
from profiling.precision import Precision
from profiling.progress import Progress, silent
from profiling.quantization.calibration import Calibration
from profiling.quantization.qdq_model import Scheme
from profiling.records.cache import EntryKind, cached, entry_path
from profiling.records.profile import NoiseProfile

# Samples on which single sources of noise, and mixed models, are measured: as many as come to so many
# multiplications of the whole model, between two bounds (ResNet50: 2 and 19, MobileNetV2: 8 and all 188).
# Single sources are many and need one run each, so that they get a tenth of the work; the law, which is
# fitted on more samples, corrects their sum. Where all units together take less, as in small models, single
# sources are measured on more samples: a few of them can make most of a classifier's noise. For the same
# reason the largest sources are measured once more, on more samples.
_ALONE_WORK, _ALONE_LEAST, _ALONE_MOST = 8e9, 2, 8
_ALL_WORK, _ALL_MOST = 1.3e11, 64
_LAW_WORK, _LAW_LEAST = 8e10, 16
_MIXES_WORK = 1e12  # of mixed models: two batches, or one for a large network
_AGAIN_LEAST, _AGAIN_SOURCES = 64, 16  # samples, more where so many sources can be measured on more
_AGAIN_WORK = 2 * HUNDRED_RUNS.multiplications  # of all sources, each half a run: then errors end with blocks


def noise_profiles(
    scenario: Scenario,
    subject: CalibratedModel,
    calibrations: Iterable[Calibration],
    progress: Progress = silent,
) -> dict[Scheme, NoiseProfile]:
    """Return the noise of every tensor and unit in each scheme, from the cache where it is known.

    Powers are relative to that of the exact outputs. Schemes are those of `Scheme.as_rounded`.
    """
    profiles: dict[Scheme, NoiseProfile] = {}
    for calibration in (one.as_rounded for one in calibrations):
        if calibration.scheme not in profiles:
            profiles[calibration.scheme] = _noise_profile(scenario, subject, calibration, profiles, progress)
    return profiles


def _noise_profile(
    scenario: Scenario,
    subject: CalibratedModel,
    calibration: Calibration,
    others: Mapping[Scheme, NoiseProfile],
    progress: Progress,
) -> NoiseProfile:
    least = _samples(subject, _ALONE_WORK, _ALONE_LEAST, _ALONE_MOST)
    affordable = _samples(subject, _ALL_WORK / max(1, len(subject.graph.units)), least, _ALL_MOST)
    count = min(affordable, scenario.profiling.noise_samples)
    more = _samples(subject, _LAW_WORK, _LAW_LEAST, scenario.profiling.noise_samples)
    scheme = calibration.scheme
    path = entry_path(
        EntryKind.NOISE,
        subject.model.made_by(EntryKind.NOISE),
        subject=subject.fingerprint,
        scheme=calibration.key,
        units=subject.able_units((Precision.INT8, scheme.precision)),
        runtime=subject.model.runtime_version,
        samples=[count, more],
        processor=cpu_description(),
    )
    # Tensors' noise does not depend on the bits of weights, and in int16 it follows from that in int8 over
    # the same ranges.
    of_same_activations = (
        noise.tensors
        for other, noise in others.items()
        if (other.symmetric, other.tool, other.ranges) == (scheme.symmetric, scheme.tool, scheme.ranges)
        and other.precision.is_static
        and not other.wide
    )
    int8 = next(of_same_activations, None)

    def make() -> NoiseProfile:
        few = list(subject.calibration.spread(count).samples)
        tensors = scale_to_int16(int8) if int8 is not None and scheme.wide else int8
        first = subject.model.measure_noise(calibration, few, tensors, None, progress)
        sources = len(first.units) + (0 if tensors else len(first.tensors))
        runs = sources * len(few)
        again_on = min(more, max(_AGAIN_LEAST, runs // _AGAIN_SOURCES))
        many = list(subject.calibration.spread(again_on).samples)
        if len(many) <= len(few) or runs * subject.model.multiplications() > _AGAIN_WORK:
            return first

        def again(_: str, done: int, total: int) -> None:
            progress("noise of the largest sources", done, total)

        # As many runs again for the sources that make most of the noise.
        largest = largest_sources(first, runs // len(many))
        if not (largest.tensors or largest.units):
            return first
        return with_better(first, subject.model.measure_noise(calibration, many, tensors, largest, again))

    return cached(path, NoiseProfile, make)


def fitted_noise(
    alone: Scenario,
    subject: CalibratedModel,
    trial: TrialSetup,
    costs: DeviceCosts,
    progress: Progress = silent,
) -> FittedNoise:
    """Return how single sources become noise, from the cache where its mixed models were measured.

    Parameters
    ----------
    alone
        The scenario on one device, from `single_device_scenario`.
    trial, costs
        How that device quantizes, and what quantizing costs there.
    """
    most = min(alone.profiling.noise_samples, len(subject.calibration.samples))
    count = _samples(subject, _LAW_WORK, _LAW_LEAST, most)
    work_of_two = model_count(2) * count * subject.model.multiplications()
    batches = 2 if work_of_two <= _MIXES_WORK else 1
    trial = replace(trial, calibration=trial.calibration.as_rounded, batches=batches)
    path = entry_path(
        EntryKind.NOISE_MODEL,
        measure_calibration_points,
        subject=subject.fingerprint,
        scheme=trial.calibration.key,
        level=trial.level.value,
        runtime=subject.model.runtime_version,
        samples=count,
        batches=trial.batches,
        precisions=(Precision.FP32, *alone.rounded_precisions),
        units=subject.able_units(alone.rounded_precisions),
        processor=cpu_description(),
    )

    def make() -> CalibrationPoints:
        samples = subject.calibration.spread(count).samples
        return measure_calibration_points(
            alone, subject.graph, {alone.source: costs}, trial, samples, progress
        )

    points = cached(path, CalibrationPoints, make).points
    factors = fit_noise_factors(points, fit_noise_model(points), subject.graph, costs)
    corrected = {alone.source: factors.applied(costs)}
    return FittedNoise(fit_noise_model(summed_with(alone, subject.graph, corrected, points)), factors)


def _samples(subject: CalibratedModel, work: float, least: int, most: int) -> int:
    return min(most, max(least, int(work / max(1, subject.model.multiplications()))))
