"""The units of a scenario's model that come out wrong once they are quantized; kept by content."""

from collections.abc import Mapping
from pathlib import Path

import msgspec
import onnxruntime as ort

from planner.devices.quantization_schemes import trial_level
from planner.inputs.calibrated_model import CalibratedModel
from planner.scenario.schema import Scenario
from profiling.directories import cache_folder
from profiling.noise.unit_check import UnitCheck, refused_units
from profiling.on_device.measure import processor
from profiling.progress import Progress, silent
from profiling.quantization.quantize import Calibration, Scheme
from profiling.records.cache import cache_key, cached
from profiling.runtime.crash_journal import SUFFIX, CrashJournal
from profiling.runtime.session import Optimization

_SAMPLES = 2


class RefusedUnits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Unit -> why it stays in float."""

    reasons: dict[str, str]


def refused_once(
    scenario: Scenario,
    subject: CalibratedModel,
    schemes: Mapping[str, Scheme],
    ranges: Path,
    progress: Progress = silent,
) -> dict[str, str]:
    """Return unit -> why it must not be quantized in a scheme that a device of the scenario may use."""
    levels: dict[Scheme, Optimization] = {}
    for precision in scenario.measured_precisions[1:]:
        for device, scheme in schemes.items():
            own = scheme.at(precision)
            levels.setdefault(own, trial_level(scenario, scenario.device(device), scheme))
    reasons: dict[str, str] = {}
    for done, (scheme, level) in enumerate(levels.items()):
        progress("trying out units", done, len(levels))
        found = _refused(subject, Calibration(scheme, ranges), level)
        reasons = found | reasons
    progress("trying out units", len(levels), len(levels))
    return reasons


def _refused(subject: CalibratedModel, calibration: Calibration, level: Optimization) -> dict[str, str]:
    key = cache_key(
        subject=subject.fingerprint,
        scheme=calibration.scheme.label,
        level=level.value,
        runtime=ort.__version__,
        processor=processor(),
    )
    journal = CrashJournal(cache_folder() / f"trial-{key}{SUFFIX}")

    def make() -> RefusedUnits:
        samples = list(subject.calibration.spread(_SAMPLES).samples)
        return RefusedUnits(refused_units(UnitCheck(subject.graph, calibration, samples, level, journal)))

    return dict(cached(cache_folder() / f"trial-{key}.json", RefusedUnits, make).reasons)
