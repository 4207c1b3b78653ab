"""Samples and labels of a scenario, checked against the model's inputs."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from planner.errors import DataError
from planner.image_layout import are_channels_last, channels_first
from planner.scenario.data_schema import ImageSpec
from planner.user_objects import calling
from profiling.arrays import Array, Feeds
from profiling.records.cache import samples_hash

_HELD_BACK_EVERY = 4  # calibration samples: budgets are met on data that ranges were not taken from


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
    """Samples and, where given, the label of each: the model's class index, or what a reader gives.

    Parameters
    ----------
    class_names
        Of all classes, where the data have them and labels follow their order.
    note
        What the reader of the samples says of itself.
    files
        Of annotated pictures, by their way from the folder; empty of others.
    """

    samples: Sequence[Feeds]
    labels: Array | None
    class_names: tuple[str, ...] = ()
    note: str = ""
    files: tuple[str, ...] = ()

    def pick(self, indices: Sequence[int]) -> "Dataset":
        """Return the samples at some places."""
        labels = None if self.labels is None else self.labels[list(indices)]
        files = tuple(self.files[index] for index in indices) if self.files else ()
        return Dataset(Samples(indices, self.samples.__getitem__), labels, self.class_names, self.note, files)

    @property
    def fingerprint(self) -> str:
        """A hash of all samples and their labels."""
        with calling("the text of a label cannot be had"):  # a reader's labels may be anything
            labels = repr(None if self.labels is None else self.labels.tolist())
        return hashlib.sha256(f"{samples_hash(self.samples)} {labels}".encode("utf-8", "replace")).hexdigest()

    @property
    def classes(self) -> Array | None:
        """The labels, if they are class indices."""
        are_indices = self.labels is not None and np.issubdtype(self.labels.dtype, np.integer)
        return self.labels if are_indices else None

    def spread(self, count: int) -> "Dataset":
        """Return at most `count` samples, evenly spread."""
        return self.pick(_evenly_spread(range(len(self.samples)), count))


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
        """Return how many channels its images have, which a scenario prepares; three if it takes none."""
        if len(self.shape) < 3:  # noqa: PLR2004
            return 3
        first = self.channels_last or spec is None or spec.layout == "nchw"
        return self.shape[-3] if first else self.shape[-1]


def split_calibration(data: Dataset) -> tuple[Dataset, Dataset]:
    """Return (three quarters to calibrate with, the held-back quarter to tighten budgets on)."""
    indices = range(len(data.samples))
    held_back = indices[_HELD_BACK_EVERY - 1 :: _HELD_BACK_EVERY]
    return data.pick([index for index in indices if index not in held_back]), data.pick(held_back)


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


def class_indices(labels: Iterable[Any], offset: int, where: str) -> Array:
    """Return whole numbers plus an offset as class indices: int64, shape [samples]."""
    try:
        return np.array([int(label) + offset for label in labels], dtype=np.int64)
    except OverflowError as exc:
        raise DataError(f"{where}.labels: a label does not fit into 64 bits") from exc


def fit(value: Array, tensor: Input, sample_name: str) -> Array:
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
            f"{sample_name}: input {tensor.name!r} wants {want}, got {value.dtype}"
            + ("; declare the pictures' scaling under `image`" if value.dtype == np.uint8 else "")
        )
    shaped = tensor.with_batch(value)
    if shaped.shape != tensor.shape:
        raise DataError(
            f"{sample_name}: input {tensor.name!r} wants shape {list(tensor.shape)}, got {list(value.shape)}"
            + _batch_remedy(value, tensor)
        )
    with np.errstate(over="ignore"):
        fitted = np.asarray(shaped, dtype=want, order="C")  # ascontiguousarray gives scalars an axis
    if both_float and not np.isfinite(fitted).all():
        raise DataError(f"{sample_name}: input {tensor.name!r} holds NaN or infinity")
    return fitted


def _batch_remedy(value: Array, tensor: Input) -> str:
    """Return what a sample is where the model takes several rows at once, and this one is a row."""
    if not tensor.shape or value.shape != tensor.shape[1:]:
        return ""
    return (
        f": the model takes {tensor.shape[0]} rows at once, and a sample is all of them; "
        f"arrays have the shape [samples, {', '.join(map(str, tensor.shape))}]"
    )


def _evenly_spread(items: Sequence[int], count: int) -> list[int]:
    if count >= len(items):
        return list(items)
    return [items[int(position)] for position in np.linspace(0, len(items) - 1, count).round()]
