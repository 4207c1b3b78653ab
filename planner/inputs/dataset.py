"""Samples and labels of a scenario, checked against the model's inputs."""

import csv
import io
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from planner.errors import DataError
from planner.image_layout import are_channels_last, channels_first
from planner.inputs.image_preprocessing import PICTURES, picture, read_pixels
from planner.inputs.npz_archive import Archive, ArchiveError
from planner.scenario.data_schema import ImageSpec, LabelTable, SampleSpec, SubsetSpec
from planner.user_objects import calling, import_object
from profiling.arrays import Array, Feeds
from profiling.available_memory import available_bytes
from profiling.input_files import open_input, read_input
from profiling.printable_text import reason

_HELD_BACK_EVERY = 4
_MOST_TABLE_BYTES = 16 * 2**20
_MOST_ARCHIVE_BYTES = 2**40


class Samples(Sequence[Feeds]):
    """Samples that are decoded when asked for, so that large sets need little memory."""

    def __init__(self, indices: Sequence[int], read: Callable[[int], Feeds]) -> None:
        self._indices = tuple(indices)
        self._read = read

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index):  # type: ignore[no-untyped-def]  # slices are not offered
        return self._read(self._indices[index])

    def __iter__(self) -> Iterator[Feeds]:
        return (self._read(index) for index in self._indices)


@dataclass(frozen=True, slots=True)
class Dataset:
    """Samples and, where given, the label of each: the model's class index, or what a reader gives."""

    samples: Sequence[Feeds]
    labels: Array | None

    def pick(self, places: Sequence[int]) -> "Dataset":
        """Return the samples at some places."""
        labels = None if self.labels is None else self.labels[list(places)]
        return Dataset(Samples(places, self.samples.__getitem__), labels)

    @property
    def classes(self) -> Array | None:
        """The labels, if they are class indices."""
        known = self.labels is not None and np.issubdtype(self.labels.dtype, np.integer)
        return self.labels if known else None

    def spread(self, count: int) -> "Dataset":
        """Return at most `count` samples, evenly spread."""
        return self.pick(_spread(range(len(self.samples)), count))


@dataclass(frozen=True, slots=True)
class Input:
    """What a sample has to give for one input of the model: an array of a type and a static shape.

    With `channels_last`, samples may have their channels last where the model wants them first: it was
    converted from one that takes them so.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    channels_last: bool = False

    def with_batch(self, value: Array) -> Array:
        """Return a value in the model's layout, its batch axis of 1 added if it is missing."""
        if self.channels_last and are_channels_last(value, self.shape):
            value = channels_first(value)
        return value if value.shape == self.shape else value[None]

    def channels(self, spec: ImageSpec | None) -> int:
        """Return how many channels its pictures have, which a scenario prepares; three if it takes none."""
        if len(self.shape) < 3:  # noqa: PLR2004
            return 3
        first = self.channels_last or spec is None or spec.layout == "nchw"
        return self.shape[-3] if first else self.shape[-1]


def split_calibration(data: Dataset) -> tuple[Dataset, Dataset]:
    """Return (three quarters to calibrate with, the held-back quarter to tighten budgets on)."""
    places = range(len(data.samples))
    back = places[_HELD_BACK_EVERY - 1 :: _HELD_BACK_EVERY]
    return data.pick([place for place in places if place not in back]), data.pick(back)


def load_data(spec: SampleSpec, inputs: Sequence[Input], where: str) -> Dataset:
    """Return the samples of one part of a scenario's `data`.

    Parameters
    ----------
    inputs
        The model's inputs, with static shapes.
    where
        The scenario key, for messages.

    Raises
    ------
    DataError
        If a file is missing or unreadable, or a sample does not fit an input.
    """
    if spec.npz is not None:
        data = _from_npz(spec, inputs, where)
    elif spec.images is not None:
        data = _from_images(spec, inputs, where)
    else:
        data = _from_reader(spec, inputs, where)
    if not len(data.samples):
        raise DataError(f"{where}: no samples are left")
    return data if spec.samples is None else data.spread(spec.samples)


def check_names(spec: SampleSpec, where: str) -> None:
    """Refuse names of arrays, columns and objects that are not there, before the model is known.

    Raises
    ------
    DataError
        As `load_data` would when the model has been converted, which may take minutes.
    """
    if spec.npz is not None:
        names = _array_names(Path(spec.npz), where)
        for tensor, key in spec.inputs.items():
            if key not in names:
                raise DataError(
                    f"{where}.inputs: {spec.npz} has no array {key!r} for input {tensor!r}; it has "
                    f"{', '.join(names)}"
                )
        if isinstance(spec.labels, str) and spec.labels not in names:
            raise DataError(f"{where}.labels: must name an array of {spec.npz}: {', '.join(names)}")
    elif isinstance(spec.labels, LabelTable):
        _read_table(spec.labels, where)
    if spec.reader is not None:
        import_object(spec.reader, f"{where}.reader")


def _array_names(path: Path, where: str) -> tuple[str, ...]:
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


