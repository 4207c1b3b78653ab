"""Ranges of tensors as a file: names, since numbers are of one model in memory."""

from pathlib import Path

import msgspec

from profiling.litert.calibration import Ranges
from profiling.litert.load import LitertModel
from profiling.records.json_files import load_json, save_json


class RangesFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Tensor's name -> least and greatest value."""

    ranges: dict[str, tuple[float, float]]


def save_ranges(ranges: Ranges, model: LitertModel, path: Path) -> None:
    """Write ranges by name."""
    save_json(RangesFile({model.names[tensor]: ends for tensor, ends in ranges.items()}), path)


def load_ranges(model: LitertModel, path: Path) -> Ranges:
    """Return ranges by the model's tensors.

    Raises
    ------
    ProfileError
        If the file holds something else.
    """
    numbers = {name: tensor for tensor, name in enumerate(model.names)}
    found = load_json(path, RangesFile).ranges
    return {numbers[name]: ends for name, ends in found.items() if name in numbers}
