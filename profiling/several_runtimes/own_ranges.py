"""Ranges of tensors in several runtimes, in one file: a tensor that all have has one range."""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import msgspec

from profiling.directories import scratch_folder
from profiling.records.json_files import load_json, save_json, writing_aside


class RangesOfRuntimes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Runtime -> the text of its own file of ranges."""

    texts: dict[str, str]


def save_ranges_of_runtimes(files: Mapping[str, Path], ranges: Path) -> None:
    """Write one file that holds those of all runtimes."""
    save_json(RangesOfRuntimes({runtime: file.read_text() for runtime, file in files.items()}), ranges)


def own_ranges(ranges: Path, runtime: str) -> Path:
    """Return a file with the ranges of one runtime, as that one reads them.

    Raises
    ------
    ProfileError
        If the file holds something else.
    """
    # Files of other models may have the same name.
    own = scratch_folder() / f"{sha256(ranges.read_bytes()).hexdigest()}-{runtime}.json"
    if not own.is_file():
        text = load_json(ranges, RangesOfRuntimes).texts[runtime]
        with writing_aside(own) as aside:
            aside.write_text(text)
    return own