def check_labels(labels: Array | None, classes: int, where: str) -> None:
    """Refuse labels that no class index of the model can match.

    Raises
    ------
    DataError
        If a label is not in 0 .. classes - 1.
    """
    if labels is not None and len(labels) and not (labels.min() >= 0 and labels.max() < classes):
        raise DataError(
            f"{where}.labels: values run from {labels.min()} to {labels.max()}, but the model has "
            f"{classes} classes; check labels and label_offset"
        )


def _from_npz(spec: SampleSpec, inputs: Sequence[Input], where: str) -> Dataset:
    with opened_archive(Path(str(spec.npz)), f"{where}.npz") as archive:
        columns, count = _columns(archive, spec, inputs, where)
        labels = _npz_labels(spec, archive, count, where)

    def read(index: int) -> Feeds:
        return {
            t.name: _fit_picture(columns[t.name][index], spec.image, t, f"{where}: sample {index}")
            for t in inputs
        }

    picked = _subset(spec.subset, count, None, where)
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
    counts = {archive.declared(key).shape[0] for key in keys.values()}
    if len(counts) > 1:
        raise DataError(f"{where}: arrays of {spec.npz} have different numbers of samples")
    archive.check_size(keys.values())
    return {name: archive.read(key) for name, key in keys.items()}, counts.pop()


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
    return _class_indices(archive.read(spec.labels).tolist(), spec.label_offset, where)


def _from_images(spec: SampleSpec, inputs: Sequence[Input], where: str) -> Dataset:
    folder = _picture_folder(spec, inputs, where)
    table = spec.labels if isinstance(spec.labels, LabelTable) else None
    rows = _read_table(table, where) if table else None
    names = (
        [row[table.image_column] for row in rows]
        if table and rows is not None
        else sorted(p.name for p in folder.iterdir() if p.suffix.lower() in PICTURES)
    )

    def read(index: int) -> Feeds:
        return {inputs[0].name: fitted_picture(folder / names[index], inputs[0], spec.image, where)}

    picked = _subset(spec.subset, len(names), rows, where)
    labels = None
    if table and rows is not None:
        numbers = [_whole_number(row[table.label_column], f"{where}.labels: {table.file}") for row in rows]
        labels = _class_indices(numbers, spec.label_offset, where)[picked]
    _require_files([folder / names[index] for index in picked], f"{where}.images")
    if picked:
        read(picked[0])
    return Dataset(Samples(picked, read), labels)


def _require_files(paths: Iterable[Path], where: str) -> None:
    # os.path, since Path raises where a name is too long for a file.
    missing = next((path for path in paths if not os.path.exists(path)), None)  # noqa: PTH110
    if missing is not None:
        raise DataError(f"{where}: {missing} does not exist")


def _picture_folder(spec: SampleSpec, inputs: Sequence[Input], where: str) -> Path:
    folder = Path(str(spec.images))
    if not folder.is_dir():
        raise DataError(f"{where}.images: {folder} is not a folder")
    if len(inputs) != 1:
        raise DataError(f"{where}.images: the model has {len(inputs)} inputs; pictures feed one")
    if spec.image is None:
        raise DataError(f"{where}.image: is required with images (layout, crop, scaling)")
    if isinstance(spec.labels, str):
        raise DataError(f"{where}.labels: with images give {{file: ..., label_column: ...}}")
    return folder


def _read_table(table: LabelTable, where: str) -> list[dict[str, str]]:
    path = Path(table.file)
    try:
        lines = io.StringIO(read_input(path, _MOST_TABLE_BYTES).decode("utf-8"), newline="")
        reader = csv.DictReader(lines, delimiter="," if path.suffix == ".csv" else "\t")
        rows, columns = list(reader), reader.fieldnames or ()
    except (OSError, UnicodeDecodeError, csv.Error) as exc:
        raise DataError(f"{where}.labels: {path} cannot be read: {reason(exc)}") from exc
    for column in (table.image_column, table.label_column):
        if not rows or column not in columns:
            known = ", ".join(columns) if rows else "no rows"
            raise DataError(f"{where}.labels: {path} has no column {column!r}; it has {known}")
        short = next((number for number, row in enumerate(rows, start=1) if row[column] is None), None)
        if short is not None:
            raise DataError(f"{where}.labels: {path}: row {short} has no {column!r}")
    return rows


def _whole_number(text: str | None, what: str) -> int:
    try:
        return int(text or "")  # which refuses more than 4,300 digits
    except ValueError as exc:
        raise DataError(f"{what}: {text!r} is no whole number") from exc


def _from_reader(spec: SampleSpec, inputs: Sequence[Input], where: str) -> Dataset:
    target = str(spec.reader)
    make = import_object(target, f"{where}.reader")
    name = target.rpartition("/")[2]
    with calling(f"{where}.reader: {name} cannot be used"):
        reader = make()
    samples: list[Feeds] = []
    left = available_bytes() // 2
    for feeds in _read_all(reader, inputs, f"{where}.reader"):
        place = f"{where}: sample {len(samples)}"
        samples.append({t.name: fit(feeds[t.name], t, place) for t in inputs})
        left -= sum(value.nbytes for value in samples[-1].values())
        if left < 0:
            raise DataError(
                f"{where}.reader: {name} gives more than {len(samples)} samples, which do not fit into half "
                "of the free memory"
            )
    labels = _reader_labels(reader, len(samples), where)
    picked = _subset(spec.subset, len(samples), None, where)
    return Dataset(Samples(picked, samples.__getitem__), None if labels is None else labels[picked])


