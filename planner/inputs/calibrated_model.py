"""The model that is measured, and the ranges of its tensors, calibrated once."""

import json
import logging
from dataclasses import dataclass
from pathlib import Path

import onnxruntime as ort

from planner.inputs.dataset import Dataset
from profiling.directories import claim
from profiling.graph.unit_graph import ModelGraph
from profiling.onnx_io.load_model import model_hash
from profiling.progress import Progress, silent
from profiling.quantization.calibration import calibrate
from profiling.records.cache import EntryKind, content_hash, entry_path, samples_hash
from profiling.records.json_files import writing_aside

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CalibratedModel:
    """The model that is measured and the calibration samples that it is measured on."""

    graph: ModelGraph
    calibration: Dataset
    samples: str
    fingerprint: str

    @classmethod
    def of(cls, graph: ModelGraph, calibration: Dataset) -> "CalibratedModel":
        """Return the subject with a hash of its samples, and one of model and samples."""
        samples = samples_hash(calibration.samples)
        return cls(graph, calibration, samples, content_hash(model=model_hash(graph.model), data=samples))


def calibrate_once(subject: CalibratedModel, progress: Progress = silent) -> Path:
    """Return a file with the ranges of the subject's tensors, from the cache where they are known."""
    ranges = entry_path(EntryKind.RANGES, calibrate, subject=subject.fingerprint, runtime=ort.__version__)
    if claim(ranges) and _has_ranges(ranges, subject.graph):
        log.info("read %s from the cache", ranges.name)
    else:
        progress("calibrating", 0, 1)
        log.info("calibrating on %d samples", len(subject.calibration.samples))
        samples = list(subject.calibration.samples)
        with writing_aside(ranges) as aside:
            calibrate(subject.graph.model, subject.graph.quantizable_nodes, samples, aside)
        progress("calibrating", 1, 1)
    return ranges


def _has_ranges(path: Path, graph: ModelGraph) -> bool:
    """Return whether a calibration file is whole: it knows every tensor that a unit can quantize."""
    try:
        tensors_with_ranges = json.loads(path.read_text())["data"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return all(
        name in tensors_with_ranges
        for unit in graph.units
        for name in graph.tensors_quantized_with(unit.index)
    )
