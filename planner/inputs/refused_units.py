"""The units of a scenario's model that come out wrong once they are quantized; kept by content."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from planner.devices.quantization_schemes import trial_level
from planner.inputs.calibrated_model import CalibratedModel
from planner.scenario.schema import Scenario
from profiling.cache_lock import one_at_a_time
from profiling.on_device.create_session import Optimization
from profiling.on_device.processor import cpu_description
from profiling.precision import Precision
from profiling.progress import Progress, silent
from profiling.quantization.calibration import Calibration
from profiling.quantization.qdq_model import Scheme
from profiling.records.cache import EntryKind, cached, entry_path
from profiling.runtime.crash_journal import SUFFIX, CrashJournal

_LOCK_SUFFIX = ".lock"
_SAMPLES = 2  # that each unit is tried out on


class RefusedUnits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Unit -> why it stays in float."""

    reasons: dict[str, str]


def refused_once(
    scenario: Scenario,
    subject: CalibratedModel,
    schemes: Mapping[str, Scheme],
    ranges: Path,
    progress: Progress = silent,
) -> dict[Precision, dict[str, str]]:
    """Return, per precision, unit -> why it must not have it in a scheme that a device may use."""
    levels: dict[Scheme, Optimization] = {}
    for precision in scenario.measured_precisions[1:]:
        for device, scheme in schemes.items():
            scheme_in_precision = scheme.at(precision)
            # A scheme that several devices use is tried out once, as on the first of them.
            levels.setdefault(scheme_in_precision, trial_level(scenario, scenario.device(device), scheme))
    reasons: dict[Precision, dict[str, str]] = {}
    for done, (scheme, level) in enumerate(levels.items()):
        progress("trying out units", done, len(levels))
        refused = _refused(subject, Calibration(scheme, ranges), level)
        # The first scheme's reason stands.
        reasons[scheme.precision] = refused | reasons.get(scheme.precision, {})
    progress("trying out units", len(levels), len(levels))
    return reasons


def _refused(subject: CalibratedModel, calibration: Calibration, level: Optimization) -> dict[str, str]:
    path = entry_path(
        EntryKind.REFUSED_UNITS,
        subject.model.made_by(EntryKind.REFUSED_UNITS),
        subject=subject.fingerprint,
        scheme=calibration.key,
        level=level.value,
        runtime=subject.model.runtime_version,
        processor=cpu_description(),
    )

    def make() -> RefusedUnits:
        samples = list(subject.calibration.spread(_SAMPLES).samples)
        journal = CrashJournal(path.with_suffix(SUFFIX))
        return RefusedUnits(subject.model.refused_units(calibration, samples, level, journal))

    # What another process tries out right now is no death.
    with one_at_a_time(path.with_suffix(_LOCK_SUFFIX)):
        return dict(cached(path, RefusedUnits, make).reasons)
