"""The units of a scenario's model that come out wrong once they are quantized; kept by content."""

from collections.abc import Mapping
from pathlib import Path

import msgspec
import onnxruntime as ort

from planner.devices.quantization_schemes import trial_level
from planner.inputs.calibrated_model import CalibratedModel
from planner.scenario.schema import Scenario
from profiling.noise.unit_check import UnitCheck, refused_units
from profiling.on_device.create_session import Optimization
from profiling.on_device.processor import cpu_description
from profiling.progress import Progress, silent
from profiling.quantization.calibration import Calibration
from profiling.quantization.qdq_model import Scheme
from profiling.records.cache import EntryKind, cached, entry_path
from profiling.runtime.crash_journal import SUFFIX, CrashJournal

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
) -> dict[str, str]:
    """Return unit -> why it must not be quantized in a scheme that a device of the scenario may use."""
    levels: dict[Scheme, Optimization] = {}
    for precision in scenario.measured_precisions[1:]:
        for device, scheme in schemes.items():
            scheme_in_precision = scheme.at(precision)
            # A scheme that several devices use is tried out once, as on the first of them.
            levels.setdefault(scheme_in_precision, trial_level(scenario, scenario.device(device), scheme))
    reasons: dict[str, str] = {}
    for done, (scheme, level) in enumerate(levels.items()):
        progress("trying out units", done, len(levels))
        refused = _refused(subject, Calibration(scheme, ranges), level)
        # The first scheme's reason stands.
        reasons = refused | reasons
    progress("trying out units", len(levels), len(levels))
    return reasons


def _refused(subject: CalibratedModel, calibration: Calibration, level: Optimization) -> dict[str, str]:
    path = entry_path(
        EntryKind.REFUSED_UNITS,
        refused_units,
        subject=subject.fingerprint,
        scheme=calibration.scheme.label,
        level=level.value,
        runtime=ort.__version__,
        processor=cpu_description(),
    )
    journal = CrashJournal(path.with_suffix(SUFFIX))

    def make() -> RefusedUnits:
        samples = list(subject.calibration.spread(_SAMPLES).samples)
        return RefusedUnits(refused_units(UnitCheck(subject.graph, calibration, samples, level, journal)))

    return dict(cached(path, RefusedUnits, make).reasons)
