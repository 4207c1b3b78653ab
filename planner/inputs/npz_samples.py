"""Samples out of a NumPy archive."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from planner.errors import DataError
from planner.inputs.dataset import Dataset, Input, Samples, class_indices
from planner.inputs.image_samples import fit_image
from planner.inputs.npz_archive import Archive, ArchiveError
from planner.inputs.subset import subset
from planner.scenario.data_schema import SampleSpec
from profiling.arrays import Array, Feeds
from profiling.input_files import open_input

_MOST_ARCHIVE_BYTES = 2**40  # of the file; what is read of it is bounded by the free memory


def array_names(path: Path, where: str) -> tuple[str, ...]:
    """Return the names of the arrays in an archive."""
    with opened_archive(path, f"{where}.npz") as archive:
        return archive.names


@contextmanager
def opened_archive(path: Path, where: str) -> Iterator[Archive]:
    """Yield an open .npz archive; what is wrong with it names the key or option that wants it.

    Raises
    ------
    DataError
        If it is missing, no archive, or larger than the memory allows.
    """
    try:
        with open_input(path, _MOST_ARCHIVE_BYTES) as file, Archive(file) as archive:
            yield archive
    except FileNotFoundError as exc:
        raise DataError(f"{where}: {path} does not exist") from exc
    except OSError as exc:
        raise DataError(f"{where}: {path} is not a readable .npz archive: {exc.strerror}") from exc
    except ArchiveError as exc:
        raise DataError(f"{where}: {path} {exc}") from exc


def npz_samples(spec: SampleSpec, inputs: Sequence[Input], where: str) -> Dataset:
    """Return the samples that the arrays of an archive hold, one per row, with their labels."""
    with opened_archive(Path(str(spec.npz)), f"{where}.npz") as archive:
        columns, count = _columns(archive, spec, inputs, where)
        labels = _npz_labels(spec, archive, count, where)

    def read(index: int) -> Feeds:
        return {
            t.name: fit_image(columns[t.name][index], spec.image, t, f"{where}: sample {index}")
            for t in inputs
        }

    picked = subset(spec.subset, count, None, where)
    if picked:
        read(picked[0])
    return Dataset(Samples(picked, read), None if labels is None else labels[picked])


def _columns(
    archive: Archive, spec: SampleSpec, inputs: Sequence[Input], where: str
) -> tuple[dict[str, Array], int]:
    """Return the array of each input, and how many samples they hold; sizes are checked first."""
    unknown = set(spec.inputs) - {tensor.name for tensor in inputs}
    if unknown:
        raise DataError(
            f"{where}.inputs: the model has no input {sorted(unknown)[0]!r}; it has "
            f"{', '.join(tensor.name for tensor in inputs)}"
        )
    keys = {tensor.name: spec.inputs.get(tensor.name, tensor.name) for tensor in inputs}
    for name, key in keys.items():
        if key not in archive.names:
            raise DataError(
                f"{where}: {spec.npz} has no array {key!r} for input {name!r}; it has "
                f"{', '.join(archive.names)}. Set {where}.inputs: {{{name}: ARRAY}}"
            )
        if not archive.declared(key).shape:
            raise DataError(f"{where}: array {key!r} of {spec.npz} is a single number, not samples")
    counts = {key: archive.declared(key).shape[0] for key in keys.values()}
    if len(set(counts.values())) > 1:
        raise DataError(
            f"{where}: arrays of {spec.npz} have different numbers of samples: "
            f"{', '.join(f'{key} {count}' for key, count in counts.items())}; "
            "the first dimension of each counts the samples"
        )
    # Before anything is read: a header may claim any shape.
    archive.check_size(keys.values())
    return {name: archive.read(key) for name, key in keys.items()}, min(counts.values())


def _npz_labels(spec: SampleSpec, archive: Archive, count: int, where: str) -> Array | None:
    if spec.labels is None:
        return None
    if not isinstance(spec.labels, str) or spec.labels not in archive.names:
        raise DataError(f"{where}.labels: must name an array of {spec.npz}: {', '.join(archive.names)}")
    declared = archive.declared(spec.labels)
    if declared.shape != (count,) or not np.issubdtype(declared.dtype, np.integer):
        raise DataError(
            f"{where}.labels: array {spec.labels!r} must hold {count} whole numbers, "
            f"got {declared.dtype} {list(declared.shape)}"
        )
    archive.check_size([spec.labels])
    return class_indices(archive.read(spec.labels).tolist(), spec.label_offset, where)
