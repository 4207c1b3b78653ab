"""The model that is measured, the ranges of its tensors and errors of its biases, calibrated once."""

import logging
import shutil
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from planner.devices.calibration_choices import CalibrationChoice
from planner.inputs.dataset import Dataset
from profiling.directories import claim
from profiling.graph.operator_graph import OperatorGraph
from profiling.graph.unit_graph import ModelGraph
from profiling.noise.correct_biases import correct_biases
from profiling.precision import Precision
from profiling.progress import Progress, silent
from profiling.quantization.qdq_model import Scheme
from profiling.quantization.ranges_file import has_bias_errors, read_bias_errors, taken_method
from profiling.range_method import RangeMethod, TensorRanges
from profiling.records.cache import EntryKind, content_hash, entry_path, samples_hash
from profiling.records.json_files import writing_aside
from profiling.runtime_model import RuntimeModel

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CalibratedModel:
    """The model that is measured and the calibration samples that it is measured on."""

    model: RuntimeModel
    calibration: Dataset
    samples: str
    fingerprint: str

    @classmethod
    def of(cls, model: RuntimeModel, calibration: Dataset) -> "CalibratedModel":
        """Return the subject with a hash of its samples, and one of model and samples."""
        samples = samples_hash(calibration.samples)
        return cls(model, calibration, samples, content_hash(model=model.graph.model_sha256, data=samples))

    @property
    def graph(self) -> OperatorGraph:
        """The model's units."""
        return self.model.graph

    def able_units(self, precisions: Iterable[Precision]) -> dict[str, list[int]]:
        """Return precision -> the units that can have it, by index: what profiles of the model depend on."""
        units = self.graph.units
        return {p.value: [unit.index for unit in units if unit.can_be(p)] for p in precisions}


def calibrate_once(
    subject: CalibratedModel,
    progress: Progress = silent,
    others: Collection[TensorRanges] = (),
) -> Path:
    """Return a file with the ranges of the subject's tensors, from the cache where they are known.

    Parameters
    ----------
    others
        Ranges that are wanted beside least and greatest values; they ask for a longer calibration.
    """
    model = subject.model
    ranges = entry_path(
        EntryKind.RANGES,
        model.made_by(EntryKind.RANGES),
        subject=subject.fingerprint,
        others=sorted(one.label for one in others),
        runtime=model.runtime_version,
    )
    if claim(ranges) and model.has_ranges(ranges, others):
        log.info("read %s from the cache", ranges.name)
    else:
        progress("calibrating", 0, 1)
        log.info("calibrating on %d samples", len(subject.calibration.samples))
        samples = list(subject.calibration.samples)
        with writing_aside(ranges) as aside:
            model.calibrate(samples, aside, others)
        progress("calibrating", 1, 1)
    return ranges


def correct_biases_once(
    subject: CalibratedModel, ranges: Path, reduced: Collection[bool], progress: Progress = silent
) -> Path:
    """Return a file with the same ranges and with bias errors, from the cache where they are known.

    Models of other runtimes than ONNX Runtime have none.

    Parameters
    ----------
    reduced
        Whether weights have 7 bits, for each that is wanted.
    """
    graph = subject.graph
    if not reduced or not isinstance(graph, ModelGraph):
        return ranges
    path = entry_path(
        EntryKind.RANGES,
        correct_biases,
        ranges=ranges.name,
        reduced=sorted(reduced),
        units=subject.able_units((Precision.INT8,)),
        runtime=subject.model.runtime_version,
    )
    if claim(path) and has_bias_errors(path, reduced):
        log.info("read %s from the cache", path.name)
        return path
    samples = list(subject.calibration.samples)
    with writing_aside(path) as aside:
        shutil.copyfile(ranges, aside)
        for done, side in enumerate(sorted(reduced)):
            progress("correcting biases", done, len(reduced))
            correct_biases(graph, samples, aside, reduced=side)
        progress("correcting biases", len(reduced), len(reduced))
    return path


def calibration_choices(
    schemes: Mapping[str, Scheme], ranges: Path, precisions: Collection[Precision]
) -> tuple[CalibrationChoice, ...]:
    """Return what a file of ranges says was chosen, of the devices where something was.

    Parameters
    ----------
    schemes
        Device -> its scheme.
    precisions
        In which numbers are rounded.
    """
    return tuple(
        CalibrationChoice(
            device=device,
            wanted_ranges=scheme.ranges,
            ranges=taken_method(ranges, scheme.tensor_ranges),
            corrects_biases=_corrects(scheme, ranges, precisions),
        )
        for device, scheme in schemes.items()
        if scheme.bias_correction or scheme.ranges is not RangeMethod.MINMAX
    )


def _corrects(scheme: Scheme, ranges: Path, precisions: Collection[Precision]) -> bool | None:
    corrected = [own for own in map(scheme.at, precisions) if own.bias_correction]
    if not corrected:
        return None
    return any(read_bias_errors(ranges, reduced=own.reduce_range) for own in corrected)
