"""Samples and labels of a scenario, checked against the model's inputs."""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from planner.errors import DataError
from planner.picture_axes import are_channels_last, channels_first
from planner.pictures import PICTURES, picture, read_pixels
from planner.sample_spec import ImageSpec, LabelTable, SampleSpec, SubsetSpec
from planner.user_code import import_object
from profiling.session import Array, Feeds

_HELD_BACK_EVERY = 4


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
    arrays = _read_npz(Path(str(spec.npz)), where)
    unknown = set(spec.inputs) - {tensor.name for tensor in inputs}
    if unknown:
        raise DataError(
            f"{where}.inputs: the model has no input {sorted(unknown)[0]!r}; it has "
            f"{', '.join(tensor.name for tensor in inputs)}"
        )
    columns = {}
    for tensor in inputs:
        key = spec.inputs.get(tensor.name, tensor.name)
        if key not in arrays:
            raise DataError(
                f"{where}: {spec.npz} has no array {key!r} for input {tensor.name!r}; it has "
                f"{', '.join(arrays)}. Set {where}.inputs: {{{tensor.name}: ARRAY}}"
            )
        columns[tensor.name] = arrays[key]
        if not arrays[key].ndim:
            raise DataError(f"{where}: array {key!r} of {spec.npz} is a single number, not samples")
    count = min(len(column) for column in columns.values())
    if any(len(column) != count for column in columns.values()):
        raise DataError(f"{where}: arrays of {spec.npz} have different numbers of samples")
    labels = _npz_labels(spec, arrays, count, where)

    def read(index: int) -> Feeds:
        return {
            t.name: fit(picture(columns[t.name][index], spec.image), t, f"{where}: sample {index}")
            for t in inputs
        }

    picked = _subset(spec.subset, count, None, where)
    if picked:
        read(picked[0])
    return Dataset(Samples(picked, read), None if labels is None else labels[picked])


def _read_npz(path: Path, where: str) -> dict[str, Array]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    except FileNotFoundError as exc:
        raise DataError(f"{where}.npz: {path} does not exist") from exc
    except Exception as exc:  # zipfile, numpy and the OS each raise their own
        raise DataError(f"{where}.npz: {path} is not a readable .npz archive ({exc})") from exc


def _npz_labels(spec: SampleSpec, arrays: dict[str, Array], count: int, where: str) -> Array | None:
    if spec.labels is None:
        return None
    if not isinstance(spec.labels, str) or spec.labels not in arrays:
        raise DataError(f"{where}.labels: must name an array of {spec.npz}: {', '.join(arrays)}")
    labels = arrays[spec.labels]
    if labels.shape != (count,) or not np.issubdtype(labels.dtype, np.integer):
        raise DataError(
            f"{where}.labels: array {spec.labels!r} must hold {count} whole numbers, "
            f"got {labels.dtype} {list(labels.shape)}"
        )
    return labels.astype(np.int64) + spec.label_offset


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
        labels = np.array(numbers) + spec.label_offset
        labels = labels[picked]
    if picked:
        read(picked[0])
    return Dataset(Samples(picked, read), labels)


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
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file, delimiter="," if path.suffix == ".csv" else "\t"))
    except (OSError, UnicodeDecodeError) as exc:
        raise DataError(f"{where}.labels: {path} cannot be read: {exc}") from exc
    for column in (table.image_column, table.label_column):
        if not rows or rows[0].get(column) is None:
            known = ", ".join(rows[0]) if rows else "no rows"
            raise DataError(f"{where}.labels: {path} has no column {column!r}; it has {known}")
    return rows


def _whole_number(text: str | None, what: str) -> int:
    try:
        return int(text or "")
    except ValueError as exc:
        raise DataError(f"{what}: {text!r} is no whole number") from exc


def _from_reader(spec: SampleSpec, inputs: Sequence[Input], where: str) -> Dataset:
    target = str(spec.reader)
    make = import_object(target, f"{where}.reader")
    try:
        reader = make()
    except (Exception, SystemExit) as exc:  # a user's class may raise anything
        name = target.rpartition("/")[2]
        raise DataError(f"{where}.reader: {name} cannot be used: {exc}") from exc
    samples: list[Feeds] = []
    for feeds in _read_all(reader, f"{where}.reader"):
        missing = [t.name for t in inputs if t.name not in feeds]
        if missing:
            raise DataError(f"{where}.reader: sample {len(samples)} lacks input {missing[0]!r}")
        place = f"{where}: sample {len(samples)}"
        samples.append({t.name: fit(np.asarray(feeds[t.name]), t, place) for t in inputs})
    labels = _reader_labels(reader, len(samples), where)
    picked = _subset(spec.subset, len(samples), None, where)
    return Dataset(Samples(picked, samples.__getitem__), None if labels is None else labels[picked])


def _reader_labels(reader: object, count: int, where: str) -> Array | None:
    """Return a reader's `labels`: whole numbers as class indices, anything else as objects."""
    labels = getattr(reader, "labels", None)
    if labels is None:
        return None
    try:
        known = list(labels)
    except TypeError as exc:
        raise DataError(f"{where}.reader: labels must be a list, got {type(labels).__name__}") from exc
    if len(known) != count:
        raise DataError(f"{where}.reader: gives {count} samples but {len(known)} labels")
    if all(isinstance(label, int | np.integer) for label in known):
        return np.asarray(known, dtype=np.int64)
    objects = np.empty(count, dtype=object)
    objects[:] = known
    return objects


def _read_all(reader: Any, where: str) -> Iterator[Feeds]:
    while True:
        try:
            feeds = reader.get_next()
        except (Exception, SystemExit) as exc:  # a user's class may raise anything
            raise DataError(f"{where}: get_next() failed: {type(exc).__name__}: {exc}") from exc
        if feeds is None:
            return
        if not isinstance(feeds, Mapping):
            raise DataError(f"{where}: get_next() must return a dict of arrays, got {type(feeds).__name__}")
        yield feeds


def fitted_picture(path: Path, tensor: Input, spec: ImageSpec | None, where: str) -> Array:
    """Return a picture file as an input of the model wants it.

    Raises
    ------
    DataError
        If it cannot be read, or does not fit the input.
    """
    pixels = read_pixels(path, tensor.channels(spec), f"{where}.images")
    return fit(picture(pixels, spec), tensor, f"{where}: {path.name}")


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