def _reader_labels(reader: object, count: int, where: str) -> Array | None:
    """Return a reader's `labels`: whole numbers as class indices, anything else as objects."""
    with calling(f"{where}.reader: its labels cannot be read"):
        labels = getattr(reader, "labels", None)
        known = list(itertools.islice(labels, count + 1)) if isinstance(labels, Iterable) else None
    if labels is None:
        return None
    if known is None:
        raise DataError(f"{where}.reader: labels must be a list, got {type(labels).__name__}")
    if len(known) != count:
        told = "more" if len(known) > count else f"{len(known)}"
        raise DataError(f"{where}.reader: gives {count} samples but {told} labels")
    if all(isinstance(label, int | np.integer) for label in known):
        return _class_indices(known, 0, f"{where}.reader")
    objects = np.empty(count, dtype=object)
    objects[:] = known
    return objects


def _class_indices(labels: Iterable[Any], offset: int, where: str) -> Array:
    """Return whole numbers plus an offset as class indices."""
    try:
        return np.array([int(label) + offset for label in labels], dtype=np.int64)
    except OverflowError as exc:
        raise DataError(f"{where}.labels: a label does not fit into 64 bits") from exc


def _read_all(reader: Any, inputs: Sequence[Input], where: str) -> Iterator[dict[str, Array]]:
    """Yield what a reader gives for each input of the model."""
    for number in itertools.count():
        with calling(f"{where}: get_next() failed"):
            feeds = reader.get_next()
        if feeds is None:
            return
        if not isinstance(feeds, Mapping):
            raise DataError(f"{where}: get_next() must return a dict of arrays, got {type(feeds).__name__}")
        with calling(f"{where}: sample {number} cannot be read"):
            found = {t.name: np.asarray(feeds[t.name]) for t in inputs if t.name in feeds}
        missing = [t.name for t in inputs if t.name not in found]
        if missing:
            raise DataError(f"{where}: sample {number} lacks input {missing[0]!r}")
        yield found


def _fit_picture(pixels: Array, spec: ImageSpec | None, tensor: Input, place: str) -> Array:
    try:
        value = picture(pixels, spec)
    except DataError as exc:
        raise DataError(f"{place}: {exc}") from exc
    return fit(value, tensor, place)


def fitted_picture(path: Path, tensor: Input, spec: ImageSpec | None, where: str) -> Array:
    """Return a picture file as an input of the model wants it.

    Raises
    ------
    DataError
        If it cannot be read, or does not fit the input.
    """
    pixels = read_pixels(path, tensor.channels(spec), f"{where}.images")
    return _fit_picture(pixels, spec, tensor, f"{where}: {path.name}")


def fit(value: Array, tensor: Input, place: str) -> Array:
    """Return a sample in an input's dtype and shape; a missing batch axis of 1 is added.

    Raises
    ------
    DataError
        If its type or shape is another, or it holds what is no number.
    """
    value = np.asarray(value)  # a sample of a scalar comes as a number
    want = np.dtype(tensor.dtype)
    both_float = np.issubdtype(value.dtype, np.floating) and np.issubdtype(want, np.floating)
    if value.dtype != want and not both_float:
        raise DataError(
            f"{place}: input {tensor.name!r} wants {want}, got {value.dtype}"
            + ("; declare the pictures' scaling under `image`" if value.dtype == np.uint8 else "")
        )
    shaped = tensor.with_batch(value)
    if shaped.shape != tensor.shape:
        raise DataError(
            f"{place}: input {tensor.name!r} wants shape {list(tensor.shape)}, got {list(value.shape)}"
        )
    with np.errstate(over="ignore"):
        fitted = np.asarray(shaped, dtype=want, order="C")  # ascontiguousarray gives scalars an axis
    if both_float and not np.isfinite(fitted).all():
        raise DataError(f"{place}: input {tensor.name!r} holds NaN or infinity")
    return fitted


def _subset(spec: SubsetSpec | None, count: int, rows: list[dict[str, str]] | None, where: str) -> list[int]:
    if spec is None:
        return list(range(count))
    keys: Sequence[int] = range(count)
    if spec.column is not None:
        if not rows or spec.column not in rows[0]:
            raise DataError(f"{where}.subset.column: no column {spec.column!r} in the label table")
        keys = [_whole_number(row[spec.column], f"{where}.subset.column {spec.column!r}") for row in rows]
    return [i for i in range(count) if keys[i] % spec.modulo in spec.equals]


def _spread(items: Sequence[int], count: int) -> list[int]:
    if count >= len(items):
        return list(items)
    return [items[int(place)] for place in np.linspace(0, len(items) - 1, count).round()]
