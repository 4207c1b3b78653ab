"""A `.tflite` file with its ends, as a stage that is not cut from anything."""

from pathlib import Path

from profiling.graph.any_model import Stage
from profiling.litert.cut import whole_stage
from profiling.litert.load import load_litert


def read_stage_file(path: Path) -> Stage:
    """Return a stage's file; errors as `profiling.litert.load.load_litert`."""
    return whole_stage(load_litert(path))
