"""Samples that the user's own code reads."""

import itertools
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import Any, TypeGuard

import numpy as np

from planner.errors import DataError
from planner.inputs.dataset import Dataset, Input, Samples, class_indices, fit
from planner.inputs.subset import subset
from planner.scenario.data_schema import SampleSpec
from planner.user_objects import calling, import_object
from profiling.arrays import Array, Feeds
from profiling.available_memory import available_bytes
from profiling.printable_text import one_line

_LOG = logging.getLogger(__name__)


def reader_samples(spec: SampleSpec, inputs: Sequence[Input], where: str) -> Dataset:
    """Return what the user's reader yields, read to its end, with its labels.

    What a reader says of itself as `note` is shown as a warning, and goes with the samples.
    """
    target = str(spec.reader)
    make = import_object(target, f"{where}.reader")
    name = target.rpartition("/")[2]
    with calling(f"{where}.reader: {name} cannot be used"):
        reader = make()
    with calling(f"{where}.reader: its note cannot be read"):
        note = getattr(reader, "note", None)
    own_note = one_line(note) if isinstance(note, str) else ""
    if own_note:
        _LOG.warning("%s.reader: %s", where, own_note)
    samples: list[Feeds] = []
    # A reader may give samples without end.
    left = available_bytes() // 2
    for feeds in _read_all(reader, inputs, f"{where}.reader"):
        sample_name = f"{where}: sample {len(samples)}"
        samples.append({t.name: fit(feeds[t.name], t, sample_name) for t in inputs})
        left -= sum(value.nbytes for value in samples[-1].values())
        if left < 0:
            raise DataError(
                f"{where}.reader: {name} gives more than {len(samples)} samples, which do not fit into half "
                "of the free memory"
            )
    labels = _reader_labels(reader, len(samples), spec.label_offset, where)
    picked = subset(spec.subset, len(samples), None, where)
    own_labels = None if labels is None else labels[picked]
    return Dataset(Samples(picked, samples.__getitem__), own_labels, note=own_note)


def _reader_labels(reader: object, count: int, offset: int, where: str) -> Array | None:
    """Return a reader's `labels`: whole numbers plus an offset as class indices, anything else as objects."""
    with calling(f"{where}.reader: its labels cannot be read"):
        labels = getattr(reader, "labels", None)
        values = list(itertools.islice(labels, count + 1)) if _is_list(labels) else None
    if labels is None:
        return None
    if values is None:
        raise DataError(f"{where}.reader: labels must be a list, got {type(labels).__name__}")
    if len(values) != count:
        how_many = "more" if len(values) > count else f"{len(values)}"
        raise DataError(f"{where}.reader: gives {count} samples but {how_many} labels")
    if all(isinstance(label, int | np.integer) for label in values):
        return class_indices(values, offset, f"{where}.reader")
    if offset:
        raise DataError(f"{where}.label_offset: the reader's labels are not whole numbers")
    objects = np.empty(count, dtype=object)
    objects[:] = values
    return objects


def _is_list(labels: object) -> TypeGuard[Iterable[object]]:
    """Return whether something has a label after the other, and not keys, letters or no order."""
    return isinstance(labels, Iterable) and not isinstance(labels, Mapping | Set | str | bytes)


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
            # Copied: a reader may fill the same arrays for the next sample.
            arrays = {t.name: np.array(feeds[t.name]) for t in inputs if t.name in feeds}
        missing = [t.name for t in inputs if t.name not in arrays]
        if missing:
            raise DataError(f"{where}: sample {number} lacks input {missing[0]!r}")
        yield arrays
