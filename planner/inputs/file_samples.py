"""Samples that are files of a folder, each read when it is asked for."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from planner.errors import DataError
from planner.inputs.dataset import Dataset, Samples
from planner.inputs.labels.labelled_files import FileSamples
from planner.inputs.subset import subset
from planner.scenario.data_schema import SampleSpec
from profiling.arrays import Array, Feeds


def dataset_of_files(
    spec: SampleSpec, folder: Path, files: FileSamples, tensor: str, read: Callable[[Path], Array], where: str
) -> Dataset:
    """Return those of the files that the scenario takes, with their labels; the first is read at once.

    Parameters
    ----------
    tensor
        The model's input.
    read
        Reads one file as the input takes it.

    Raises
    ------
    DataError
        If a file is not there, or the first one cannot be read.
    """

    def feeds(index: int) -> Feeds:
        return {tensor: read(folder / files.names[index])}

    picked = subset(spec.subset, len(files.names), files.rows, where)
    key = "images" if spec.clips is None else "clips"
    _require([folder / files.names[index] for index in picked], f"{where}.{key}")
    if picked:
        feeds(picked[0])
    labels = None if files.labels is None else files.labels[picked]
    return Dataset(Samples(picked, feeds), labels, files.class_names)


def _require(paths: Iterable[Path], where: str) -> None:
    """Refuse files that are not there."""
    # os.path, since Path raises where a name is too long for a file.
    missing = next((path for path in paths if not os.path.exists(path)), None)  # noqa: PTH110
    if missing is not None:
        raise DataError(f"{where}: {missing} does not exist")
